//! How the binary is linked.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    // What has to be moved at the start is noted in bits, not in 24 bytes each: a megabyte less to read and to keep.
    if std::env::var("CARGO_CFG_TARGET_OS").is_ok_and(|os| os == "linux") {
        println!("cargo:rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    }
}
