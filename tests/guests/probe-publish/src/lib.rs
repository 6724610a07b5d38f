//! Behaves as badly as a message asks for, or not at all.

use tidegate_plugin::{Edit, Field, Message, OnPublish, Plugin, QoS, ReasonCode, Scope, Start, Verdict};

/// What the guest does with messages.
#[derive(Default, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Whether it does what the payload says.
    obey: bool,
    /// Whether it copies each payload in and out.
    copy: bool,
    /// Whether it refuses to start.
    refuse_to_start: bool,
    /// It traps on every how many-th message.
    trap_every: Option<u64>,
    /// But not in generations before this one.
    from_generation: u64,
}

/// The guest.
pub struct Probe {
    config: Config,
    generation: u64,
    asked: u64,
}

impl Plugin for Probe {
    type Config = Config;

    fn new(start: Start, config: Config) -> Result<Self, String> {
        if config.refuse_to_start {
            return Err("told to refuse".to_owned());
        }
        Ok(Self { config, generation: start.generation, asked: 0 })
    }

    fn scopes(&self) -> Vec<Scope> {
        let scope = Scope::publish(["probe/#"]);
        let reads = self.config.obey || self.config.copy;
        vec![if reads { scope.wanting(Field::Payload) } else { scope }]
    }
}

impl OnPublish for Probe {
    fn on_publish(&mut self, message: Message) -> Verdict {
        self.asked += 1;
        let traps = self.config.trap_every.is_some_and(|every| self.asked.is_multiple_of(every));
        #[allow(clippy::panic, reason = "that is what it is for")]
        if traps && self.generation >= self.config.from_generation {
            panic!("told to trap");
        }
        if self.config.copy {
            return Edit::new().payload(message.payload()).into();
        }
        if !self.config.obey {
            return Verdict::Next;
        }
        match &*message.payload() {
            #[allow(clippy::panic, reason = "that is what it is for")]
            b"trap" => panic!("told to trap"),
            b"loop" => loop {
                std::hint::spin_loop();
            },
            b"grow" => grow(),
            b"recurse" => Edit::new().payload(recurse(1).to_string()).into(),
            b"nonsense topic" => Edit::new().topic("a/#").into(),
            b"nonsense reason" => Verdict::Refuse(ReasonCode::Success),
            b"refuse" => Verdict::Refuse(ReasonCode::PayloadFormatInvalid),
            b"swallow" => Verdict::Swallow,
            b"move" => Edit::new().topic("moved").qos(QoS::AtMostOnce).into(),
            _ => Verdict::Next,
        }
    }
}

fn grow() -> Verdict {
    let mut kept: Vec<Vec<u8>> = Vec::new();
    loop {
        kept.push(vec![1; 1 << 20]);
        std::hint::black_box(&kept);
    }
}

#[allow(unconditional_recursion, reason = "that is what it is for")]
fn recurse(depth: u64) -> u64 {
    std::hint::black_box(depth) + recurse(std::hint::black_box(depth + 1))
}

tidegate_plugin::export!(Probe: on_publish);
