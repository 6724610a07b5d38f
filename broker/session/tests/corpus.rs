//! What the fuzz target of the session does, over its corpus: see `fuzz/README.md`.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    unreachable_pub,
    reason = "a test fails by panicking, and the files are those of a library with more targets"
)]

#[path = "../../../fuzz/src/input.rs"]
mod input;
#[path = "../../../fuzz/src/packets.rs"]
mod packets;
#[path = "../../../fuzz/src/session.rs"]
mod session;

use std::{fs, path::Path};

#[test]
fn the_corpus_of_session_passes() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/session");
    let files: Vec<_> = fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
    assert!(files.len() > 20, "the corpus is there");
    for file in files {
        let bytes = fs::read(&file).unwrap();
        let name = file.file_name().unwrap().display().to_string();
        assert!(std::panic::catch_unwind(|| session::run(&bytes)).is_ok(), "{name}");
    }
}
