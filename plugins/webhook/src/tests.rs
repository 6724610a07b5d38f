//! `sending`: what goes out, and when; `failing`: when the other side does not take it; `waiting`: what is kept, and what is lost; here: what
//! they share, and the config.

mod failing;
mod sending;
mod waiting;

use crate::Webhook;
use std::{
    cell::RefCell,
    rc::Rc,
    time::{Duration, SystemTime},
};
use tidegate_plugin::{
    OnEvents, Plugin, Scope, events,
    http::{Error, Request, Response},
    testing::{Granted, Host, event},
};

const URL: &str = "url = 'http://hooks.example/a'\n";
const SECOND: Duration = Duration::from_secs(1);

/// The other side, whose answer can be changed, and the plugin that posts to it.
struct Scene {
    host: Host,
    plugin: Webhook,
    answer: Rc<RefCell<Result<Response, Error>>>,
    seen: usize,
}

impl Scene {
    fn new(config: &str) -> Self {
        Self::on(Host::new(), config)
    }

    fn on(host: Host, config: &str) -> Self {
        let host = host.config(&(URL.to_owned() + config));
        let plugin = host.start().unwrap();
        let answer = Rc::new(RefCell::new(Ok(Response::new(204, ""))));
        let answered = answer.clone();
        host.http(move |_| answered.borrow().clone());
        Self { host, plugin, answer, seen: 0 }
    }

    fn answers(&mut self, status: u16) {
        *self.answer.borrow_mut() = Ok(Response::new(status, ""));
    }

    fn fails(&mut self, error: Error) {
        *self.answer.borrow_mut() = Err(error);
    }

    /// Clients of these names connect, in one batch of events.
    fn connect(&mut self, clients: &[&str]) {
        let batch = clients.iter().map(|client| event(events::CONNECTED, client)).collect();
        self.plugin.on_events(batch, 0);
    }

    fn pass(&mut self, time: Duration) {
        self.host.run_timers(&mut self.plugin, time);
    }

    /// Requests since the last time.
    fn requests(&mut self) -> Vec<Request> {
        let requests = self.host.requested().split_off(self.seen);
        self.seen += requests.len();
        requests
    }

    /// The clients in each of them; `lost N` in place of the line about lost events.
    fn told(&mut self) -> Vec<String> {
        self.requests().iter().map(|request| clients(request).join(" ")).collect()
    }

    fn counted(&self, name: &str) -> u64 {
        self.host.counted(name, &[])
    }
}

fn clients(request: &Request) -> Vec<String> {
    let events: Vec<serde_json::Value> = serde_json::from_slice(request.body.as_deref().unwrap()).unwrap();
    let client = |event: &serde_json::Value| match event["kind"].as_str() {
        Some("lost") => format!("lost {}", event["events"]),
        _ => event["client_id"].as_str().unwrap().to_owned(),
    };
    events.iter().map(client).collect()
}

fn header<'a>(request: &'a Request, name: &str) -> Option<&'a str> {
    request.headers.iter().find_map(|(known, value)| (known == name).then_some(value.as_str()))
}

fn error(config: &str) -> String {
    Host::new().secret("path", "p").config(config).start::<Webhook>().err().expect("the config is refused")
}

#[test]
fn errors_name_the_key() {
    for (config, complaint) in [
        ("", "config: missing field `url`, such as \"https://hooks.example/tidegate\""),
        ("url = 'hooks.example'", "config key `url`: it begins with https:// or http://"),
        ("url = '${secret:path}'", "config key `url`: it begins with https:// or http://"),
        (
            "url = 'http://a/${client_id}'",
            "config key `url`: there is no ${client_id}; only ${secret:NAME} can stand here",
        ),
        (
            "url = 'http://a/${secret:pth}'",
            "config key `url`: the plugin has no secret `pth`; add `secrets.pth = ",
        ),
        (
            "url = 'http://a/'\nsigning_secret = 'key'",
            "config key `signing_secret`: the plugin has no secret `key`; add",
        ),
        (
            "url = 'http://a/'\nheaders.X = '${secret:key}'",
            "config key `headers.X`: the plugin has no secret `key`; add",
        ),
        (
            "url = 'http://a/'\nevents = ['connected', 'conected']",
            "config key `events[1]`: \"conected\" is no kind of event; known are started, stopping,",
        ),
        (
            "url = 'http://a/'\nevents = []",
            "config: `events` names no kind; without that key the usual ones are sent",
        ),
        (
            "url = 'http://a/'\nformat = 'xml'",
            "config key `format`: unknown variant `xml`, expected `json` or `ndjson`",
        ),
        ("url = 'http://a/'\nmax_batch = 0", "config key `max_batch`: invalid value: integer `0`"),
        ("url = 'http://a/'\nqueue = 0", "config key `queue`: invalid value: integer `0`"),
        ("url = 'http://a/'\nmax_delay = '0s'", "config key `max_delay`: it must be more than nothing"),
        ("url = 'http://a/'\nretry_min = '2m'", "config: `retry_max` is less than `retry_min`"),
        (
            "url = 'http://a/'\nretries = 1",
            "config key `retries`: unknown field `retries`, expected one of `url`, `headers`",
        ),
    ] {
        let error = error(config);
        assert!(error.starts_with(complaint), "{config}:\n{error}\n{complaint}");
    }
}

#[test]
fn events_wait_in_kv_and_nowhere_else() {
    let refused = |host: Host| host.config(URL).start::<Webhook>().err();
    let why = refused(Host::new().without(Granted::Kv)).unwrap();
    assert_eq!(
        why,
        "the plugin is not granted kv, where events wait: grant some, as in `grants.kv = \"4MiB\"`"
    );
    let why = refused(Host::new().kv_room(100)).unwrap();
    assert!(why.starts_with("the granted kv bytes are used up, where events wait"), "{why}");
}

#[test]
fn the_scope_is_the_kinds_of_the_config() {
    let scopes = |config: &str| Scene::new(config).plugin.scopes();
    let usual = "started stopping refused connected disconnected session-expired subscribed unsubscribed will-sent plugin-changed";
    assert_eq!(scopes(""), [Scope::events(usual.split(' '))]);
    assert_eq!(scopes("events = ['connected', 'published']"), [Scope::events(["connected", "published"])]);
}

#[test]
fn every_key_has_its_line_in_the_readme() {
    let (readme, error) = (include_str!("../README.md"), error("zzz = 1"));
    // "config key `zzz`: unknown field `zzz`, expected one of `url`, …"
    let keys: Vec<&str> = error.split('`').skip(5).step_by(2).collect();
    assert_eq!((keys.len(), keys[0]), (11, "url"), "{error}");
    for key in keys {
        assert!(readme.contains(&format!("\n| `{key}` |")), "README.md says nothing of {key}");
    }
}
