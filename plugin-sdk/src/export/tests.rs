mod every_hook;

use super::*;
use crate::{AclRequest, Decision, NoConfig, Scope, Span, testing::Host};
use std::time::Duration;

thread_local! {
    static INSTANCE: RefCell<Option<Counting>> = const { RefCell::new(None) };
}

struct Counting(u8);

impl Plugin for Counting {
    type Config = NoConfig;
    fn new(start: Start, _: NoConfig) -> Result<Self, String> {
        Ok(Self(start.state.map_or(0, |state| state[0])))
    }
    fn scopes(&self) -> Vec<Scope> {
        vec![Scope::acl(["a/#"])]
    }
    fn drain(&mut self) -> Option<Vec<u8>> {
        Some(vec![self.0])
    }
}

impl Acl for Counting {
    fn check(&mut self, request: AclRequest) -> Decision {
        self.0 += 1;
        Decision::Allow(Span::new(request.topic, Duration::from_millis(u64::MAX)))
    }
}

struct Instance;

impl Exported for Instance {
    type Plugin = Counting;
    fn slot<R>(f: impl FnOnce(&RefCell<Option<Counting>>) -> R) -> R {
        INSTANCE.with(f)
    }
}

#[test]
fn exports_reach_the_one_instance() {
    use acl::Guest as _;
    use lifecycle::Guest as _;
    let _host = Host::new();
    let start = lifecycle::Start {
        plugin: "counting".into(),
        generation: 2,
        broker_version: "0.1.0".into(),
        state: Some(vec![5]),
    };
    let scopes = Guest::<Instance>::init(start).unwrap();
    let _ = panic::take_hook();
    assert_eq!((scopes[0].hook.as_str(), &scopes[0].filters[..]), ("acl", &["a/#".to_owned()][..]));
    let request = acl::Request {
        session: 1,
        client_id: "c1".into(),
        username: None,
        action: acl::Action::Subscribe,
        topic: "a/b".into(),
        qos: 1,
        retain: false,
    };
    let acl::Decision::Allow(span) = Guest::<Instance>::check(request) else { panic!("not allowed") };
    assert_eq!((span.filter.as_str(), span.ttl_ms), ("a/b", u32::MAX));
    assert_eq!(Guest::<Instance>::drain(), Some(vec![6]));
}
