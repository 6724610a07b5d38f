//! Every algorithm, by tokens that others made, and which key is asked.

use super::*;

/// Made by PyJWT with keys of OpenSSL.
fn vectors() -> Value {
    serde_json::from_str(include_str!("vectors.json")).unwrap()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

const ALL: [&str; 11] =
    ["HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384"];

/// The kind of key for an algorithm, as `vectors.json` calls it.
fn kind(algorithm: &str) -> &'static str {
    match algorithm {
        "ES256" => "P-256",
        "ES384" => "P-384",
        hmac if hmac.starts_with("HS") => "oct",
        _ => "RSA",
    }
}

/// With that secret called `keys`.
fn with_keys(algorithms: &[&str], keys: &str, config: &str) -> (Host, Result<Jwt, String>) {
    let host = Host::new()
        .time(SystemTime::UNIX_EPOCH + Duration::from_secs(NOW))
        .secret("keys", keys)
        .config(&format!("algorithms = {algorithms:?}\n{config}"));
    let plugin = host.start();
    (host, plugin)
}

fn jwks(keys: Value) -> String {
    json!({"keys": keys}).to_string()
}

#[test]
fn each_algorithm_vouches_for_its_own_tokens_only() {
    let vectors = vectors();
    for algorithm in ALL {
        let key = &vectors["jwk"][kind(algorithm)];
        let (_host, plugin) = with_keys(&[algorithm], &jwks(json!([key])), "jwks = 'keys'");
        let mut plugin = plugin.unwrap();
        for (name, token) in vectors["tokens"].as_object().unwrap() {
            let outcome = plugin.authenticate(alice_with(text(token)));
            assert_eq!(matches!(outcome, Outcome::Grant(_)), name == algorithm, "{algorithm}: {name}");
        }
    }
}

#[test]
fn with_all_keys_and_algorithms_each_token_finds_its_key() {
    let vectors = vectors();
    let keys: Vec<&Value> = vectors["jwk"].as_object().unwrap().values().collect();
    let (_host, plugin) = with_keys(&ALL, &jwks(json!(keys)), "jwks = 'keys'");
    let mut plugin = plugin.unwrap();
    for (name, token) in vectors["tokens"].as_object().unwrap() {
        let outcome = plugin.authenticate(alice_with(text(token)));
        assert_eq!(matches!(outcome, Outcome::Grant(_)), ALL.contains(&name.as_str()), "{name}");
    }
}

#[test]
fn a_public_key_may_be_pem_in_the_config_or_a_secret() {
    let vectors = vectors();
    for (pem, algorithm) in
        [("RSA", "PS384"), ("RSA PKCS#1", "RS256"), ("P-256", "ES256"), ("P-384", "ES384")]
    {
        let pem = text(&vectors["pem"][pem]);
        for (secret, config) in
            [(pem, "public_key = 'keys'".to_owned()), ("unused", format!("public_key = '''\n{pem}'''"))]
        {
            let (_host, plugin) = with_keys(&[algorithm], secret, &config);
            let mut plugin = plugin.unwrap();
            granted(plugin.authenticate(alice_with(text(&vectors["tokens"][algorithm]))));
        }
    }
}

#[test]
fn a_public_key_is_no_secret() {
    let vectors = vectors();
    // As a secret it would vouch for that token, so the token is what it is meant to be.
    let confusing = text(&vectors["tokens"]["HS256 with the PEM as secret"]);
    let pem = text(&vectors["pem"]["RSA"]);
    let (_host, plugin) = with_keys(&["HS256"], pem, "secret = 'keys'");
    granted(plugin.unwrap().authenticate(alice_with(confusing)));
    let host = Host::new().secret("hs", SECRET).secret("pem", pem);
    let host = host.config("algorithms = ['RS256', 'HS256']\npublic_key = 'pem'\nsecret = 'hs'");
    let mut plugin: Jwt = host.start().unwrap();
    granted(plugin.authenticate(alice_with(text(&vectors["tokens"]["RS256"]))));
    let outcome = plugin.authenticate(alice_with(confusing));
    assert_refused(&host, outcome, ReasonCode::BadUserNameOrPassword, "no key of ours has signed it");
}

#[test]
fn the_examples_of_rfc_7515_hold() {
    let claims =
        "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
    for (header, signature, algorithm, key) in [
        (
            "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9",
            "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk",
            "HS256",
            json!({"kty": "oct", "k": "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"}),
        ),
        (
            "eyJhbGciOiJSUzI1NiJ9",
            "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw",
            "RS256",
            json!({"kty": "RSA", "e": "AQAB", "n": "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ"}),
        ),
        (
            "eyJhbGciOiJFUzI1NiJ9",
            "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q",
            "ES256",
            json!({"kty": "EC", "crv": "P-256", "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}),
        ),
    ] {
        let config = "jwks = 'keys'\nusername_claim = 'iss'\niss = ['joe']\nleeway_seconds = 0";
        let (host, plugin) = with_keys(&[algorithm], &jwks(json!([key])), config);
        let mut plugin = plugin.unwrap();
        let token = format!("{header}.{claims}.{signature}");
        let _at = host.time(SystemTime::UNIX_EPOCH + Duration::from_secs(1_300_819_379));
        let grant = granted(plugin.authenticate(without_username(&token)));
        assert_eq!(grant, Grant::new().username("joe").expires(Duration::from_secs(1)), "{algorithm}");
    }
}

/// A secret of 32 bytes under a name.
fn named(kid: Value, fill: char) -> Value {
    json!({"kty": "oct", "kid": kid, "k": part(String::from(fill).repeat(32))})
}

fn signed_by(kid: Value, fill: char) -> String {
    let text =
        format!("{}.{}", part(json!({"alg": "HS256", "kid": kid}).to_string()), part("{\"sub\":\"alice\"}"));
    let mac = Hmac::<Sha256>::new_from_slice(String::from(fill).repeat(32).as_bytes()).unwrap();
    format!("{text}.{}", part(mac.chain_update(&text).finalize().into_bytes()))
}

#[test]
fn the_key_that_a_token_names_is_asked_and_if_there_is_none_those_without_a_name() {
    let set = jwks(json!([named(json!("a"), 'a'), named(json!("b"), 'b'), named(Value::Null, 'c')]));
    let (host, plugin) = with_keys(&["HS256"], &set, "jwks = 'keys'\nrequired_claims = []");
    let mut plugin = plugin.unwrap();
    for (kid, fill) in [
        (json!("a"), 'a'),
        (json!("b"), 'b'),
        (json!("of another"), 'c'),
        (Value::Null, 'a'),
        (Value::Null, 'c'),
    ] {
        granted(plugin.authenticate(alice_with(&signed_by(kid, fill))));
    }
    for (kid, fill) in [(json!("a"), 'b'), (json!("a"), 'c'), (json!("of another"), 'a'), (Value::Null, 'd')]
    {
        let outcome = plugin.authenticate(alice_with(&signed_by(kid, fill)));
        assert_refused(&host, outcome, ReasonCode::BadUserNameOrPassword, "no key of ours has signed it");
    }
}

#[test]
fn a_name_that_no_key_has_is_logged_and_no_more_of_it_than_need_be() {
    let set = jwks(json!([named(json!("a"), 'a')]));
    let (host, plugin) = with_keys(&["HS256"], &set, "jwks = 'keys'");
    let outcome = plugin.unwrap().authenticate(alice_with(&signed_by(json!("b\n".repeat(100)), 'a')));
    let why = format!("there is no key for HS256 of the name \"{}\" client", "b\\n".repeat(32));
    assert_refused(&host, outcome, ReasonCode::BadUserNameOrPassword, &why);
}

/// A set with this key alone is refused, after that line.
#[track_caller]
fn assert_alone(key: &Value, line: &str) {
    let (host, plugin) = with_keys(&["RS256"], &jwks(json!([key])), "jwks = 'keys'");
    let error = plugin.err().unwrap();
    assert!(error.ends_with("none of its keys is for signatures that this plugin knows"), "{error}");
    let logged = host.logged()[0].to_string();
    assert!(logged.starts_with(line), "{logged}\n{line}");
}

/// Made by OpenSSL.
#[test]
fn rsa_keys_may_have_up_to_8192_bits() {
    let vectors = vectors();
    let large = &vectors["large"];
    let set = jwks(json!([large["jwk"]]));
    for (secret, config) in [
        (set.as_str(), "jwks = 'keys'"),
        (text(&large["pem"]), "public_key = 'keys'"),
        (text(&large["pem PKCS#1"]), "public_key = 'keys'"),
    ] {
        for algorithm in ["RS256", "PS512"] {
            let (_host, plugin) = with_keys(&[algorithm], secret, config);
            granted(plugin.unwrap().authenticate(alice_with(text(&large[algorithm]))));
        }
    }
}

#[test]
fn keys_that_are_not_ours_are_passed_over_and_those_that_cannot_be_used_named() {
    let vectors = vectors();
    let rsa = &vectors["jwk"]["RSA"];
    let with = |name: &str, value: Value| {
        let mut key = rsa.clone();
        key[name] = value;
        key
    };
    let point: Vec<u8> = ["x", "y"]
        .iter()
        .flat_map(|name| URL_SAFE_NO_PAD.decode(text(&vectors["jwk"]["P-256"][name])).unwrap())
        .collect();
    let token = text(&vectors["tokens"]["RS256"]);
    for key in [with("use", json!("sig")), with("key_ops", json!(["verify"])), with("alg", json!("RS256"))] {
        let (_host, plugin) = with_keys(&["RS256"], &jwks(json!([key])), "jwks = 'keys'");
        granted(plugin.unwrap().authenticate(alice_with(token)));
    }
    for key in [
        with("use", json!("enc")),
        with("key_ops", json!(["sign"])),
        with("alg", json!("RSA-OAEP")),
        with("kty", json!("OKP")),
        vectors["jwk"]["P-521"].clone(),
    ] {
        assert_alone(&key, "DEBUG key of the JWKS passed over index=0");
    }
    let warned = |why: &str| format!("WARN key of the JWKS cannot be used index=0 kid= why={why}");
    for (key, why) in [
        (with("n", json!("AQAB")), "modulus and exponent make no RSA key"),
        (with("n", json!("+/")), "a part of it is missing, or is no base64url"),
        (with("e", Value::Null), "a part of it is missing, or is no base64url"),
        (vectors["jwk"]["RSA 1024"].clone(), "an RSA key needs 2048 bits (RFC 7518, section 3.3)"),
        (with("n", json!(part([0xFF; 1025]))), "an RSA key has 8192 bits at most here"),
        (
            json!({"kty": "EC", "crv": "P-256", "x": part([1; 32]), "y": part([1; 32])}),
            "it is no point of P-256",
        ),
        (
            json!({"kty": "EC", "crv": "P-256", "x": part(&point[..31]), "y": part(&point[31..])}),
            "it is no point of P-256",
        ),
    ] {
        assert_alone(&key, &warned(why));
    }
    // It is bound to another algorithm of its family.
    let (_host, plugin) = with_keys(&["RS256"], &jwks(json!([with("alg", json!("PS256"))])), "jwks = 'keys'");
    assert!(plugin.err().unwrap().starts_with("config key `algorithms[0]`: there is no key for RS256"));
}
