//! From the client's first message to its last. What must be known then travels as the state of the challenge: the broker keeps it, and
//! no client sees it.

use crate::{
    failure::Failure,
    message::{ClientFinal, ClientFirst, is_nonce},
    method::Method,
    verifier::Verifier,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};
use std::iter;
use tidegate_plugin::{Challenge, Connect, random};

/// Characters of our part of the nonce: nearly 200 bits.
const NONCE: usize = 30;

/// Where a client stands that has sent its first message.
#[derive(Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Exchange {
    /// With whom: an answer that somebody else gives is none.
    session: u64,
    client_id: String,
    method: String,
    pub(crate) user: String,
    gs2_header: String,
    client_first_bare: String,
    nonce: String,
    server_first: String,
}

impl Exchange {
    pub(crate) fn begin(client: &Connect, first: &ClientFirst<'_>, verifier: &Verifier) -> Self {
        let nonce: String = first.nonce.chars().chain(fresh_nonce()).collect();
        let salt = STANDARD.encode(&verifier.salt);
        Self {
            session: client.session,
            client_id: client.client_id.clone(),
            method: verifier.method.name().into(),
            user: first.user.clone(),
            gs2_header: first.gs2_header.into(),
            client_first_bare: first.bare.into(),
            server_first: format!("r={nonce},s={salt},i={}", verifier.iterations),
            nonce,
        }
    }

    /// Salt and iterations for the client; the rest for us.
    pub(crate) fn challenge(&self) -> Result<Challenge, Failure> {
        let state = serde_json::to_vec(self).map_err(|_| Failure::Malformed)?;
        Ok(Challenge::new(self.server_first.as_str()).state(state))
    }

    /// As the challenge left it.
    ///
    /// # Errors
    /// It was not for this client.
    pub(crate) fn resume(client: &Connect, method: Method, state: &[u8]) -> Result<Self, Failure> {
        let exchange: Self = serde_json::from_slice(state).map_err(|_| Failure::Malformed)?;
        let same = exchange.session == client.session
            && exchange.client_id == client.client_id
            && exchange.method == method.name();
        if same { Ok(exchange) } else { Err(Failure::Malformed) }
    }

    /// The server's last message, if the client's proves that it knows the password.
    pub(crate) fn finish(&self, last: &[u8], verifier: &Verifier) -> Result<String, Failure> {
        let last = ClientFinal::parse(last)?;
        if last.gs2_header != self.gs2_header.as_bytes() {
            return Err(Failure::Header);
        }
        if last.nonce != self.nonce {
            return Err(Failure::Proof);
        }
        let auth_message = [&self.client_first_bare, &*self.server_first, last.without_proof].join(",");
        let auth_message = auth_message.as_bytes();
        if !verifier.accepts(&last.proof, auth_message) {
            return Err(Failure::Proof);
        }
        Ok(format!("v={}", STANDARD.encode(verifier.signature(auth_message))))
    }
}

/// Each of the characters that may stand there is as likely as any other. No equals sign: there are clients that split at it.
fn fresh_nonce() -> impl Iterator<Item = char> {
    let bytes = iter::repeat_with(|| random::bytes(NONCE)).flatten().map(|byte| byte & 0x7F);
    bytes.filter(|&byte| is_nonce(byte) && byte != b'=').map(char::from).take(NONCE)
}
