//! Messages that make no sense, or ask for what there is not.

use super::*;

fn says(first: &str) -> Outcome {
    let (_host, mut plugin) = started("");
    plugin.authenticate(enhanced("c1", "SCRAM-SHA-256", Some(first.as_bytes())))
}

#[test]
fn a_client_may_be_able_to_bind_itself_or_not() {
    let (_host, mut plugin) = started("");
    for header in ["n,,", "y,,", "n,a=alice,", "y,a=al\u{AD}ice,"] {
        granted(logs_in(&mut plugin, &Client { headers: [header; 2], ..ALICE }));
    }
}

#[test]
fn first_messages_that_are_none_are_refused_with_the_reason() {
    for (first, error) in [
        ("", "other-error"),
        ("n", "other-error"),
        ("n,", "other-error"),
        ("n,,", "other-error"),
        ("x,,n=alice,r=abc", "other-error"),
        ("N,,n=alice,r=abc", "other-error"),
        ("n,,n=alice", "other-error"),
        ("n,,n=alice,r=", "other-error"),
        ("n,,n=alice,r=a b", "other-error"),
        ("n,,n=alice,r=\u{E4}", "other-error"),
        ("n,,r=abc,n=alice", "other-error"),
        ("n,,n=alice,r=abc,", "other-error"),
        ("n,,n=alice,r=abc,x", "other-error"),
        ("n,,n=alice,r=abc,1=x", "other-error"),
        ("n,,n=alice,r=abc,x=", "other-error"),
        ("n,x,n=alice,r=abc", "other-error"),
        ("n,,m=ext,n=alice,r=abc", "extensions-not-supported"),
        ("p=tls-unique,,n=alice,r=abc", "channel-binding-not-supported"),
        ("n,,n=,r=abc", "invalid-username-encoding"),
        ("n,,n=a=lice,r=abc", "invalid-username-encoding"),
        ("n,,n=a=2clice,r=abc", "invalid-username-encoding"),
        ("n,,n=a=,r=abc", "invalid-username-encoding"),
        ("n,,n=ali\u{7}ce,r=abc", "invalid-username-encoding"),
        ("n,,n=\u{AD},r=abc", "invalid-username-encoding"),
        ("n,a==,n=alice,r=abc", "invalid-username-encoding"),
    ] {
        assert_eq!(says(first), refused(ReasonCode::ProtocolError, &format!("e={error}")), "{first:?}");
    }
    let (_host, mut plugin) = started("");
    let outcome = plugin.authenticate(enhanced("c1", "SCRAM-SHA-256", Some(b"n,,n=\xFF,r=abc")));
    assert_eq!(outcome, refused(ReasonCode::ProtocolError, "e=invalid-encoding"));
    let outcome = plugin.authenticate(enhanced("c1", "SCRAM-SHA-256", None));
    assert_eq!(outcome, refused(ReasonCode::ProtocolError, "e=other-error"));
}

#[test]
fn nobody_acts_as_somebody_else() {
    assert_eq!(says("n,a=bob,n=alice,r=abc"), refused(ReasonCode::NotAuthorized, "e=other-error"));
}

#[test]
fn extensions_that_may_be_ignored_are() {
    challenged(says("n,,n=alice,r=abc,x=1,y=a=b"));
}

#[test]
fn a_message_that_is_too_long_to_be_answered_is_refused() {
    let of = |bytes: usize| format!("n,,n=alice,r={}", "x".repeat(bytes - "n,,n=alice,r=".len()));
    challenged(says(&of(4096)));
    assert_eq!(says(&of(4097)), refused(ReasonCode::ProtocolError, "e=other-error"));
}

#[test]
fn names_are_unescaped_and_prepared() {
    let (comma, equals) = ("'a,b'", "'a=2C'");
    let users = [(comma, "a=2Cb"), (equals, "a=3D2C"), ("IX", "\u{2168}"), ("'\u{FC}'", "u\u{308}")];
    for (key, said) in users {
        let config = format!("users.{key} = '{}'", line("SCRAM-SHA-256", "alice-secret", b"salt", 4096));
        let mut plugin: Scram = Host::new().config(&config).start().unwrap();
        let said: &'static str = said;
        let grant = granted(logs_in(&mut plugin, &Client { user: said, ..ALICE }));
        assert_eq!(grant.username.as_deref(), Some(key.trim_matches('\'')));
    }
}

#[test]
fn last_messages_that_are_none_are_refused_with_the_reason() {
    let (_host, mut plugin) = started("");
    let challenge = challenged(plugin.authenticate(connecting(&ALICE)));
    let last = ALICE.last(&challenge);
    let (without_proof, proof) = last.rsplit_once(",p=").unwrap();
    let nonce = without_proof.strip_prefix("c=biws,r=").unwrap();
    let protocol = ReasonCode::ProtocolError;
    let password = ReasonCode::BadUserNameOrPassword;
    for (last, code, error) in [
        (String::new(), protocol, "other-error"),
        (without_proof.into(), protocol, "other-error"),
        (format!("p={proof}"), protocol, "other-error"),
        (format!("c=biws,p={proof}"), protocol, "other-error"),
        (format!("r={nonce},c=biws,p={proof}"), protocol, "other-error"),
        (format!("{without_proof},x,p={proof}"), protocol, "other-error"),
        (format!("{last},x=1"), protocol, "other-error"),
        (format!("{without_proof},p=*"), protocol, "invalid-encoding"),
        (format!("c=biw,r={nonce},p={proof}"), protocol, "invalid-encoding"),
        // `y,,`, where it has said `n,,`.
        (format!("c=eSws,r={nonce},p={proof}"), protocol, "channel-bindings-dont-match"),
        (format!("c=,r={nonce},p={proof}"), protocol, "channel-bindings-dont-match"),
        (format!("{without_proof},p="), password, "invalid-proof"),
        (format!("{without_proof},p=AAAA"), password, "invalid-proof"),
        (format!("{without_proof}x,p={proof}"), password, "invalid-proof"),
        (format!("c=biws,r={},p={proof}", ALICE.nonce), password, "invalid-proof"),
        (format!("{without_proof},x=1,p={proof}"), password, "invalid-proof"),
    ] {
        let outcome = plugin.proceed(connecting(&ALICE), answer(&challenge, last.clone()));
        assert_eq!(outcome, refused(code, &format!("e={error}")), "{last}");
    }
    let mut nothing = answer(&challenge, "");
    nothing.data = None;
    assert_eq!(plugin.proceed(connecting(&ALICE), nothing), refused(protocol, "e=other-error"));
    let not_text = answer(&challenge, *b"\xFF");
    assert_eq!(plugin.proceed(connecting(&ALICE), not_text), refused(protocol, "e=invalid-encoding"));
    // Nothing of this has spoilt the exchange.
    granted(plugin.proceed(connecting(&ALICE), answer(&challenge, last.clone())));
}

#[test]
fn a_header_that_changes_on_the_way_is_noticed_though_the_proof_is_right() {
    let (_host, mut plugin) = started("");
    let outcome = logs_in(&mut plugin, &Client { headers: ["n,,", "y,,"], ..ALICE });
    assert_eq!(outcome, refused(ReasonCode::ProtocolError, "e=channel-bindings-dont-match"));
}
