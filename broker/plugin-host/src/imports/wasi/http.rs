//! `wasi:http/outgoing-handler` over the client of `tidegate:plugin/http`: the same grants, limits and refusals. Bodies are whole in
//! memory on both ways, and nothing is sent before a request is complete.

mod exchange;
mod fields;
mod incoming;
mod outgoing;
mod weight;

pub use exchange::Exchange;
pub use fields::Fields;
pub use incoming::{FutureResponse, FutureTrailers, IncomingBody, IncomingResponse};
pub use outgoing::{BodyParts, OutgoingBody, OutgoingRequest, RequestOptions};
pub use weight::Weight;

pub(super) use weight::Scale;

use super::{
    Wasi,
    bindings::wasi::http::{
        outgoing_handler,
        types::{self, ErrorCode},
    },
    linked,
};
use crate::instance::Guest;
use wasmtime::{
    StoreContextMut,
    component::{Linker, Resource},
};

impl types::Host for Wasi {}

impl outgoing_handler::Host for Wasi {
    fn handle(
        &mut self,
        request: Resource<OutgoingRequest>,
        options: Option<Resource<RequestOptions>>,
    ) -> wasmtime::Result<Result<Resource<FutureResponse>, ErrorCode>> {
        let (request, options) = self.taken(request, options)?;
        match outgoing::send(request, &options, self.scale.nothing(), &self.environment) {
            Ok(exchange) => Ok(Ok(self.lend(FutureResponse::new(exchange))?)),
            Err(code) => Ok(Err(code)),
        }
    }
}

impl Wasi {
    fn taken(
        &mut self,
        request: Resource<OutgoingRequest>,
        options: Option<Resource<RequestOptions>>,
    ) -> wasmtime::Result<(OutgoingRequest, RequestOptions)> {
        let request = self.resources.delete(request)?;
        let options = options.map(|options| self.resources.delete(options)).transpose()?;
        Ok((request, options.unwrap_or_default()))
    }
}

type Handled = Result<Resource<FutureResponse>, ErrorCode>;

/// Who may not wait was not granted `http`, and is told so at once.
pub(super) fn deny(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    linker.instance(&linked("wasi:http/outgoing-handler"))?.func_wrap(
        "handle",
        |mut store: StoreContextMut<'_, Guest>,
         (request, options): (Resource<OutgoingRequest>, Option<Resource<RequestOptions>>)| {
            store.data_mut().wasi.taken(request, options)?;
            Ok((Handled::Err(ErrorCode::HttpRequestDenied),))
        },
    )
}

#[cfg(test)]
mod tests;
