//! Section 3.1.2.10: a client that says nothing for one and a half keep alives is gone.

use std::time::Duration;
use tidegate_mqtt::Timestamp;

/// Watches how long a client has been silent.
#[derive(Clone, Copy, Debug)]
pub struct KeepAlive {
    patience: Option<Duration>,
    heard_at: Timestamp,
}

impl KeepAlive {
    /// `seconds` as agreed; 0 is off [MQTT-3.1.2-22].
    pub fn new(seconds: u16, now: Timestamp) -> Self {
        let patience = (seconds > 0).then(|| Duration::from_millis(u64::from(seconds) * 1500));
        Self { patience, heard_at: now }
    }

    /// The client said something.
    pub fn heard(&mut self, now: Timestamp) {
        self.heard_at = now;
    }

    /// When to look again: by then the client must have said something.
    pub fn deadline(&self) -> Option<Timestamp> {
        self.patience.map(|patience| self.heard_at.after(patience))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn v5_3_1_2_22_and_v311_3_1_2_24_patience_is_one_and_a_half_keep_alives() {
        let mut keep_alive = KeepAlive::new(10, Timestamp(1_000));
        assert_eq!(keep_alive.deadline(), Some(Timestamp(16_000)));
        keep_alive.heard(Timestamp(9_000));
        assert_eq!(keep_alive.deadline(), Some(Timestamp(24_000)));
        assert_eq!(KeepAlive::new(0, Timestamp(0)).deadline(), None);
    }
}
