//! The client's side of SCRAM, from the password on (RFC 5802, section 3).

use crate::method::Method;
use base64::{Engine, engine::general_purpose::STANDARD};
use tidegate_plugin::Challenge;

#[derive(Clone, Copy, Debug)]
pub(super) struct Client {
    pub(super) method: &'static str,
    /// As it stands in the message.
    pub(super) user: &'static str,
    pub(super) password: &'static str,
    pub(super) nonce: &'static str,
    /// In the last message instead of the server's, with a proof that fits.
    pub(super) echoes: Option<&'static str>,
    /// Of the first message, and of the last.
    pub(super) headers: [&'static str; 2],
}

impl Client {
    pub(super) const fn new(method: &'static str, password: &'static str) -> Self {
        Self {
            method,
            user: "",
            password,
            nonce: "fyko+d2lbbFgONRv9qkxdawL",
            echoes: None,
            headers: ["n,,"; 2],
        }
    }

    pub(super) fn first(&self) -> String {
        format!("{}{}", self.headers[0], self.bare())
    }

    pub(super) fn last(&self, challenge: &Challenge) -> String {
        let [_, client_key, stored_key] = self.keys(challenge);
        let signature = self.method().hmac(&stored_key, self.auth_message(challenge).as_bytes());
        let proof: Vec<u8> = client_key.iter().zip(signature).map(|(a, b)| a ^ b).collect();
        format!("{},p={}", self.without_proof(challenge), STANDARD.encode(proof))
    }

    /// What only a server that knows the user can say.
    pub(super) fn server_last(&self, challenge: &Challenge) -> String {
        let [salted, ..] = self.keys(challenge);
        let server_key = self.method().hmac(&salted, b"Server Key");
        let signature = self.method().hmac(&server_key, self.auth_message(challenge).as_bytes());
        format!("v={}", STANDARD.encode(signature))
    }

    fn bare(&self) -> String {
        format!("n={},r={}", self.user, self.nonce)
    }

    fn without_proof(&self, challenge: &Challenge) -> String {
        let [nonce, ..] = attributes(&challenge.data);
        format!("c={},r={}", STANDARD.encode(self.headers[1]), self.echoes.unwrap_or(&nonce))
    }

    fn auth_message(&self, challenge: &Challenge) -> String {
        let server_first = String::from_utf8_lossy(&challenge.data);
        format!("{},{server_first},{}", self.bare(), self.without_proof(challenge))
    }

    fn keys(&self, challenge: &Challenge) -> [Vec<u8>; 3] {
        let attributes = attributes(&challenge.data);
        let salt = STANDARD.decode(&attributes[1]).unwrap();
        keys(self.method(), self.password, &salt, attributes[2].parse().unwrap())
    }

    fn method(&self) -> Method {
        Method::named(self.method).unwrap()
    }
}

/// Nonce, salt and iterations.
pub(super) fn attributes(server_first: &[u8]) -> [String; 3] {
    let text = String::from_utf8(server_first.to_vec()).unwrap();
    let parts: Vec<String> = text.splitn(3, ',').map(|part| part[2..].to_owned()).collect();
    parts.try_into().unwrap()
}

/// What the operator writes for a password.
pub(super) fn line(method: &str, password: &str, salt: &[u8], iterations: u32) -> String {
    let hash = Method::named(method).unwrap();
    let [salted, _, stored_key] = keys(hash, password, salt, iterations);
    let [salt, stored_key, server_key] =
        [salt, &stored_key, &hash.hmac(&salted, b"Server Key")].map(|bytes| STANDARD.encode(bytes));
    format!("{method}${iterations}:{salt}${stored_key}:{server_key}")
}

/// `SaltedPassword`, `ClientKey`, `StoredKey`
fn keys(method: Method, password: &str, salt: &[u8], iterations: u32) -> [Vec<u8>; 3] {
    let mut salted = vec![0; method.bytes()];
    match method {
        Method::Sha256 => {
            pbkdf2::pbkdf2_hmac::<sha2::Sha256>(password.as_bytes(), salt, iterations, &mut salted);
        }
        Method::Sha512 => {
            pbkdf2::pbkdf2_hmac::<sha2::Sha512>(password.as_bytes(), salt, iterations, &mut salted);
        }
    }
    let client_key = method.hmac(&salted, b"Client Key");
    let stored_key = method.hash(&client_key);
    [salted, client_key, stored_key]
}
