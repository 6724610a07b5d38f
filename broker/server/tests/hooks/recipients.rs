//! Who gets a message: `select` and `pick`.

use crate::{
    embedded::Embedded,
    scripted::{Scripted, fault},
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};
use tidegate::hooks::{Choice, SelectRequest, Selection};
use tidegate_mqtt::{QoS, Version};
use tidegate_tests::Client;

fn crowd(embedded: &Embedded, filter: &str) -> Vec<Client> {
    ["blue-1", "blue-2", "red-1"]
        .map(|name| {
            let mut client = embedded.client(Version::V5, name);
            client.subscribe(filter, QoS::AtLeastOnce);
            client
        })
        .into()
}

/// Which of the crowd got the message.
fn who(crowd: &mut [Client], payload: &str) -> Vec<usize> {
    let mut got = Vec::new();
    for (index, client) in crowd.iter_mut().enumerate() {
        let messages = client.drain();
        assert!(messages.iter().all(|message| message.payload == payload));
        got.extend(messages.iter().map(|_| index));
    }
    got
}

fn blues(request: &SelectRequest<'_>) -> Vec<u32> {
    let blue = request.candidates.iter().enumerate().filter(|(_, one)| one.client_id.starts_with("blue"));
    blue.map(|(index, _)| index as u32).collect()
}

#[test]
fn only_those_whom_the_hook_leaves_get_it() {
    let choices: [(&str, fn(&SelectRequest<'_>) -> Result<Choice, ()>, Vec<usize>); 5] = [
        ("all", |_| Ok(Choice::All), vec![0, 1, 2]),
        ("only", |request| Ok(Choice::Only(blues(request))), vec![0, 1]),
        ("except", |request| Ok(Choice::Except(blues(request))), vec![2]),
        ("nobody", |_| Ok(Choice::Only(Vec::new())), vec![]),
        // As matched: a fault neither adds nor takes away.
        ("fault", |_| Err(()), vec![0, 1, 2]),
    ];
    for (name, choose, expected) in choices {
        let embedded = Embedded::open();
        let select = move |request: &SelectRequest<'_>| {
            let choice = choose(request).map_err(|()| fault())?;
            Ok(Selection { choice, cache: Duration::ZERO })
        };
        embedded.install("s", Arc::new(Scripted { select: Some(Box::new(select)), ..Scripted::default() }));
        let mut crowd = crowd(&embedded, "a");
        embedded.client(Version::V5, "p").publish("a", name, QoS::AtLeastOnce);
        assert_eq!(who(&mut crowd, name), expected, "{name}");
    }
}

#[test]
fn an_answer_that_may_be_kept_is_not_asked_for_again_until_subscriptions_change() {
    let asked = Arc::new(AtomicUsize::new(0));
    let counter = asked.clone();
    let select = move |request: &SelectRequest<'_>| {
        counter.fetch_add(1, SeqCst);
        Ok(Selection { choice: Choice::Only(blues(request)), cache: Duration::from_secs(3600) })
    };
    let embedded = Embedded::open();
    embedded.install("s", Arc::new(Scripted { select: Some(Box::new(select)), ..Scripted::default() }));
    let mut crowd = crowd(&embedded, "a");
    let mut publisher = embedded.client(Version::V5, "p");
    for _ in 0..3 {
        publisher.publish("a", "x", QoS::AtLeastOnce);
    }
    assert_eq!(who(&mut crowd, "x"), [0, 0, 0, 1, 1, 1]);
    assert_eq!(asked.load(SeqCst), 1);
    let mut late = embedded.client(Version::V5, "blue-3");
    late.subscribe("a", QoS::AtLeastOnce);
    publisher.publish("a", "y", QoS::AtLeastOnce);
    assert_eq!(late.accept().payload, "y");
    assert_eq!(asked.load(SeqCst), 2);
}

#[test]
fn each_hook_chooses_among_those_whom_the_ones_before_left() {
    let embedded = Embedded::open();
    let first = |request: &SelectRequest<'_>| {
        Ok(Selection { choice: Choice::Only(blues(request)), cache: Duration::ZERO })
    };
    let second = |request: &SelectRequest<'_>| {
        assert_eq!(request.candidates.len(), 2);
        Ok(Selection { choice: Choice::Except(vec![0]), cache: Duration::ZERO })
    };
    embedded.install("a", Arc::new(Scripted { select: Some(Box::new(first)), ..Scripted::default() }));
    embedded.install("b", Arc::new(Scripted { select: Some(Box::new(second)), ..Scripted::default() }));
    let mut crowd = crowd(&embedded, "a");
    embedded.client(Version::V5, "p").publish("a", "x", QoS::AtLeastOnce);
    assert_eq!(who(&mut crowd, "x"), [1]);
}

#[test]
fn the_hook_picks_the_member_of_a_group_or_leaves_it_to_the_broker() {
    let embedded = Embedded::open();
    let pick = |request: &tidegate::hooks::PickRequest<'_>| match request.message.payload {
        b"second" => Ok(Some(1)),
        b"fault" => Err(fault()),
        _ => Ok(None),
    };
    embedded.install("s", Arc::new(Scripted { pick: Some(Box::new(pick)), ..Scripted::default() }));
    let mut crowd = crowd(&embedded, "$share/g/a");
    let mut publisher = embedded.client(Version::V5, "p");
    for _ in 0..4 {
        publisher.publish("a", "second", QoS::AtLeastOnce);
    }
    assert_eq!(who(&mut crowd, "second"), [1, 1, 1, 1]);
    for left_to_us in ["none", "fault"] {
        for _ in 0..3 {
            publisher.publish("a", left_to_us, QoS::AtLeastOnce);
        }
        assert_eq!(who(&mut crowd, left_to_us), [0, 1, 2], "{left_to_us}: in turn");
    }
}
