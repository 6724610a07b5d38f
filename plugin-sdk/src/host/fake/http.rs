//! Answers as the test gives them. Without any, no origin is granted.

use super::with;
use crate::http::{Error, Request, Response};

/// What the test answers.
pub(crate) type Answer = Box<dyn FnMut(&Request) -> Result<Response, Error>>;

#[derive(Default)]
pub(crate) struct Http {
    pub(crate) answer: Option<Answer>,
    pub(crate) requests: Vec<Request>,
}

pub(crate) fn http_fetch(request: Request) -> Result<Response, Error> {
    // Lent for the call, so that it may look at its host.
    let answer = with(|fake| {
        fake.http.requests.push(request.clone());
        fake.http.answer.take()
    });
    let Some(mut answer) = answer else { return Err(Error::Denied) };
    let response = answer(&request);
    with(|fake| {
        fake.http.answer.get_or_insert(answer);
    });
    response
}

#[cfg(test)]
mod tests {
    use crate::{
        http::{Error, Request, Response},
        testing::Host,
    };

    #[test]
    fn requests_are_kept_and_answered_by_the_test() {
        let host = Host::new();
        assert_eq!(Request::get("http://a/").send(), Err(Error::Denied));
        let mut answers = vec![Err(Error::Timeout), Ok(Response::new(201, "made"))];
        host.http(move |_| answers.pop().unwrap_or(Err(Error::Denied)));
        let made = Request::post("http://a/b", "x").header("A", "b").send().unwrap();
        assert_eq!((made.status, &*made.text()), (201, "made"));
        assert_eq!(Request::get("http://a/").send(), Err(Error::Timeout));
        let requests = host.requested();
        assert_eq!(requests.len(), 3);
        assert_eq!((requests[1].method.as_str(), requests[1].body.as_deref()), ("POST", Some(&b"x"[..])));
    }
}
