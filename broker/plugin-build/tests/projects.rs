//! The two commands as users run them, with compilers and packages as registries have them.
//!
//! What is slow to come by is shared with the guests of `cargo xtask plugins --guests`, in `target/languages`.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "projects/c.rs"]
mod c;
#[path = "projects/errors.rs"]
mod errors;
#[path = "projects/javascript.rs"]
mod javascript;
#[path = "projects/python.rs"]
mod python;
#[path = "projects/rust.rs"]
mod rust;
#[path = "projects/workplace.rs"]
mod workplace;
