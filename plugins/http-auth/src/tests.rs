//! `asking`: what is sent; `answers`: what comes of a response; `keeping`: verdicts that were given before; here: what they share, and the
//! config.

mod answers;
mod asking;
mod keeping;

use crate::HttpAuth;
use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    time::{Duration, SystemTime},
};
use tidegate_plugin::{
    Authenticate, Connect, Grant, Outcome, ReasonCode,
    http::{Error, Response},
    testing::{Granted, Host, connect},
};

const URL: &str = "url = 'http://auth.example/mqtt'\n";
/// Seconds since 1970.
const BEGAN: u64 = 1_700_000_000;

/// A backend whose answer can be changed, and the plugin that asks it.
struct Scene {
    host: Host,
    plugin: HttpAuth,
    answer: Rc<RefCell<Result<Response, Error>>>,
    asked: Rc<Cell<usize>>,
}

impl Scene {
    fn new(config: &str) -> Self {
        Self::on(Host::new(), config)
    }

    fn on(host: Host, config: &str) -> Self {
        let host = host.time(SystemTime::UNIX_EPOCH + Duration::from_secs(BEGAN));
        let host = host.config(&(URL.to_owned() + config));
        let plugin = host.start().unwrap();
        let answer = Rc::new(RefCell::new(Ok(Response::new(204, ""))));
        let asked = Rc::new(Cell::new(0));
        let (answered, counted) = (answer.clone(), asked.clone());
        host.http(move |_| {
            counted.set(counted.get() + 1);
            answered.borrow().clone()
        });
        Self { host, plugin, answer, asked }
    }

    fn answers(&mut self, status: u16, body: &str) -> &mut Self {
        *self.answer.borrow_mut() = Ok(Response::new(status, body));
        self
    }

    fn fails(&mut self, error: Error) -> &mut Self {
        *self.answer.borrow_mut() = Err(error);
        self
    }

    fn alice(&mut self) -> Outcome {
        self.plugin.authenticate(alice())
    }

    /// How often the backend was asked since the last time.
    fn asked(&self) -> usize {
        self.asked.take()
    }

    fn last_line(&self) -> String {
        self.host.logged().last().map(ToString::to_string).unwrap_or_default()
    }
}

fn alice() -> Connect {
    connect("c1", "alice", "alice-secret")
}

fn granted() -> Outcome {
    Outcome::Grant(Grant::new())
}

fn refused(code: ReasonCode) -> Outcome {
    Outcome::refuse(code)
}

fn error(config: &str) -> String {
    Host::new().config(config).start::<HttpAuth>().err().expect("the config is refused")
}

#[test]
fn errors_name_the_key() {
    for (config, complaint) in [
        ("", "config: missing field `url`, such as \"https://auth.example/mqtt\""),
        ("url = 'auth.example'", "config key `url`: it begins with https:// or http://"),
        ("url = '${username}'", "config key `url`: it begins with https:// or http://"),
        (
            "url = 'https://${username}.example/'",
            "config key `url`: places to fill come behind the host, as in",
        ),
        (
            "url = 'http://a/${user}'",
            "config key `url`: there is no ${user}; known are client_id, username, password, peer, listener, protocol, tls_subject and secret:NAME",
        ),
        ("url = 'http://a/'\nfields.u = '${usr}'", "config key `fields.u`: there is no ${usr}; known are"),
        ("url = 'http://a/'\nfields.u = '${username'", "config key `fields.u`: after ${ comes NAME}"),
        (
            "url = 'http://a/'\nheaders.Authorization = 'Bearer ${secret:token}'",
            "config key `headers.Authorization`: the plugin has no secret `token`; add `secrets.token = ",
        ),
        (
            "url = 'http://a/'\nheaders.X = '${username}'",
            "config key `headers.X`: `${username}` cannot stand in a header",
        ),
        (
            "url = 'http://a/'\nmethod = 'GET'",
            "config: `method`: a GET has no body; write `encoding = \"query\"`",
        ),
        (
            "url = 'http://a/'\nmethod = 'DELETE'",
            "config key `method`: unknown variant `DELETE`, expected one of",
        ),
        (
            "url = 'http://a/'\nencoding = 'xml'",
            "config key `encoding`: unknown variant `xml`, expected one of",
        ),
        (
            "url = 'http://a/'\ncache = '1d'",
            "config key `cache`: \"1d\" is not a duration; write for example",
        ),
        ("url = 'http://a/'\ntimeout = '0s'", "config key `timeout`: it must be more than nothing"),
        ("url = 'http://a/'\nretries = -1", "config key `retries`: invalid value: integer `-1`"),
        (
            "url = 'http://a/'\non_error = 'allow'",
            "config key `on_error`: unknown variant `allow`, expected `refuse` or `last_good`",
        ),
        (
            "url = 'http://a/'\nnot_found = 'allow'",
            "config key `not_found`: unknown variant `allow`, expected one of `deny`, `ignore`, `error`",
        ),
        (
            "url = 'http://a/'\nacl = [{ allow = 'all', topic = 'a#' }]",
            "config key `acl[0].topic`: \"a#\" is not a topic filter",
        ),
        (
            "url = 'http://a/'\nfields = { pw = '${password}' }\nacl = [{ allow = 'all', topic = 'a' }, { allow = 'all', topic = 'b/%u' }]",
            "config: `acl[1]` goes by the user name (`user`, %u), and the service is not told which one the client says; add `username = \"${username}\"` to `fields`",
        ),
        (
            "url = 'http://a/${client_id}'\nfields = { }\nacl = [{ user = 'alice', allow = 'all', topic = 'a' }]",
            "config: `acl[0]` goes by the user name",
        ),
        (
            "url = 'http://a/'\nurls = 'x'",
            "config key `urls`: unknown field `urls`, expected one of `url`, `method`",
        ),
    ] {
        let error = error(config);
        assert!(error.starts_with(complaint), "{config}:\n{error}\n{complaint}");
    }
}

#[test]
fn without_kv_verdicts_are_kept_nowhere_and_that_must_be_meant() {
    let start = |config: &str| {
        Host::new().without(Granted::Kv).config(&(URL.to_owned() + config)).start::<HttpAuth>().map(drop)
    };
    let refused = start("").unwrap_err();
    assert!(
        refused.starts_with("the plugin is not granted kv, where verdicts are kept: grant some"),
        "{refused}"
    );
    assert!(start("cache = '0s'").is_err(), "refusals are kept too");
    assert_eq!(start("cache = '0s'\ncache_denied = '0s'"), Ok(()));
    assert!(start("cache = '0s'\ncache_denied = '0s'\non_error = 'last_good'").is_err());
}

#[test]
fn every_key_has_its_line_in_the_readme() {
    let (readme, error) = (include_str!("../README.md"), error("zzz = 1"));
    // "config key `zzz`: unknown field `zzz`, expected one of `url`, …"
    let keys: Vec<&str> = error.split('`').skip(5).step_by(2).collect();
    assert_eq!((keys.len(), keys[0]), (13, "url"), "{error}");
    for key in keys {
        assert!(readme.contains(&format!("\n| `{key}` |")), "README.md says nothing of {key}");
    }
}
