//! What becomes of a will when its connection ends (sections 3.1.2.5 and 3.1.3.2.2).

use std::time::Duration;
use tidegate_mqtt::{ReasonCode, Will};

/// How a connection ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Ending {
    /// The client sent DISCONNECT with this reason.
    Goodbye(ReasonCode),
    /// The socket broke, the keep alive passed, the client broke the protocol, the broker closed for a reason of its own.
    Abrupt,
    /// Another connection took the session over and resumes it.
    TakenOver,
    /// Another connection took over and began a new session, which ends this one.
    Replaced,
}

/// The will of a live connection.
#[derive(Clone, Debug)]
pub struct PendingWill {
    /// In a box: most connections have none.
    will: Option<Box<Will>>,
}

/// What to do with the will now.
#[derive(Clone, Debug, PartialEq)]
pub enum WillFate {
    /// Nothing is to be published.
    None,
    /// Publish now.
    Publish(Will),
    /// Publish after this long, unless the session is resumed before [MQTT-3.1.3-9].
    Delay(Will, Duration),
}

impl PendingWill {
    /// Keeps the will of a CONNECT [MQTT-3.1.2-7].
    pub fn new(will: Option<Will>) -> Self {
        Self { will: will.map(Box::new) }
    }

    /// What would be published.
    pub fn will(&self) -> Option<&Will> {
        self.will.as_deref()
    }

    /// Decides at the end of the connection. `session_expiry` in seconds: a session that ends takes its will's delay with it
    /// [MQTT-3.1.2-8].
    pub fn fate(self, ending: Ending, session_expiry: u32) -> WillFate {
        let Some(will) = self.will.map(|will| *will) else { return WillFate::None };
        match ending {
            // [MQTT-3.1.2-10]: deleted by a DISCONNECT with 0x00; any other reason sends it.
            Ending::Goodbye(ReasonCode::Success) => return WillFate::None,
            Ending::Replaced => return WillFate::Publish(will),
            Ending::Goodbye(_) | Ending::Abrupt | Ending::TakenOver => {}
        }
        let delay = will.properties.will_delay_interval.unwrap_or(0);
        if delay == 0 || session_expiry == 0 {
            return WillFate::Publish(will);
        }
        // A resumed session was open again before the delay passed, so the will is not sent [MQTT-3.1.3-9].
        if ending == Ending::TakenOver {
            return WillFate::None;
        }
        WillFate::Delay(will, Duration::from_secs(delay.min(session_expiry).into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use tidegate_mqtt::{QoS, TopicName, WillProperties};

    fn will(delay: Option<u32>) -> Will {
        Will {
            topic: TopicName::new("w").unwrap(),
            payload: Bytes::from_static(b"gone"),
            qos: QoS::AtLeastOnce,
            retain: false,
            properties: WillProperties { will_delay_interval: delay, ..WillProperties::default() },
        }
    }

    fn fate(delay: Option<u32>, ending: Ending, expiry: u32) -> WillFate {
        PendingWill::new(Some(will(delay))).fate(ending, expiry)
    }

    #[test]
    fn v5_3_1_2_8_a_will_is_published_when_the_connection_breaks() {
        assert_eq!(fate(None, Ending::Abrupt, 0), WillFate::Publish(will(None)));
        assert_eq!(PendingWill::new(None).fate(Ending::Abrupt, 0), WillFate::None);
    }

    #[test]
    fn v5_3_1_2_10_a_normal_disconnect_deletes_the_will() {
        assert_eq!(fate(None, Ending::Goodbye(ReasonCode::Success), 0), WillFate::None);
        let with_will = Ending::Goodbye(ReasonCode::DisconnectWithWill);
        assert_eq!(fate(None, with_will, 0), WillFate::Publish(will(None)));
    }

    #[test]
    fn v5_3_1_3_9_a_delayed_will_waits_and_a_resumed_session_cancels_it() {
        let delayed = WillFate::Delay(will(Some(5)), Duration::from_secs(5));
        assert_eq!(fate(Some(5), Ending::Abrupt, 60), delayed);
        assert_eq!(fate(Some(5), Ending::TakenOver, 60), WillFate::None);
        assert_eq!(fate(Some(5), Ending::Replaced, 60), WillFate::Publish(will(Some(5))));
    }

    #[test]
    fn v5_3_1_2_8_the_delay_ends_with_the_session() {
        let shortened = WillFate::Delay(will(Some(50)), Duration::from_secs(10));
        assert_eq!(fate(Some(50), Ending::Abrupt, 10), shortened);
        assert_eq!(fate(Some(50), Ending::Abrupt, 0), WillFate::Publish(will(Some(50))));
    }

    #[test]
    fn v5_3_1_4_3_taking_over_a_session_without_delay_sends_the_will() {
        assert_eq!(fate(None, Ending::TakenOver, 60), WillFate::Publish(will(None)));
    }
}
