//! For plugin authors: what a component is (`tidegate plugin check`), whether it answers as it should (`test`), and what it costs (`bench`).
//! Nothing of it needs a broker.
//!
//! Reading order:
//! - `scenario`: a file of steps and what is expected of them; `scenario/step`: every field; `scenario/value`: what equals what
//! - `trial`: one plugin on the production host, asked as the broker asks it
//! - `check`: what a component is and needs
//! - `play`: which component with which scenarios
//! - `check`: what a component is and needs
//! - `play`: which component with which scenarios
//! - `test`: scenarios done one after the other, and said; `bench`: their questions asked many times, and timed

mod bench;
mod check;
mod play;
mod scenario;
mod test;
mod trial;

pub use bench::{Options as BenchOptions, run as bench};
pub use check::{Options as CheckOptions, run as check};
pub use scenario::{RECORDING_FORMAT, step};
pub use test::{Options as TestOptions, run as test};
