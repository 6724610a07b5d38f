//! `wasi:cli`: an end, no input, and output that goes to the log.

use super::{
    Wasi,
    bindings::wasi::cli::{exit, stderr, stdin, stdout},
    streams::{InputStream, OutputStream},
};
use wasmtime::component::Resource;

impl exit::Host for Wasi {
    fn exit(&mut self, status: Result<(), ()>) -> wasmtime::Result<()> {
        self.exit_with_code(u8::from(status.is_err()))
    }

    /// There is no process to end but the instance, and it is asked something.
    fn exit_with_code(&mut self, code: u8) -> wasmtime::Result<()> {
        wasmtime::bail!("it ended itself with exit code {code}")
    }
}

impl stdin::Host for Wasi {
    fn get_stdin(&mut self) -> wasmtime::Result<Resource<InputStream>> {
        self.lend(InputStream::default())
    }
}

impl stdout::Host for Wasi {
    fn get_stdout(&mut self) -> wasmtime::Result<Resource<OutputStream>> {
        self.lend(OutputStream::Stdout)
    }
}

impl stderr::Host for Wasi {
    fn get_stderr(&mut self) -> wasmtime::Result<Resource<OutputStream>> {
        self.lend(OutputStream::Stderr)
    }
}
