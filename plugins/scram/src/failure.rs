//! What may go wrong in an exchange, as RFC 5802, section 7, has it.

use tidegate_plugin::ReasonCode;

/// Shown as the server's last message. What could tell a stranger who is a user and who is not has one word.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum Failure {
    /// No message of SCRAM, or not the one that is due.
    #[error("e=other-error")]
    Malformed,
    /// What should be UTF-8 or base64 is not.
    #[error("e=invalid-encoding")]
    Encoding,
    /// A user name that SASLprep refuses, or that is not escaped as it should be.
    #[error("e=invalid-username-encoding")]
    Username,
    /// The client asks for an extension.
    #[error("e=extensions-not-supported")]
    Extension,
    /// The client binds itself to its TLS connection.
    #[error("e=channel-binding-not-supported")]
    ChannelBinding,
    /// The header is another than the one it began with.
    #[error("e=channel-bindings-dont-match")]
    Header,
    /// A wrong password, a user that does not exist, a nonce of another exchange.
    #[error("e=invalid-proof")]
    Proof,
    /// A user other than the one in CONNECT, in the certificate, or who is in; or one who wants to act as another.
    #[error("e=other-error")]
    SomebodyElse,
}

impl Failure {
    /// `again`: for a client that is in. A DISCONNECT cannot say 0x86.
    pub(crate) fn reason_code(self, again: bool) -> ReasonCode {
        match self {
            Self::Proof if !again => ReasonCode::BadUserNameOrPassword,
            Self::Proof | Self::SomebodyElse => ReasonCode::NotAuthorized,
            _ => ReasonCode::ProtocolError,
        }
    }

    /// For the log.
    pub(crate) fn why(self) -> &'static str {
        match self {
            Self::Malformed => "no message of SCRAM, or not the one that is due",
            Self::Encoding => "no UTF-8, or no base64",
            Self::Username => "a user name that SASLprep refuses",
            Self::Extension => "it asks for an extension",
            Self::ChannelBinding => "it asks for channel binding",
            Self::Header => "another header than the exchange began with",
            Self::Proof => "wrong user name or password",
            Self::SomebodyElse => "another user than the one in CONNECT, or than the one who is in",
        }
    }
}
