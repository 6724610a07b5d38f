//! What is wrong with a config is said by its key, with a remedy.

use super::*;

fn error(config: &str) -> String {
    Host::new().config(config).start::<Scram>().err().expect("the config is refused")
}

#[test]
fn errors_name_the_key() {
    let good = line("SCRAM-SHA-256", "x", b"salt", 4096);
    let expected = "config key `users.alice`: expected a line such as `cargo xtask hash --scram` prints, `SCRAM-SHA-256$4096:SALT$STOREDKEY:SERVERKEY`";
    let with = |from: &str, to: &str| format!("users.alice = '{}'", good.replace(from, to));
    for (config, complaint) in [
        (
            "user.alice = 'x'".to_owned(),
            "config key `user`: unknown field `user`, expected one of `users`, `acl`, `decoy_secret`",
        ),
        ("users.alice = 'alice-secret'".into(), expected),
        ("users.alice = '$argon2id$v=19$m=64,t=1,p=1'".into(), expected),
        (with("SCRAM-SHA-256", "SCRAM-SHA-1"), expected),
        (with("4096", "many"), expected),
        (with("c2FsdA==", "c2FsdA"), expected),
        (with(":", ""), expected),
        (
            with("4096", "4095"),
            "config key `users.alice`: 4095 iterations are too few, 4096 are the least (RFC 7677)",
        ),
        (
            with("c2FsdA==", ""),
            "config key `users.alice`: expected a line such as `cargo xtask hash --scram` prints, `SCRAM-SHA-256$4096:SALT$STOREDKEY:SERVERKEY`: the salt has 0 bytes, not 1 to 64",
        ),
        (
            with("c2FsdA==", &"AAAA".repeat(22)),
            "config key `users.alice`: expected a line such as `cargo xtask hash --scram` prints, `SCRAM-SHA-256$4096:SALT$STOREDKEY:SERVERKEY`: the salt has 66 bytes",
        ),
        (
            with("SCRAM-SHA-256", "SCRAM-SHA-512"),
            "config key `users.alice`: expected a line such as `cargo xtask hash --scram` prints, `SCRAM-SHA-256$4096:SALT$STOREDKEY:SERVERKEY`: keys of SCRAM-SHA-512 have 64 bytes",
        ),
        (
            format!("users.\"al\u{AD}ice\" = '{good}'"),
            "config key `users.al\u{AD}ice`: clients say \"alice\" (SASLprep); write it so",
        ),
        (
            format!("users.\"a\\u0007\" = '{good}'"),
            "config key `users.a\u{7}`: no client can say that name (SASLprep, RFC 4013)",
        ),
        (format!("users.\"\" = '{good}'"), "config key `users.`: no client can say that name"),
        (
            format!("users.alice = '{good}'\nacl = [{{ user = 'alise', allow = 'all', topic = 'a' }}]"),
            "config key `acl[0].user`: `users` has no user \"alise\"",
        ),
        (
            "decoy_secret = 'salts'".into(),
            "config key `decoy_secret`: there is no secret \"salts\"; write secrets.salts = \"file:PATH\"",
        ),
    ] {
        let error = error(&config);
        assert!(error.starts_with(complaint), "{config}:\n{error}\n{complaint}");
        assert!(!error.contains("alice-secret"), "{error}");
    }
}

#[test]
fn without_users_nobody_comes_in_and_nobody_learns_it() {
    let mut plugin: Scram = Host::new().start().unwrap();
    assert_eq!(logs_in(&mut plugin, &ALICE), invalid_proof());
}

#[test]
fn what_is_kept_of_passwords_is_not_shown() {
    let config: crate::config::Config = toml_of(&line("SCRAM-SHA-256", "x", b"salt", 4096));
    assert_eq!(format!("{:?}", config.users["alice"]), "Verifier { method: Sha256, iterations: 4096, .. }");
}

fn toml_of(line: &str) -> crate::config::Config {
    tidegate_plugin::config::parse(&format!("{{\"users\": {{\"alice\": \"{line}\"}}}}")).unwrap()
}

#[test]
fn every_key_has_its_line_in_the_readme() {
    let keys = Host::new().config_keys::<Scram>();
    assert_eq!(keys.len(), 3, "{keys:?}");
    for key in keys {
        assert!(
            include_str!("../../README.md").contains(&format!("\n| `{key}` |")),
            "README.md says nothing of {key}"
        );
    }
}
