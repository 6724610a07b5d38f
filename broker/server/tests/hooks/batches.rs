//! Messages that come in one read are asked about at once.

use crate::{embedded::Embedded, scripted::Scripted};
use std::sync::{Arc, Mutex};
use tidegate::hooks::{Patch, PublishRequest, PublishVerdict};
use tidegate_mqtt::{Packet, Publish, QoS, ReasonCode, Version};
use tidegate_tests::publish;

#[test]
fn one_call_for_many_and_each_message_has_its_own_verdict_in_order() {
    let embedded = Embedded::open();
    let sizes = Arc::new(Mutex::new(Vec::new()));
    let sink = sizes.clone();
    let batch = move |requests: &[PublishRequest<'_>]| {
        sink.lock().unwrap().push(requests.len());
        let verdict = |request: &PublishRequest<'_>| match request.payload {
            b"refuse" => PublishVerdict::Refuse(ReasonCode::QuotaExceeded),
            b"swallow" => PublishVerdict::Swallow,
            other => {
                let payload = [other, b"!"].concat();
                PublishVerdict::Edit(Box::new(Patch { payload: Some(payload.into()), ..Patch::default() }))
            }
        };
        Ok(requests.iter().map(verdict).collect())
    };
    embedded.install("b", Arc::new(Scripted { batch: Some(Box::new(batch)), ..Scripted::default() }));
    let mut watcher = embedded.client(Version::V5, "w");
    watcher.subscribe("a", QoS::AtLeastOnce);
    let mut publisher = embedded.client(Version::V5, "p");
    let mut bytes = Vec::new();
    let payloads = ["1", "refuse", "2", "swallow", "3"];
    for payload in payloads {
        let packet_id = Some(publisher.packet_id());
        let packet = Packet::Publish(Publish { packet_id, ..publish("a", payload, QoS::AtLeastOnce) });
        packet.encode(Version::V5, &mut bytes).unwrap();
    }
    // Something else in the same read ends the batch, and is answered after it.
    Packet::PingReq.encode(Version::V5, &mut bytes).unwrap();
    publisher.send_bytes(&bytes);
    assert_eq!(watcher.payloads(3), ["1!", "2!", "3!"]);
    let reasons: Vec<ReasonCode> = payloads
        .iter()
        .map(|_| {
            publisher.find("PUBACK", |packet| match packet {
                tidegate_tests::Received::Packet(Packet::PubAck(ack)) => Some(ack.reason),
                _ => None,
            })
        })
        .collect();
    use ReasonCode::{NoMatchingSubscribers, QuotaExceeded, Success};
    assert_eq!(reasons, [Success, QuotaExceeded, Success, NoMatchingSubscribers, Success]);
    assert_eq!(sizes.lock().unwrap().iter().sum::<usize>(), 5);
    assert!(sizes.lock().unwrap().iter().any(|size| *size > 1), "{sizes:?}");
}

#[test]
fn too_few_verdicts_are_a_fault_of_every_message() {
    let embedded = Embedded::open();
    let batch = |_: &[PublishRequest<'_>]| Ok(Vec::new());
    let hooks = Scripted {
        batch: Some(Box::new(batch)),
        publish: Some(Box::new(|_| Ok(PublishVerdict::Next))),
        ..Scripted::default()
    };
    embedded.install("b", Arc::new(hooks));
    let mut publisher = embedded.client(Version::V5, "p");
    assert_eq!(publisher.publish("a", "x", QoS::AtLeastOnce), ReasonCode::ImplementationSpecificError);
}
