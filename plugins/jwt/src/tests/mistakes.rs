//! What is wrong with a config is said by its key, with a remedy.

use super::*;

fn error(host: Host, config: &str) -> String {
    host.config(config).start::<Jwt>().err().expect("the config is refused")
}

#[test]
fn errors_name_the_key() {
    let vectors: Value = serde_json::from_str(include_str!("vectors.json")).unwrap();
    let weak = vectors["pem"]["RSA 1024"].as_str().unwrap();
    let p521 = vectors["pem"]["P-521"].as_str().unwrap();
    let huge = vectors["large"]["pem 8200"].as_str().unwrap();
    let hs = "algorithms = ['HS256']";
    for (config, complaint) in [
        ("", "config key `algorithms`: name those that tokens may be signed by, such as [\"ES256\"]".to_owned()),
        ("algorithms = ['none']", "config key `algorithms[0]`: unknown variant `none`, expected one of `HS256`, `HS384`".into()),
        ("algoritms = ['HS256']", "config key `algoritms`: unknown field `algoritms`, expected one of `from`".into()),
        (hs, "config key `algorithms[0]`: there is no key for HS256; give one by `secret` (HS), `public_key` or `jwks`".into()),
        (&format!("{hs}\nsecret = 'hmac'"), "config key `secret`: there is no secret \"hmac\"; write secrets.hmac = \"file:PATH\"".into()),
        (&format!("{hs}\nsecret = 'short'"), "config key `secret`: the secret \"short\" has 12 bytes, and HS256 needs 32 (RFC 7518, section 3.2); make one with openssl rand -hex 32".into()),
        ("algorithms = ['HS256', 'HS512']\nsecret = 'half'", "config key `secret`: the secret \"half\" has 32 bytes, and HS512 needs 64".into()),
        (&format!("{hs}\nsecret = 'short'\nsecret_base64 = true"), "config key `secret_base64`: the secret \"short\" is not base64".into()),
        ("algorithms = ['RS256', 'HS256']\nsecret = 'half'", "config key `algorithms[0]`: there is no key for RS256".into()),
        ("algorithms = ['RS256']\npublic_key = 'pem'", "config key `public_key`: there is no secret \"pem\"".into()),
        ("algorithms = ['RS256']\npublic_key = 'half'", "config key `public_key`: expected the PEM of a public key, RSA, P-256 or P-384".into()),
        (&format!("algorithms = ['RS256']\npublic_key = '''{weak}'''"), "config key `public_key`: an RSA key needs 2048 bits".into()),
        (&format!("algorithms = ['ES256']\npublic_key = '''{p521}'''"), "config key `public_key`: expected the PEM".into()),
        ("algorithms = ['RS256']\njwks = 'keys'", "config key `jwks`: there is no secret \"keys\"".into()),
        ("algorithms = ['RS256']\njwks = 'half'", "config key `jwks`: the secret \"half\": it is no JWKS (RFC 7517): ".into()),
        ("algorithms = ['RS256']\njwks = 'empty'", "config key `jwks`: the secret \"empty\": none of its keys is for signatures".into()),
        (&format!("{hs}\nsecret = 'half'\nfrom = 'header'"), "config key `from`: unknown variant `header`, expected `password` or `username`".into()),
        (&format!("{hs}\nsecret = 'half'\nfrom = 'username'\nusername_claim = ''"), "config key `username_claim`: with `from = \"username\"` a claim must name the user".into()),
        (&format!("{hs}\nsecret = 'half'\nusername_claim = ''\nacl = [{{ allow = 'all', topic = 'a' }}, {{ user = 'alice', allow = 'all', topic = 'b' }}]"), "config key `acl[1]`: with `username_claim = \"\"` a user name is what the client says, so no rule can go by it (`user`, %u); name a claim, or".into()),
        (&format!("{hs}\nsecret = 'half'\nusername_claim = ''\nacl = [{{ allow = 'all', topic = 'up/%u/#' }}]"), "config key `acl[0]`: with `username_claim = \"\"`".into()),
        (&format!("algorithms = ['RS256']\npublic_key = '''{huge}'''"), "config key `public_key`: an RSA key has 8192 bits at most here".into()),
        (&format!("{hs}\nsecret = 'half'\nacl = [{{ topic = 'a' }}]"), "config key `acl[0]`: it needs `allow` or `deny`".into()),
    ] {
        let host = Host::new()
            .secret("short", "alice-secret")
            .secret("half", &SECRET[..32])
            .secret("empty", "{\"keys\": []}");
        let error = error(host, config);
        assert!(error.starts_with(&complaint), "{config}:\n{error}\n{complaint}");
        assert!(!error.contains("alice-secret") && !error.contains(&SECRET[..32]), "{error}");
    }
}

#[test]
fn a_secret_may_be_written_in_base64() {
    use base64::engine::general_purpose::STANDARD;
    let host = Host::new().secret("hs", &STANDARD.encode(SECRET));
    let host =
        host.config("algorithms = ['HS256']\nsecret = 'hs'\nsecret_base64 = true\nrequired_claims = []");
    let mut plugin: Jwt = host.start().unwrap();
    granted(plugin.authenticate(alice_with(&signed(json!({"sub": "alice"})))));
}

#[test]
fn every_key_has_its_line_in_the_readme() {
    let keys = Host::new().config_keys::<Jwt>();
    assert_eq!(keys.len(), 17, "{keys:?}");
    for key in keys {
        assert!(
            include_str!("../../README.md").contains(&format!("\n| `{key}` |")),
            "README.md says nothing of {key}"
        );
    }
}
