//! What the fuzz targets of the codec do, over their corpora: see `fuzz/README.md`.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    dead_code,
    unreachable_pub,
    reason = "a test fails by panicking, and the files are those of a library with more targets"
)]

#[path = "../../../fuzz/src/decode.rs"]
mod decode;
#[path = "../../../fuzz/src/encode_decode.rs"]
mod encode_decode;
#[path = "../../../fuzz/src/input.rs"]
mod input;
#[path = "../../../fuzz/src/packets.rs"]
mod packets;

use std::{fs, path::Path};

fn replay(target: &str, run: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target);
    let files: Vec<_> = fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
    assert!(files.len() > 20, "the corpus is there");
    for file in files {
        let bytes = fs::read(&file).unwrap();
        let name = file.file_name().unwrap().display().to_string();
        assert!(std::panic::catch_unwind(|| run(&bytes)).is_ok(), "{target}: {name}");
    }
}

#[test]
fn the_corpus_of_decode_passes() {
    replay("decode", decode::run);
}

/// The other target's corpus has more packets that are whole.
#[test]
fn the_corpora_of_both_targets_encode_and_decode() {
    replay("decode", encode_decode::run);
    replay("encode_decode", encode_decode::run);
}
