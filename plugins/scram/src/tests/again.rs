//! Clients that are in, and prove themselves again: as nobody else.

use super::*;
use tidegate_plugin::testing::again;

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
fn who_came_in_without_a_name_has_none_to_prove() {
    let (_host, mut plugin) = started("");
    assert_eq!(proves_itself_again(&mut plugin, &connecting(&ALICE), &ALICE), somebody_else());
}

#[test]
fn a_wrong_password_is_refused_as_a_disconnect_can_say_it() {
    let (_host, mut plugin) = started("");
    let mut connect = connecting(&ALICE);
    connect.username = Some("alice".into());
    let outcome = proves_itself_again(&mut plugin, &connect, &Client { password: "guess", ..ALICE });
    assert_eq!(outcome, refused(ReasonCode::NotAuthorized, "e=invalid-proof"));
}
