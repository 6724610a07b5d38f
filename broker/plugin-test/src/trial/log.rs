//! What the plugin and its host log, kept for the scenario to look at.

use parking_lot::Mutex;
use std::{
    fmt,
    sync::{Arc, OnceLock},
};
use tracing::{
    Event, Level, Metadata, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    Layer,
    layer::{Context, SubscriberExt},
    registry::LookupSpan,
};

/// A line.
#[derive(Clone, Debug)]
pub(crate) struct LogLine {
    pub(crate) level: Level,
    /// Whether the plugin itself wrote it.
    pub(crate) guest: bool,
    pub(crate) text: String,
}

/// All lines since it was emptied.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<LogLine>>>);

impl Log {
    /// The one of this process: the host writes from threads of its own.
    pub(crate) fn of_process() -> Self {
        static LOG: OnceLock<Log> = OnceLock::new();
        LOG.get_or_init(|| {
            let log = Self::default();
            let subscriber = tracing_subscriber::registry().with(Keeps(log.clone()));
            // Another one is there already if somebody embeds this: then nothing is kept.
            _ = tracing::subscriber::set_global_default(subscriber);
            log
        })
        .clone()
    }

    pub(crate) fn clear(&self) {
        self.0.lock().clear();
    }

    /// From that one on.
    pub(crate) fn since(&self, index: usize) -> Vec<LogLine> {
        self.0.lock().iter().skip(index).cloned().collect()
    }

    pub(crate) fn len(&self) -> usize {
        self.0.lock().len()
    }
}

impl fmt::Display for LogLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.level, self.text)
    }
}

struct Keeps(Log);

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Keeps {
    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        match metadata.target() {
            "plugin" => *metadata.level() <= Level::DEBUG,
            target if target.starts_with("tidegate_plugin_host") => *metadata.level() <= Level::INFO,
            _ => false,
        }
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut message = Message(String::new());
        event.record(&mut message);
        let metadata = event.metadata();
        let line =
            LogLine { level: *metadata.level(), guest: metadata.target() == "plugin", text: message.0 };
        self.0.0.lock().push(line);
    }
}

/// The text of an event.
struct Message(String);

impl Visit for Message {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            self.0 = format!("{value:?}");
        }
    }
}
