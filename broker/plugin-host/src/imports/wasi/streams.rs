//! `wasi:io/streams`: bytes that are there already, and places that take them at once. None ever waits.

use super::{
    Wasi,
    bindings::wasi::io::{
        error,
        streams::{self, StreamError},
    },
    http::{BodyParts, Weight},
    poll::Pollable,
};
use bytes::Bytes;
use std::sync::Arc;
use wasmtime::component::Resource;

/// Bytes that an output stream takes at once. The standard's own number, where it names one.
const TAKEN: usize = 4096;

/// Bytes that an input stream gives at once.
const GIVEN: u64 = 1 << 20;

const ZEROES: &[u8] = &[0; TAKEN];

/// Why a stream failed.
pub struct IoError(pub(super) &'static str);

/// What is left to be read; empty, it is closed.
#[derive(Default)]
pub struct InputStream {
    pub(super) rest: Bytes,
    /// For as long as `rest` is held.
    pub(super) _weight: Option<Arc<Weight>>,
}

/// Where bytes go.
pub enum OutputStream {
    Stdout,
    Stderr,
    /// Of a request.
    Body(Arc<BodyParts>),
}

type Outcome<T> = wasmtime::Result<Result<T, StreamError>>;

impl error::Host for Wasi {}

impl error::HostError for Wasi {
    fn to_debug_string(&mut self, error: Resource<IoError>) -> wasmtime::Result<String> {
        Ok(self.resources.get(&error)?.0.to_owned())
    }

    fn drop(&mut self, error: Resource<IoError>) -> wasmtime::Result<()> {
        self.resources.delete(error)?;
        Ok(())
    }
}

impl streams::Host for Wasi {}

impl Wasi {
    /// The next bytes of a stream, `len` at most.
    fn read_next(&mut self, stream: &Resource<InputStream>, len: u64) -> Outcome<Bytes> {
        let rest = &mut self.resources.get_mut(stream)?.rest;
        if rest.is_empty() {
            return Ok(Err(StreamError::Closed));
        }
        let len = usize::try_from(len.min(GIVEN))?.min(rest.len());
        Ok(Ok(rest.split_to(len)))
    }

    fn write_all(&mut self, stream: &Resource<OutputStream>, contents: &[u8]) -> Outcome<()> {
        wasmtime::ensure!(
            contents.len() <= TAKEN,
            "it wrote {} bytes where {TAKEN} may be written at once",
            contents.len()
        );
        let taken = match self.resources.get(stream)? {
            OutputStream::Stdout => {
                self.stdout.write(contents, &self.environment);
                Ok(())
            }
            OutputStream::Stderr => {
                self.stderr.write(contents, &self.environment);
                Ok(())
            }
            OutputStream::Body(parts) => parts.write(contents),
        };
        match taken {
            Ok(()) => Ok(Ok(())),
            Err(why) => Ok(Err(StreamError::LastOperationFailed(self.lend(IoError(why))?))),
        }
    }
}

impl streams::HostInputStream for Wasi {
    fn read(&mut self, stream: Resource<InputStream>, len: u64) -> Outcome<Vec<u8>> {
        Ok(self.read_next(&stream, len)?.map(Vec::from))
    }

    fn blocking_read(&mut self, stream: Resource<InputStream>, len: u64) -> Outcome<Vec<u8>> {
        self.read(stream, len)
    }

    fn skip(&mut self, stream: Resource<InputStream>, len: u64) -> Outcome<u64> {
        Ok(self.read_next(&stream, len)?.map(|skipped| skipped.len() as u64))
    }

    fn blocking_skip(&mut self, stream: Resource<InputStream>, len: u64) -> Outcome<u64> {
        self.skip(stream, len)
    }

    fn subscribe(&mut self, _: Resource<InputStream>) -> wasmtime::Result<Resource<Pollable>> {
        self.lend(Pollable::Now)
    }

    fn drop(&mut self, stream: Resource<InputStream>) -> wasmtime::Result<()> {
        self.resources.delete(stream)?;
        Ok(())
    }
}

impl streams::HostOutputStream for Wasi {
    fn check_write(&mut self, _: Resource<OutputStream>) -> Outcome<u64> {
        Ok(Ok(TAKEN as u64))
    }

    fn write(&mut self, stream: Resource<OutputStream>, contents: Vec<u8>) -> Outcome<()> {
        self.write_all(&stream, &contents)
    }

    fn blocking_write_and_flush(&mut self, stream: Resource<OutputStream>, contents: Vec<u8>) -> Outcome<()> {
        self.write_all(&stream, &contents)
    }

    fn flush(&mut self, _: Resource<OutputStream>) -> Outcome<()> {
        // A line that is half written stays one line.
        Ok(Ok(()))
    }

    fn blocking_flush(&mut self, stream: Resource<OutputStream>) -> Outcome<()> {
        streams::HostOutputStream::flush(self, stream)
    }

    fn subscribe(&mut self, _: Resource<OutputStream>) -> wasmtime::Result<Resource<Pollable>> {
        self.lend(Pollable::Now)
    }

    fn write_zeroes(&mut self, stream: Resource<OutputStream>, len: u64) -> Outcome<()> {
        let zeroes = usize::try_from(len).ok().and_then(|len| ZEROES.get(..len));
        let zeroes =
            zeroes.ok_or_else(|| wasmtime::format_err!("it wrote {len} zeroes where {TAKEN} may be"))?;
        self.write_all(&stream, zeroes)
    }

    fn blocking_write_zeroes_and_flush(&mut self, stream: Resource<OutputStream>, len: u64) -> Outcome<()> {
        self.write_zeroes(stream, len)
    }

    fn splice(
        &mut self,
        stream: Resource<OutputStream>,
        source: Resource<InputStream>,
        len: u64,
    ) -> Outcome<u64> {
        let bytes = match self.read_next(&source, len.min(TAKEN as u64))? {
            Ok(bytes) => bytes,
            Err(error) => return Ok(Err(error)),
        };
        Ok(self.write_all(&stream, &bytes)?.map(|()| bytes.len() as u64))
    }

    fn blocking_splice(
        &mut self,
        stream: Resource<OutputStream>,
        source: Resource<InputStream>,
        len: u64,
    ) -> Outcome<u64> {
        self.splice(stream, source, len)
    }

    fn drop(&mut self, stream: Resource<OutputStream>) -> wasmtime::Result<()> {
        self.resources.delete(stream)?;
        Ok(())
    }
}
