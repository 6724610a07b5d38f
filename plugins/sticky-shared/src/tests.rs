use crate::StickyShared;
use std::time::Duration;
use tidegate_plugin::{
    Candidate, Field, Message, Plugin, Scope, Selection, Subscribers,
    testing::{Granted, Host, candidate, message},
};

const GROUP: &str = "$share/workers/jobs/#";

fn started(config: &str) -> StickyShared {
    Host::new().config(config).start().unwrap()
}

fn members(names: &[&str]) -> Vec<Candidate> {
    let member = |(session, name): (u64, &&str)| {
        let mut member = candidate(name, "jobs/#");
        member.session = session;
        member
    };
    (10..).zip(names).map(member).collect()
}

/// Who gets a message, by name.
fn picked(plugin: &mut StickyShared, message: Message, names: &[&str]) -> Option<String> {
    plugin.pick(message, GROUP, members(names)).map(|at| names[at].to_owned())
}

fn from(client_id: &str, topic: &str) -> Message {
    let mut message = message(topic, "");
    message.client_id = Some(client_id.into());
    message
}

#[test]
fn one_key_has_one_member_in_whatever_order_they_stand_and_whichever_instance_is_asked() {
    let (mut first, mut second) = (started("key = 'topic'"), started("key = 'topic'"));
    for number in 0..100 {
        let job = || message(&format!("jobs/{number}"), "");
        let member = picked(&mut first, job(), &["a", "b", "c"]);
        assert_eq!(member, picked(&mut second, job(), &["c", "a", "b"]));
    }
}

#[test]
fn keys_are_spread_over_all_members() {
    let mut plugin = started("key = 'topic'");
    let names = ["a", "b", "c", "d", "e"];
    let picks = (0..2000).map(|number| picked(&mut plugin, message(&format!("jobs/{number}"), ""), &names));
    let picks: Vec<_> = picks.flatten().collect();
    for name in names {
        let number = picks.iter().filter(|pick| *pick == name).count();
        assert!((320..480).contains(&number), "{name}: {number} of 2000");
    }
}

#[test]
fn who_comes_or_goes_moves_no_other_keys() {
    let mut plugin = started("key = 'topic'");
    let (mut moved, mut taken) = (0, 0);
    for number in 0..1000 {
        let mut pick =
            |names: &[&str]| picked(&mut plugin, message(&format!("jobs/{number}"), ""), names).unwrap();
        let before = pick(&["a", "b", "c", "d"]);
        let after = pick(&["a", "b", "d"]);
        if before == "c" {
            moved += 1
        } else {
            assert_eq!(after, before)
        }
        let more = pick(&["a", "b", "c", "new", "d"]);
        if more == "new" { taken += 1 } else { assert_eq!(more, before) }
    }
    assert!((200..300).contains(&moved) && (150..250).contains(&taken), "{moved} {taken}");
}

#[test]
fn the_key_is_what_the_config_says() {
    let names = ["a", "b", "c", "d", "e", "f", "g", "h"];
    let mut by_level = started("key = 'topic-level:2'");
    let mut pick = |topic: &str| picked(&mut by_level, message(topic, ""), &names);
    assert_eq!(pick("jobs/7/start"), pick("jobs/7/stop"));
    assert!((0..20).any(|number| pick("jobs/7/start") != pick(&format!("jobs/{number}/start"))));

    let mut by_json = started("key = 'json:/id'");
    let mut pick = |payload: &str| picked(&mut by_json, message("jobs", payload), &names);
    assert_eq!(pick(r#"{"id": "x", "n": 1}"#), pick(r#"{"n": 2, "id": "\u0078"}"#));
    assert!((0..20).any(|number| pick("{\"id\": 0}") != pick(&format!("{{\"id\": {number}}}"))));
}

#[test]
fn without_a_key_it_is_the_brokers_turn_or_the_publisher_is_the_key() {
    let names = ["a", "b", "c"];
    assert_eq!(picked(&mut started("key = 'json:/id'"), message("jobs", "no json"), &names), None);
    let sized = |bytes: usize| message("jobs", r#"{"id": 1}"#.to_owned() + &" ".repeat(bytes - 9));
    assert!(picked(&mut started("key = 'json:/id'"), sized(65_536), &names).is_some());
    assert_eq!(picked(&mut started("key = 'json:/id'"), sized(65_537), &names), None, "too large for JSON");
    let mut by_client = started("key = 'client-id'");
    let mut otherwise = started("key = 'json:/id'\non_missing = 'client-id'");
    for number in 0..20 {
        let job = || from(&format!("c{number}"), "jobs");
        let pick = picked(&mut otherwise, job(), &names);
        assert!(pick.is_some());
        assert_eq!(pick, picked(&mut by_client, job(), &names));
    }
    assert_eq!(picked(&mut otherwise, message("jobs", "a plugin's"), &names), None);
}

#[test]
fn other_groups_are_the_brokers() {
    let in_group = |groups: &str, group: &str| {
        let mut plugin = started(&format!("key = 'topic'\n{groups}"));
        plugin.pick(message("jobs", ""), group, members(&["a", "b"])).is_some()
    };
    assert!(in_group("", GROUP) && in_group("", "$queue/jobs/#"));
    let named = "groups = ['workers', '$queue', '$share/loggers/jobs/+']";
    for (group, expected) in [
        (GROUP, true),
        ("$share/workers/x", true),
        ("$queue/x", true),
        ("$share/loggers/jobs/+", true),
        ("$share/loggers/jobs/#", false),
        ("$share/worker/jobs/#", false),
        ("$share/jobs/workers", false),
    ] {
        assert_eq!(in_group(named, group), expected, "{group}");
    }
}

#[test]
fn a_member_that_is_away_is_waited_for_or_skipped() {
    let names = ["a", "b", "c"];
    let first = picked(&mut started("key = 'topic'"), message("jobs", ""), &names).unwrap();
    let others: Vec<&str> = names.into_iter().filter(|name| *name != first).collect();
    let second = picked(&mut started("key = 'topic'"), message("jobs", ""), &others).unwrap();
    let session = |name: &str| 10 + names.iter().position(|one| *one == name).unwrap() as u64;
    let pick = |away: &str, connected: &[&str]| {
        let host = Host::new().config(&format!("key = 'topic'\naway = '{away}'"));
        let host = connected.iter().fold(host, |host, name| host.client(session(name), name));
        picked(&mut host.start().unwrap(), message("jobs", ""), &names).unwrap()
    };
    assert_eq!(pick("wait", &others), first);
    assert_eq!(pick("skip", &names), first);
    assert_eq!(pick("skip", &others), second);
    assert_eq!(pick("skip", &[]), first, "nobody is there: it waits for the first");
}

#[test]
fn subscriptions_that_are_not_shared_are_left_alone_and_seldom_asked_about() {
    let selection = started("key = 'topic'").select(message("jobs", ""), members(&["a", "b"]));
    assert_eq!(selection, Selection::all().cached(Duration::from_secs(3600)));
}

#[test]
fn the_scope_is_the_configured_topics_and_what_the_key_needs() {
    let scopes = |config: &str| started(config).scopes();
    assert_eq!(scopes("key = 'topic'"), [Scope::subscribers([""; 0])]);
    assert_eq!(
        scopes("key = 'json:/id'\ntopics = ['jobs/#']\non_missing = 'client-id'"),
        [Scope::subscribers(["jobs/#"]).wanting(Field::Payload).wanting(Field::ClientId)]
    );
    assert_eq!(scopes("key = 'user-property:id'"), [Scope::subscribers([""; 0]).wanting(Field::Properties)]);
}

#[test]
fn errors_name_the_key() {
    for (config, complaint) in [
        ("", "config: missing field `key`"),
        ("key = 'id'", "config key `key`: \"id\" is none of client-id, topic,"),
        (
            "key = 'topic'\ngroups = ['a', 'b/c']",
            "config key `groups[1]`: \"b/c\" is neither the NAME of $share/NAME/FILTER nor all of that",
        ),
        ("key = 'topic'\ntopics = ['a+']", "config key `topics[0]`: \"a+\" is not a topic filter"),
        (
            "key = 'topic'\non_missing = 'drop'",
            "config key `on_missing`: unknown variant `drop`, expected `broker` or `client-id`",
        ),
        (
            "key = 'topic'\naway = 'drop'",
            "config key `away`: unknown variant `drop`, expected `wait` or `skip`",
        ),
        ("key = 'topic'\ngroup = 'a'", "config key `group`: unknown field `group`"),
    ] {
        let error = Host::new().config(config).start::<StickyShared>().err().expect(config);
        assert!(error.starts_with(complaint), "{config}:\n{error}\n{complaint}");
    }
    let without = Host::new().config("key = 'topic'\naway = 'skip'").without(Granted::Clients);
    let error = without.start::<StickyShared>().err().unwrap();
    assert!(error.starts_with("config key `away`: \"skip\" needs the grant `clients`; add "), "{error}");
}

#[test]
fn the_page_of_docs_has_a_line_for_every_key() {
    let host = Host::new();
    let keys = host.config_keys::<StickyShared>();
    assert!(keys.len() > 1, "{keys:?}");
    for key in keys {
        assert!(
            include_str!("../README.md").contains(&format!("\n| `{key}` |")),
            "README.md says nothing of {key}"
        );
    }
}
