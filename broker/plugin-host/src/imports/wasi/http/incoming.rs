//! Answers: the future one, the one that came, its headers and its body.

use super::{ErrorCode, Exchange, Fields, Wasi, exchange::Answer, types};
use crate::imports::wasi::{poll::Pollable, streams::InputStream};
use std::{mem, sync::Arc};
use wasmtime::component::Resource;

/// An answer to come.
pub struct FutureResponse {
    exchange: Arc<Exchange>,
    taken: bool,
}

impl FutureResponse {
    pub(super) fn new(exchange: Arc<Exchange>) -> Self {
        Self { exchange, taken: false }
    }

    #[cfg(test)]
    pub(super) fn exchange(&self) -> &Arc<Exchange> {
        &self.exchange
    }
}

/// An answer.
pub struct IncomingResponse {
    answer: Arc<Answer>,
    consumed: bool,
}

/// The body of an answer; none once its stream was taken.
pub struct IncomingBody(Option<InputStream>);

/// Always there, and never any.
#[derive(Default)]
pub struct FutureTrailers {
    taken: bool,
}

/// Not yet; given already; what it is.
type Future<T> = Option<Result<Result<T, ErrorCode>, ()>>;

impl types::HostFutureIncomingResponse for Wasi {
    fn subscribe(&mut self, future: Resource<FutureResponse>) -> wasmtime::Result<Resource<Pollable>> {
        let exchange = self.resources.get(&future)?.exchange.clone();
        self.lend(Pollable::Answer(exchange))
    }

    fn get(
        &mut self,
        future: Resource<FutureResponse>,
    ) -> wasmtime::Result<Future<Resource<IncomingResponse>>> {
        let future = self.resources.get_mut(&future)?;
        let Some(answer) = future.exchange.answer().cloned() else { return Ok(None) };
        if mem::replace(&mut future.taken, true) {
            return Ok(Some(Err(())));
        }
        let response = match answer {
            Ok(answer) => Ok(self.lend(IncomingResponse { answer, consumed: false })?),
            Err(code) => Err(code),
        };
        Ok(Some(Ok(response)))
    }

    fn drop(&mut self, future: Resource<FutureResponse>) -> wasmtime::Result<()> {
        self.resources.delete(future)?;
        Ok(())
    }
}

impl types::HostIncomingResponse for Wasi {
    fn status(&mut self, response: Resource<IncomingResponse>) -> wasmtime::Result<u16> {
        Ok(self.resources.get(&response)?.answer.status.as_u16())
    }

    fn headers(&mut self, response: Resource<IncomingResponse>) -> wasmtime::Result<Resource<Fields>> {
        let answer = &self.resources.get(&response)?.answer;
        let headers = Fields::of(&answer.headers, self.scale.nothing())?;
        self.lend(headers)
    }

    fn consume(
        &mut self,
        response: Resource<IncomingResponse>,
    ) -> wasmtime::Result<Result<Resource<IncomingBody>, ()>> {
        let response = self.resources.get_mut(&response)?;
        if mem::replace(&mut response.consumed, true) {
            return Ok(Err(()));
        }
        let answer = &response.answer;
        let stream = InputStream { rest: answer.body.clone(), _weight: Some(answer.weight.clone()) };
        Ok(Ok(self.lend(IncomingBody(Some(stream)))?))
    }

    fn drop(&mut self, response: Resource<IncomingResponse>) -> wasmtime::Result<()> {
        self.resources.delete(response)?;
        Ok(())
    }
}

impl types::HostIncomingBody for Wasi {
    fn stream(
        &mut self,
        body: Resource<IncomingBody>,
    ) -> wasmtime::Result<Result<Resource<InputStream>, ()>> {
        match self.resources.get_mut(&body)?.0.take() {
            Some(stream) => Ok(Ok(self.lend(stream)?)),
            None => Ok(Err(())),
        }
    }

    fn finish(&mut self, body: Resource<IncomingBody>) -> wasmtime::Result<Resource<FutureTrailers>> {
        self.resources.delete(body)?;
        self.lend(FutureTrailers::default())
    }

    fn drop(&mut self, body: Resource<IncomingBody>) -> wasmtime::Result<()> {
        self.resources.delete(body)?;
        Ok(())
    }
}

impl types::HostFutureTrailers for Wasi {
    fn subscribe(&mut self, _: Resource<FutureTrailers>) -> wasmtime::Result<Resource<Pollable>> {
        self.lend(Pollable::Now)
    }

    fn get(
        &mut self,
        trailers: Resource<FutureTrailers>,
    ) -> wasmtime::Result<Future<Option<Resource<Fields>>>> {
        let taken = mem::replace(&mut self.resources.get_mut(&trailers)?.taken, true);
        Ok(Some(if taken { Err(()) } else { Ok(Ok(None)) }))
    }

    fn drop(&mut self, trailers: Resource<FutureTrailers>) -> wasmtime::Result<()> {
        self.resources.delete(trailers)?;
        Ok(())
    }
}
