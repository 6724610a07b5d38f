//! What was logged, by all tests of this process; each looks for its own plugin's name.

use std::{
    io::{self, Write},
    sync::{Arc, Mutex, Once},
};

static LINES: Mutex<String> = Mutex::new(String::new());

struct Lines;

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        LINES.lock().unwrap().push_str(&String::from_utf8_lossy(bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

pub fn record() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(|| Lines).finish();
        let dispatch =
            tracing::Dispatch::from(Arc::new(subscriber) as Arc<dyn tracing::Subscriber + Send + Sync>);
        tracing::dispatcher::set_global_default(dispatch).unwrap();
    });
}

/// Lines that contain `text`.
pub fn lines(text: &str) -> Vec<String> {
    LINES.lock().unwrap().lines().filter(|line| line.contains(text)).map(str::to_owned).collect()
}
