//! A request on its way, and what came of it.

use super::{ErrorCode, Fields, Weight};
use crate::imports::{Environment, http::HttpError};
use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};
use tokio::{runtime::Handle, sync::SetOnce, task::AbortHandle};

/// A request to an answer. Dropped, it is given up.
#[derive(Default)]
pub struct Exchange {
    answer: SetOnce<Result<Arc<Answer>, ErrorCode>>,
    task: OnceLock<AbortHandle>,
}

/// An answer, whole.
pub struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
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

    #[cfg(test)]
    pub(in super::super) fn fail(&self) {
        self.end(Err(ErrorCode::LoopDetected));
    }

    /// Sends a request, whose body weighs that much.
    pub(super) fn begin(
        self: &Arc<Self>,
        request: Request<Bytes>,
        timeout: Option<Duration>,
        weight: Weight,
        environment: &Arc<Environment>,
    ) {
        let Ok(runtime) = Handle::try_current() else {
            return self.end(Err(ErrorCode::InternalError(None)));
        };
        let (environment, ending) = (environment.clone(), Arc::downgrade(self));
        let task = runtime.spawn(async move {
            let response = environment.exchange(request, timeout).await.map_err(code);
            if let Some(exchange) = ending.upgrade() {
                let weight = weight.anew();
                exchange.end(response.and_then(|response| Answer::new(response, weight)));
            }
        });
        _ = self.task.set(task.abort_handle());
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        if let Some(task) = self.task.get() {
            task.abort();
        }
    }
}

impl Answer {
    fn new(response: Response<Vec<u8>>, mut weight: Weight) -> Result<Arc<Self>, ErrorCode> {
        let (head, body) = response.into_parts();
        if !weight.add(Fields::size(&head.headers) + body.len()) {
            return Err(ErrorCode::HttpResponseBodySize(u64::try_from(body.len()).ok()));
        }
        let weight = Arc::new(weight);
        Ok(Arc::new(Self { status: head.status, headers: head.headers, body: body.into(), weight }))
    }
}

fn code(error: HttpError) -> ErrorCode {
    match error {
        HttpError::Denied => ErrorCode::HttpRequestDenied,
        HttpError::Timeout => ErrorCode::HttpResponseTimeout,
        HttpError::TooLarge => ErrorCode::HttpResponseBodySize(None),
        HttpError::TooMany => ErrorCode::ConnectionLimitReached,
        HttpError::Failed(why) => ErrorCode::InternalError(Some(why)),
    }
}
