//! `SCRAM-SHA-256$4096:SALT$STOREDKEY:SERVERKEY`, as PostgreSQL writes it (RFC 5802, section 3).

use anyhow::{Context, bail};
use base64::{Engine, engine::general_purpose::STANDARD};
use hmac::{EagerHash, Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256, Sha512};

/// The fewest iterations (RFC 7677, section 4).
const ITERATIONS: u32 = 4096;

#[derive(Clone, Copy, clap::ValueEnum)]
pub(super) enum Hash {
    #[value(name = "sha-256")]
    Sha256,
    #[value(name = "sha-512")]
    Sha512,
}

/// What is kept of a password, under a new salt.
///
/// # Errors
/// Too few iterations; a password that SASLprep refuses; no random numbers.
pub(super) fn line(hash: Hash, password: &str, iterations: u32) -> anyhow::Result<String> {
    if iterations < ITERATIONS {
        bail!("{iterations} iterations are too few, {ITERATIONS} are the least (RFC 7677)");
    }
    let password =
        stringprep::saslprep(password).context("no client can say that password (SASLprep, RFC 4013)")?;
    let mut salt = [0; 16];
    getrandom::fill(&mut salt).context("cannot make a salt")?;
    salted(hash, password.as_bytes(), &salt, iterations)
}

fn salted(hash: Hash, password: &[u8], salt: &[u8], iterations: u32) -> anyhow::Result<String> {
    let (name, [stored_key, server_key]) = match hash {
        Hash::Sha256 => ("SCRAM-SHA-256", keys::<Sha256>(password, salt, iterations)?),
        Hash::Sha512 => ("SCRAM-SHA-512", keys::<Sha512>(password, salt, iterations)?),
    };
    let [salt, stored_key, server_key] = [salt, &stored_key, &server_key].map(|bytes| STANDARD.encode(bytes));
    Ok(format!("{name}${iterations}:{salt}${stored_key}:{server_key}"))
}

/// `StoredKey` and `ServerKey`
fn keys<D: Digest + EagerHash>(
    password: &[u8],
    salt: &[u8],
    iterations: u32,
) -> anyhow::Result<[Vec<u8>; 2]> {
    let mut salted = vec![0; <D as Digest>::output_size()];
    pbkdf2::pbkdf2_hmac::<D>(password, salt, iterations, &mut salted);
    let hmac = |text: &[u8]| {
        anyhow::Ok(Hmac::<D>::new_from_slice(&salted)?.chain_update(text).finalize().into_bytes())
    };
    Ok([D::digest(hmac(b"Client Key")?).to_vec(), hmac(b"Server Key")?.to_vec()])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_rfc_7677_is_kept_so() {
        let salt = STANDARD.decode("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap();
        let expected = "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=";
        assert_eq!(salted(Hash::Sha256, b"pencil", &salt, 4096).unwrap(), expected);
    }

    #[test]
    fn each_line_has_its_own_salt() {
        let line = |hash| line(hash, "pencil", 4096).unwrap();
        assert_ne!(line(Hash::Sha256), line(Hash::Sha256));
        assert!(line(Hash::Sha512).starts_with("SCRAM-SHA-512$4096:"));
    }

    #[test]
    fn a_password_is_what_clients_make_of_it() {
        let nine = line(Hash::Sha256, "\u{2168}", 4096).unwrap();
        let salt = nine.split(['$', ':']).nth(2).unwrap();
        let salt = STANDARD.decode(salt).unwrap();
        assert_eq!(nine, salted(Hash::Sha256, b"IX", &salt, 4096).unwrap());
        assert!(line(Hash::Sha256, "\u{7}", 4096).is_err());
        assert!(line(Hash::Sha256, "pencil", 4095).is_err());
    }
}
