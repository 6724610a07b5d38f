//! A request on its way, and what came of it.

use super::{
    ErrorCode,
    weight::{Scale, Weight},
};
use crate::imports::{
    Environment,
    http::{FetchError, Request, Response, fetch},
};
use bytes::Bytes;
use std::sync::{Arc, OnceLock};
use tokio::{
    runtime::Handle,
    sync::{Semaphore, SetOnce},
    task::AbortHandle,
};

/// Requests of one instance that are on their way at once.
const MOST_AT_ONCE: usize = 32;

/// What a line of headers takes up beside its text.
const LINE: usize = 64;

/// The exchanges of one instance.
pub(in super::super) struct Exchanges {
    pub(super) scale: Scale,
    permits: Arc<Semaphore>,
}

impl Default for Exchanges {
    fn default() -> Self {
        Self { scale: Scale::default(), permits: Arc::new(Semaphore::new(MOST_AT_ONCE)) }
    }
}

/// One of them. Dropped, it is given up.
#[derive(Default)]
pub struct Exchange {
    answer: SetOnce<Result<Arc<Answer>, ErrorCode>>,
    task: OnceLock<AbortHandle>,
}

/// An answer, whole.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Bytes,
    pub(super) weight: Arc<Weight>,
}

impl Exchange {
    /// None: not yet.
    pub(super) fn answer(&self) -> Option<&Result<Arc<Answer>, ErrorCode>> {
        self.answer.get()
    }

    pub(in super::super) fn is_answered(&self) -> bool {
        self.answer.initialized()
    }

    pub(in super::super) async fn answered(&self) {
        self.answer.wait().await;
    }

    /// The first answer holds.
    pub(super) fn end(&self, answer: Result<Arc<Answer>, ErrorCode>) {
        _ = self.answer.set(answer);
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        if let Some(task) = self.task.get() {
            task.abort();
        }
    }
}

impl Exchanges {
    /// Sends a request. `weight` is that of its body.
    pub(super) fn begin(
        &self,
        request: Request,
        weight: Weight,
        exchange: &Arc<Exchange>,
        environment: &Arc<Environment>,
    ) {
        let (Ok(permit), Ok(runtime)) = (self.permits.clone().try_acquire_owned(), Handle::try_current())
        else {
            exchange.end(Err(ErrorCode::ConnectionLimitReached));
            return;
        };
        let (environment, ending, answer_weight) =
            (environment.clone(), Arc::downgrade(exchange), self.scale.nothing());
        let task = runtime.spawn(async move {
            let response = fetch(&environment, request).await;
            drop((weight, permit));
            if let Some(exchange) = ending.upgrade() {
                exchange.end(response.map_err(code).and_then(|response| answer(response, answer_weight)));
            }
        });
        _ = exchange.task.set(task.abort_handle());
    }
}

fn answer(response: Response, mut weight: Weight) -> Result<Arc<Answer>, ErrorCode> {
    let Response { status, headers, body } = response;
    let lines: usize = headers.iter().map(|(name, value)| name.len() + value.len() + LINE).sum();
    if !weight.add(lines + body.len()) {
        return Err(ErrorCode::HttpResponseBodySize(u64::try_from(body.len()).ok()));
    }
    Ok(Arc::new(Answer { status, headers, body: body.into(), weight: Arc::new(weight) }))
}

fn code(error: FetchError) -> ErrorCode {
    match error {
        FetchError::Denied => ErrorCode::HttpRequestDenied,
        FetchError::Timeout => ErrorCode::HttpResponseTimeout,
        FetchError::TooLarge => ErrorCode::HttpResponseBodySize(None),
        FetchError::Other(text) => ErrorCode::InternalError(Some(text)),
    }
}
