//! Why a token does not let its bearer in.

use crate::algorithm::Algorithm;
use tidegate_plugin::ReasonCode;

/// For the log: of the token it says its algorithm, the name of its key, the names of its claims, and which rule cannot be kept.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refused {
    #[error("there is no token, and `required` is set")]
    Missing,
    #[error("it is no signed token of three parts with claims in JSON")]
    Malformed,
    #[error("its header has `crit`: extensions that this plugin does not know")]
    Critical,
    #[error("its algorithm is none that this plugin knows")]
    UnknownAlgorithm,
    #[error("its algorithm {0} is not in `algorithms`")]
    Algorithm(Algorithm),
    #[error("there is no key for {0} {1}")]
    NoKey(Algorithm, String),
    #[error("no key of ours has signed it")]
    Signature,
    #[error("it has no claim `{0}`")]
    NoClaim(String),
    #[error("its claim `{claim}` is not {expected}")]
    Claim { claim: String, expected: &'static str },
    #[error("it has expired")]
    Expired,
    #[error("it is not valid yet")]
    Early,
    #[error("its claim `iss` is not in `iss` of the config")]
    Issuer,
    #[error("its claim `aud` has none that is in `aud` of the config")]
    Audience,
    #[error("its claim `{0}` is not the user name; `match_username = false` lets any user name pass")]
    Username(String),
    #[error("its claim `{0}` is not the client id")]
    ClientId(String),
    #[error("its claim `{claim}` has no rules: {why}")]
    Rules { claim: String, why: String },
}

impl Refused {
    pub(crate) fn no_key(algorithm: Algorithm, id: Option<&str>) -> Self {
        // Whoever wrote it may have written anything, at any length.
        let of_that_name = |id: &str| format!("of the name {:?}", id.chars().take(64).collect::<String>());
        Self::NoKey(algorithm, id.map_or_else(|| "that has no name".into(), of_that_name))
    }

    /// What the client is told. Which of a token's claims is wrong is for the log.
    pub(crate) fn reason_code(&self) -> ReasonCode {
        match self {
            // A good token, but not for this.
            Self::Username(_) | Self::ClientId(_) | Self::Rules { .. } => ReasonCode::NotAuthorized,
            _ => ReasonCode::BadUserNameOrPassword,
        }
    }
}
