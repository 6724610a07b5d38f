//! Clients that are in, and prove themselves again: as nobody else.

use super::*;
use tidegate_plugin::testing::{Granted, again};

/// What the client's two AUTH come to; `connect` is its CONNECT.
fn proves_itself_again(plugin: &mut Scram, connect: &Connect, client: &Client) -> Outcome {
    let first = plugin.proceed(connect.clone(), again(Some(client.first().as_bytes())));
    let Outcome::Challenge(challenge) = first else { return first };
    let mut step = answer(&challenge, client.last(&challenge));
    step.again = true;
    plugin.proceed(connect.clone(), step)
}

fn somebody_else() -> Outcome {
    refused(ReasonCode::NotAuthorized, "e=other-error")
}

#[test]
fn the_same_user_stays() {
    let (_host, mut plugin) = started("acl = [{ allow = 'publish', topic = 'a' }]");
    let mut connect = connecting(&ALICE);
    connect.username = Some("alice".into());
    let grant = granted(proves_itself_again(&mut plugin, &connect, &ALICE));
    assert_eq!((grant.username.as_deref(), grant.rules.len()), (Some("alice"), 3));
    assert!(grant.data.is_some_and(|data| data.starts_with(b"v=")));
}

#[test]
fn another_user_is_refused() {
    let (_host, mut plugin) = started("");
    let mut connect = connecting(&ALICE);
    connect.username = Some("bob".into());
    assert_eq!(proves_itself_again(&mut plugin, &connect, &ALICE), somebody_else());
}

#[test]
fn who_gave_no_name_in_connect_is_who_the_broker_knows_it_as() {
    let (host, mut plugin) = started("");
    let connect = connecting(&ALICE);
    let _in = host.user(7, "c2", "bob").user(8, "c1", "alice");
    granted(proves_itself_again(&mut plugin, &connect, &ALICE));
    let bob = Client { method: "SCRAM-SHA-256", ..BOB };
    assert_eq!(proves_itself_again(&mut plugin, &connect, &bob), somebody_else());
    assert_eq!(
        proves_itself_again(&mut plugin, &connect, &Client { user: "mallory", ..ALICE }),
        somebody_else()
    );
}

#[test]
fn who_is_not_known_is_refused() {
    let (host, mut plugin) = started("");
    let connect = connecting(&ALICE);
    assert_eq!(proves_itself_again(&mut plugin, &connect, &ALICE), somebody_else());
    let host = host.client(8, "c1");
    assert_eq!(proves_itself_again(&mut plugin, &connect, &ALICE), somebody_else(), "in without a name");
    let host = host.user(9, "c1", "alice").without(Granted::Clients);
    assert_eq!(proves_itself_again(&mut plugin, &connect, &ALICE), somebody_else());
    let warned = host.logged().iter().any(|line| {
        line.to_string().starts_with("WARN a client without a user name in CONNECT can authenticate again with `grants.clients = true` only client=c1")
    });
    assert!(warned);
}

#[test]
fn a_wrong_password_is_refused_as_a_disconnect_can_say_it() {
    let (_host, mut plugin) = started("");
    let mut connect = connecting(&ALICE);
    connect.username = Some("alice".into());
    let outcome = proves_itself_again(&mut plugin, &connect, &Client { password: "guess", ..ALICE });
    assert_eq!(outcome, refused(ReasonCode::NotAuthorized, "e=invalid-proof"));
}
