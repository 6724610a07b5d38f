//! {{name}}: clients with a password come in, and have topics of their own.
//!
//! The passwords are the plugin's secrets, by user name: `secrets.alice = "env:ALICE"` below `[plugin.{{name}}]` in the broker's config.

use tidegate_plugin::{
    Authenticate, Connect, Grant, NoConfig, Outcome, Plugin, ReasonCode, Rule, Start, config, info,
};

pub struct Passwords;

impl Plugin for Passwords {
    type Config = NoConfig;

    fn new(_: Start, _: NoConfig) -> Result<Self, String> {
        Ok(Self)
    }
}

impl Authenticate for Passwords {
    fn authenticate(&mut self, client: Connect) -> Outcome {
        // Whoever has no name is for others to decide about.
        let Some(username) = &client.username else {
            return Outcome::Next;
        };
        let is_right = match (config::secret(username), &client.password) {
            (Some(expected), Some(password)) => same(expected.as_bytes(), password),
            _ => false,
        };
        if !is_right {
            info!("wrong user name or password", username, peer = client.peer);
            return Outcome::refuse(ReasonCode::BadUserNameOrPassword);
        }
        Grant::new()
            .rule(Rule::allow_publish("devices/%u/#"))
            .rule(Rule::allow_subscribe("devices/%u/#"))
            .rule(Rule::allow_subscribe("news/#"))
            .into()
    }
}

/// Takes as long whatever differs, so that nobody can find a password out letter by letter.
fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len()
        && a.iter()
            .zip(b)
            .fold(0, |differences, (a, b)| differences | (a ^ b))
            == 0
}

tidegate_plugin::export!(Passwords: authenticate);

#[cfg(test)]
mod tests {
    use super::*;
    use tidegate_plugin::testing::{Host, anonymous, connect};

    #[test]
    fn no_password_is_not_an_empty_one() {
        let mut plugin: Passwords = Host::new().secret("alice", "").start().unwrap();
        let mut client = anonymous("c1");
        client.username = Some("alice".into());
        let refused = Outcome::refuse(ReasonCode::BadUserNameOrPassword);
        assert_eq!(plugin.authenticate(client), refused);
    }

    #[test]
    fn the_right_password_lets_in() {
        let mut plugin: Passwords = Host::new().secret("alice", "s3cret").start().unwrap();
        let Outcome::Grant(grant) = plugin.authenticate(connect("c1", "alice", "s3cret")) else {
            panic!()
        };
        assert_eq!(grant.rules[0], Rule::allow_publish("devices/%u/#"));
        let refused = Outcome::refuse(ReasonCode::BadUserNameOrPassword);
        for (username, password) in [
            ("alice", "guess1"),
            ("alice", ""),
            ("mallory", "s3cret"),
            ("mallory", ""),
        ] {
            assert_eq!(
                plugin.authenticate(connect("c1", username, password)),
                refused
            );
        }
        assert_eq!(plugin.authenticate(anonymous("c1")), Outcome::Next);
    }
}
