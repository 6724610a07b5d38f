//! For plugin authors: what a component is (`tidegate plugin check`), whether it answers as it should (`test`), and what it costs (`bench`).
//! Nothing of it needs a broker; a broker uses `recording`, to write down what it is asked as a scenario.
//!
//! Reading order:
//! - `scenario`: a file of steps and what is expected of them; `scenario/step`: every field; `scenario/value`: what equals what
//! - `trial`: one plugin on the production host, asked as the broker asks it
//! - `check`: what a component is and needs
//! - `play`: which component with which scenarios
//! - `test`: scenarios done one after the other, and said; `bench`: their questions asked many times, and timed
//! - `recording`: a running broker's questions and answers, as lines of a scenario

mod bench;
mod check;
mod play;
mod recording;
mod scenario;
mod test;
mod trial;

pub use bench::{Options as BenchOptions, run as bench};
pub use check::{Options as CheckOptions, run as check};
pub use recording::{Recorder, RecordingOptions, recording_header};
pub use test::{Options as TestOptions, run as test};
