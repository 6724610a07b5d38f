//! MQTT clients that tests start: made below `target/clients` from the lists of packages in `tests/clients`.

use crate::lists;

/// Installs what is missing or has changed. Quick if nothing has.
///
/// # Errors
/// If a program is missing and cannot be installed, or a client cannot be.
pub(crate) fn ensure() -> anyhow::Result<()> {
    let (wanted, clients) = (crate::root().join("tests/clients"), crate::target_dir().join("clients"));
    lists::python(&wanted.join("paho"), &clients.join("paho"), &["python", "-c", "import paho.mqtt.client"])?;
    lists::node(&wanted.join("mqttjs"), &clients.join("mqttjs"), "mqtt")
}
