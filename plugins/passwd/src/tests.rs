use crate::Passwd;
use argon2::{Algorithm, Argon2, Params, PasswordHasher, Version};
use tidegate_plugin::{
    Action, Authenticate, Grant, Outcome, QoS, ReasonCode, Rule,
    testing::{Host, anonymous, connect},
};

/// Cheap ones: tests need no strength.
fn hash(password: &str, passes: u32) -> String {
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::new(64, passes, 1, None).unwrap());
    argon2.hash_password_with_salt(password.as_bytes(), b"0123456789abcdef").unwrap().to_string()
}

fn started(acl: &str) -> (Host, Passwd) {
    let users =
        format!("users.alice = '{}'\nusers.bob = '{}'\n", hash("alice-secret", 1), hash("bob-secret", 1));
    let host = Host::new().config(&(users + acl));
    let plugin = host.start().unwrap();
    (host, plugin)
}

fn refused() -> Outcome {
    Outcome::refuse(ReasonCode::BadUserNameOrPassword)
}

fn error(config: &str) -> String {
    Host::new().config(config).start::<Passwd>().err().expect("the config is refused")
}

#[test]
fn the_right_password_lets_in_without_rules_if_there_are_none() {
    let (_host, mut plugin) = started("");
    assert_eq!(plugin.authenticate(connect("c1", "alice", "alice-secret")), Outcome::Grant(Grant::new()));
}

#[test]
fn a_wrong_password_and_an_unknown_user_get_the_same_answer() {
    let (host, mut plugin) = started("");
    for (user, password) in [("alice", "bob-secret"), ("alice", ""), ("mallory", "alice-secret"), ("", "")] {
        assert_eq!(plugin.authenticate(connect("c1", user, password)), refused(), "{user:?} {password:?}");
    }
    let mut without_password = connect("c1", "alice", "");
    without_password.password = None;
    assert_eq!(plugin.authenticate(without_password), refused());
    let logged = host.logged();
    assert_eq!(logged[1].to_string(), "INFO wrong user name or password client=c1 peer=192.0.2.1:50000");
    assert!(logged.iter().all(|line| !line.to_string().contains("secret")));
}

#[test]
fn without_a_username_others_decide() {
    let (_host, mut plugin) = started("");
    assert_eq!(plugin.authenticate(anonymous("c1")), Outcome::Next);
}

#[test]
fn an_unknown_user_takes_as_long_as_the_dearest_password() {
    let config =
        format!("users.a = '{}'\nusers.b = '{}'\nusers.c = '{}'", hash("x", 1), hash("y", 5), hash("z", 2));
    let plugin: Passwd = Host::new().config(&config).start().unwrap();
    assert_eq!(plugin.decoy.unwrap().cost(), 5 * 64);
}

#[test]
fn rules_of_the_user_and_of_everyone_are_granted_in_order_and_the_rest_is_denied() {
    let acl = r##"
        acl = [
            { user = "alice", allow = "subscribe", topic = "sensors/#", max_qos = 1 },
            { user = "bob", allow = "publish", topic = "sensors/%c" },
            { deny = "all", topic = "private/#" },
            { allow = "readwrite", topic = "home/%u/#" },
        ]
    "##;
    let (_host, mut plugin) = started(acl);
    let Outcome::Grant(grant) = plugin.authenticate(connect("c1", "alice", "alice-secret")) else {
        panic!("refused")
    };
    let expected = [
        Rule::allow_subscribe("sensors/#").up_to(QoS::AtLeastOnce),
        Rule::allow(Action::Receive, "sensors/#"),
        Rule::deny_publish("private/#"),
        Rule::deny_subscribe("private/#"),
        Rule::deny(Action::Receive, "private/#"),
        Rule::allow_publish("home/%u/#"),
        Rule::allow_subscribe("home/%u/#"),
        Rule::allow(Action::Receive, "home/%u/#"),
        Rule::deny_publish("#"),
        Rule::deny_subscribe("#"),
    ];
    assert_eq!(grant.rules, expected);
    let Outcome::Grant(grant) = plugin.authenticate(connect("c2", "bob", "bob-secret")) else {
        panic!("refused")
    };
    assert_eq!(grant.rules[0], Rule::allow_publish("sensors/%c"));
}

#[test]
fn a_user_no_rule_applies_to_may_do_nothing() {
    let (_host, mut plugin) = started(r##"acl = [{ user = "alice", allow = "all", topic = "#" }]"##);
    let Outcome::Grant(grant) = plugin.authenticate(connect("c2", "bob", "bob-secret")) else {
        panic!("refused")
    };
    assert_eq!(grant.rules, [Rule::deny_publish("#"), Rule::deny_subscribe("#")]);
}

#[test]
fn errors_name_the_key() {
    let hash = hash("x", 1);
    let expected =
        "expected an argon2id hash such as `cargo xtask hash` prints, `$argon2id$v=19$m=…$SALT$HASH`";
    for (config, complaint) in [
        ("user.alice = 'x'", "config key `user`: unknown field `user`, expected `users` or `acl`".to_owned()),
        ("users.alice = 'alice-secret'", format!("config key `users.alice`: {expected}: ")),
        ("users.alice = '$argon2i$v=19$m=64,t=1,p=1$MDEyMzQ1Njc$MDEyMzQ1Njc4OWFiY2RlZg'", format!("config key `users.alice`: {expected}: it is argon2i")),
        ("users.alice = '$argon2id$v=19$m=64,t=1,p=1'", format!("config key `users.alice`: {expected}: ")),
        ("acl = [{ allow = 'publish', topic = 'a/#/b' }]", "config key `acl[0].topic`: \"a/#/b\" is not a topic filter: # must be the last level and fill it".to_owned()),
        ("acl = [{ allow = 'read', topic = 'a' }]", "config key `acl[0].allow`: unknown variant `read`, expected one of `publish`, `subscribe`, `receive`, `all`".to_owned()),
        ("acl = [{ topic = 'a' }]", "config key `acl[0]`: it needs `allow` or `deny`".to_owned()),
        ("acl = [{ allow = 'all', deny = 'all', topic = 'a' }]", "config key `acl[0]`: it has both `allow` and `deny`".to_owned()),
        ("acl = [{ allow = 'all', topic = 'a', max_qos = 3 }]", "config key `acl[0]`: `max_qos` is 0, 1 or 2, not 3".to_owned()),
        ("acl = [{ deny = 'all', topic = 'a', max_qos = 1 }]", "config key `acl[0]`: `max_qos` is for `allow`".to_owned()),
        ("acl = [{ allow = 'all', topic = 'a', qos = 1 }]", "config key `acl[0].qos`: unknown field `qos`".to_owned()),
        (&format!("users.alice = '{hash}'\nacl = [{{ user = 'alise', allow = 'all', topic = 'a' }}]"), "config key `acl[0].user`: `users` has no user \"alise\"".to_owned()),
    ] {
        let error = error(config);
        assert!(error.starts_with(&complaint), "{config}:\n{error}\n{complaint}");
        assert!(!error.contains("alice-secret"), "{error}");
    }
}

#[test]
fn a_certificate_stands_for_the_password_of_a_user_in_the_list_and_of_nobody_else() {
    let (_host, mut plugin) = started("");
    let by_certificate = |user: &str| {
        let mut client = anonymous("c1");
        client.username = Some(user.to_owned());
        client.tls_username = true;
        client
    };
    assert!(matches!(plugin.authenticate(by_certificate("alice")), Outcome::Grant(_)));
    assert_eq!(plugin.authenticate(by_certificate("mallory")), refused());
}
