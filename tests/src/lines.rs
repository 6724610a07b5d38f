//! What a child process writes, line by line, as it comes.

use std::{
    io::{BufRead, BufReader, Read},
    sync::{Arc, Condvar, Mutex, MutexGuard},
    time::{Duration, Instant},
};

/// Lines that a thread collects from a pipe. Clones see the same lines.
#[derive(Clone, Debug, Default)]
pub struct Lines(Arc<(Mutex<Collected>, Condvar)>);

#[derive(Debug, Default)]
struct Collected {
    lines: Vec<String>,
    ended: bool,
}

impl Lines {
    /// Collects in the background until the pipe ends.
    pub fn collect(pipe: impl Read + Send + 'static) -> Self {
        let lines = Self::default();
        let collecting = lines.clone();
        std::thread::spawn(move || collecting.read(pipe));
        lines
    }

    fn read(&self, pipe: impl Read) {
        for line in BufReader::new(pipe).split(b'\n').map_while(Result::ok) {
            self.lock().lines.push(String::from_utf8_lossy(&line).into_owned());
            self.0.1.notify_all();
        }
        self.lock().ended = true;
        self.0.1.notify_all();
    }

    /// Waits for a line that contains `pattern`, which may be there already, and returns it.
    ///
    /// # Panics
    /// With all lines, if it has not come when `patience` is over or the pipe ends.
    pub fn wait_for(&self, pattern: &str, patience: Duration) -> String {
        self.wait_for_after(0, pattern, patience)
    }

    /// As [`Lines::wait_for`], among the lines after the first `seen` (see [`Lines::len`]).
    ///
    /// # Panics
    /// As [`Lines::wait_for`].
    pub fn wait_for_after(&self, seen: usize, pattern: &str, patience: Duration) -> String {
        self.find(seen, &[pattern], patience)
    }

    /// As [`Lines::wait_for`], for the first line with one of these.
    ///
    /// # Panics
    /// As [`Lines::wait_for`].
    pub fn wait_for_any(&self, patterns: &[&str], patience: Duration) -> String {
        self.find(0, patterns, patience)
    }

    fn find(&self, seen: usize, patterns: &[&str], patience: Duration) -> String {
        let deadline = Instant::now() + patience;
        let is_one = |line: &&String| patterns.iter().any(|pattern| line.contains(pattern));
        let mut collected = self.lock();
        loop {
            if let Some(line) = collected.lines.iter().skip(seen).find(is_one) {
                return line.clone();
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if collected.ended || left.is_zero() {
                let lines = collected.lines.join("\n");
                drop(collected);
                panic!("no line with {patterns:?} among:\n{lines}");
            }
            collected = self.0.1.wait_timeout(collected, left).expect("no holder panics").0;
        }
    }

    /// Waits until the pipe has ended, and returns every line.
    ///
    /// # Panics
    /// If it does not end in time.
    pub fn wait_for_end(&self, patience: Duration) -> Vec<String> {
        let going_on = |collected: &mut Collected| !collected.ended;
        let (collected, late) =
            self.0.1.wait_timeout_while(self.lock(), patience, going_on).expect("no holder panics");
        assert!(!late.timed_out(), "the process did not end; it wrote:\n{}", collected.lines.join("\n"));
        collected.lines.clone()
    }

    /// Whether a line so far contains `pattern`.
    pub fn contains(&self, pattern: &str) -> bool {
        self.lock().lines.iter().any(|line| line.contains(pattern))
    }

    /// How many lines have come so far.
    pub fn len(&self) -> usize {
        self.lock().lines.len()
    }

    /// Whether no line has come so far.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Every line so far.
    pub fn text(&self) -> String {
        self.lock().lines.join("\n")
    }

    fn lock(&self) -> MutexGuard<'_, Collected> {
        self.0.0.lock().expect("no holder panics")
    }
}
