//! A chain of five keeps one order, always.

use crate::{embedded::Embedded, scripted::Scripted};
use std::sync::Arc;
use tidegate::hooks::{
    Member, Patch, Place, PublishRequest, PublishVerdict, SubscribeChange, SubscribeRequest, SubscribeVerdict,
};
use tidegate_mqtt::{QoS, SubscriptionFilter, Version};

/// Appends its name to payloads and filters.
fn appends(order: i32, name: &'static str) -> Member {
    let publish = move |request: &PublishRequest<'_>| {
        let payload = [request.payload, name.as_bytes()].concat();
        Ok(PublishVerdict::Edit(Box::new(Patch { payload: Some(payload.into()), ..Patch::default() })))
    };
    let subscribe = move |requests: &[SubscribeRequest<'_>]| {
        let edited = requests.iter().map(|request| {
            let filter = SubscriptionFilter::new(&format!("{}{name}", request.filter)).ok();
            SubscribeVerdict::Edit(SubscribeChange { filter, qos: None })
        });
        Ok(edited.collect())
    };
    let hooks = Scripted {
        publish: Some(Box::new(publish)),
        subscribe: Some(Box::new(subscribe)),
        ..Scripted::default()
    };
    Member { place: Place { order, name: name.into() }, ..Member::new(name, Arc::new(hooks)) }
}

#[test]
fn by_order_then_by_name_however_they_came_and_whoever_is_replaced() {
    let embedded = Embedded::open();
    let members = [(0, "e"), (-1, "z"), (0, "c"), (7, "a"), (0, "d")];
    for (order, name) in members {
        embedded.install_member(&appends(order, name));
    }
    let mut client = embedded.client(Version::V5, "c");
    client.subscribe("t/", QoS::AtLeastOnce);
    for replaced in [None, Some((0, "d")), Some((7, "a")), Some((-1, "z"))] {
        if let Some((order, name)) = replaced {
            embedded.install_member(&appends(order, name));
        }
        client.publish("t/zcdea", "", QoS::AtLeastOnce);
        assert_eq!(client.accept().payload, "zcdea", "after {replaced:?}");
    }
    embedded.remove("d");
    client.publish("t/zcdea", "", QoS::AtLeastOnce);
    assert_eq!(client.accept().payload, "zcea");
}

#[test]
fn the_first_that_accepts_or_swallows_is_the_last_that_is_asked() {
    let embedded = Embedded::open();
    for (order, name) in [(0, "a"), (2, "c")] {
        embedded.install_member(&Member { ..appends(order, name) });
    }
    let end = |verdict: PublishVerdict| {
        let hooks = Scripted { publish: Some(Box::new(move |_| Ok(verdict.clone()))), ..Scripted::default() };
        Member { place: Place { order: 1, name: "b".into() }, ..Member::new("b", Arc::new(hooks)) }
    };
    let mut client = embedded.client(Version::V5, "c");
    client.subscribe("t/", QoS::AtLeastOnce);
    embedded.install_member(&end(PublishVerdict::Accept));
    client.publish("t/ac", "", QoS::AtLeastOnce);
    assert_eq!(client.accept().payload, "a");
    embedded.install_member(&end(PublishVerdict::Swallow));
    client.publish("t/ac", "", QoS::AtLeastOnce);
    client.expect_nothing();
}
