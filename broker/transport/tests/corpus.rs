//! What the fuzz targets of the transports do, over their corpora: see `fuzz/README.md`.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{fs, path::Path};

fn replay(target: &str, run: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target);
    let files: Vec<_> = fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
    assert!(files.len() > 10, "the corpus is there");
    for file in files {
        let bytes = fs::read(&file).unwrap();
        let name = file.file_name().unwrap().display().to_string();
        assert!(std::panic::catch_unwind(|| run(&bytes)).is_ok(), "{target}: {name}");
    }
}

#[test]
fn websocket_frames() {
    replay("websocket", tidegate_transport::fuzz::websocket);
}

#[test]
fn proxy_headers() {
    replay("proxy_header", tidegate_transport::fuzz::proxy_header);
}
