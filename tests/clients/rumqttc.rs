//! rumqttc
