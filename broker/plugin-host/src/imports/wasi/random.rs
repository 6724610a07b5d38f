//! `wasi:random`: always the system's generator, also where less would do.

use super::{
    Wasi,
    bindings::wasi::random::{insecure, insecure_seed, random},
};

/// Bytes that a guest may ask for at once.
const MOST_BYTES: u64 = 64 << 10;

impl random::Host for Wasi {
    fn get_random_bytes(&mut self, len: u64) -> wasmtime::Result<Vec<u8>> {
        bytes(len)
    }

    fn get_random_u64(&mut self) -> wasmtime::Result<u64> {
        number()
    }
}

impl insecure::Host for Wasi {
    fn get_insecure_random_bytes(&mut self, len: u64) -> wasmtime::Result<Vec<u8>> {
        bytes(len)
    }

    fn get_insecure_random_u64(&mut self) -> wasmtime::Result<u64> {
        number()
    }
}

impl insecure_seed::Host for Wasi {
    fn insecure_seed(&mut self) -> wasmtime::Result<(u64, u64)> {
        Ok((number()?, number()?))
    }
}

fn bytes(len: u64) -> wasmtime::Result<Vec<u8>> {
    // The interface has no error, and fewer bytes than asked for would be taken for all.
    wasmtime::ensure!(
        len <= MOST_BYTES,
        "it asked for {len} random bytes at once; {MOST_BYTES} are the most"
    );
    let mut bytes = vec![0; usize::try_from(len)?];
    getrandom::fill(&mut bytes).map_err(unavailable)?;
    Ok(bytes)
}

fn number() -> wasmtime::Result<u64> {
    getrandom::u64().map_err(unavailable)
}

fn unavailable(error: getrandom::Error) -> wasmtime::Error {
    wasmtime::format_err!("the system gives no random numbers: {error}")
}
