//! One connection: a question, an answer.

use redis_protocol::resp2::{
    decode::decode,
    encode::encode,
    types::{OwnedFrame, Resp2Frame},
};
use tidegate_plugin::{
    storage::Error,
    tcp::{self, Connection as Tcp},
};

/// Bytes asked for at once.
const READ: u32 = 256 << 10;

/// Errors that come before anything is done, and pass.
const PASSING: [&str; 9] =
    ["LOADING", "MASTERDOWN", "READONLY", "OOM", "MISCONF", "BUSY", "NOREPLICAS", "CLUSTERDOWN", "TRYAGAIN"];
/// Errors that come before anything is done, and need somebody to mend something.
const LASTING: [&str; 6] = ["TERM", "FORMAT", "NOAUTH", "WRONGPASS", "NOPERM", "MOVED"];

pub(crate) struct Connection(Tcp);

/// What Redis answers.
#[derive(Debug)]
pub(crate) struct Reply(OwnedFrame);

/// Why there is no answer.
#[derive(Debug)]
pub(crate) enum Failed {
    /// There is no connection: nothing was asked.
    NotOpened(tcp::Error),
    /// The connection ended after the question was begun.
    Lost(String),
    /// Redis says no.
    Refused(String),
}

impl Connection {
    pub(crate) fn open(origin: &str) -> Result<Self, Failed> {
        Tcp::open(origin).map(Self).map_err(Failed::NotOpened)
    }

    pub(crate) fn ask(&mut self, question: &[&[u8]]) -> Result<Reply, Failed> {
        let lost = |why: String| Failed::Lost(why);
        let frame =
            OwnedFrame::Array(question.iter().map(|part| OwnedFrame::BulkString(part.to_vec())).collect());
        let mut bytes = vec![0; frame.encode_len(false)];
        encode(&mut bytes, &frame, false).map_err(|why| lost(why.to_string()))?;
        drop(frame);
        self.0.write(&bytes).map_err(|why| lost(why.to_string()))?;
        bytes.clear();
        loop {
            let more = self.0.read(READ).map_err(|why| lost(why.to_string()))?;
            if more.is_empty() {
                return Err(lost("Redis has closed the connection".to_owned()));
            }
            bytes.extend_from_slice(&more);
            match decode(&bytes).map_err(|why| lost(why.to_string()))? {
                Some((OwnedFrame::Error(why), _)) => return Err(Failed::Refused(why)),
                Some((frame, _)) => return Ok(Reply(frame)),
                None => {}
            }
        }
    }
}

impl Reply {
    /// None: it is nil, or a list.
    pub(crate) fn bytes(self) -> Option<Vec<u8>> {
        match self.0 {
            OwnedFrame::SimpleString(bytes) | OwnedFrame::BulkString(bytes) => Some(bytes),
            OwnedFrame::Integer(number) => Some(number.to_string().into()),
            OwnedFrame::Error(_) | OwnedFrame::Array(_) | OwnedFrame::Null => None,
        }
    }

    /// None: it is none.
    pub(crate) fn list(self) -> Option<Vec<Self>> {
        match self.0 {
            OwnedFrame::Array(list) => Some(list.into_iter().map(Self).collect()),
            _ => None,
        }
    }
}

impl Failed {
    /// Whether the connection can be asked again.
    pub(crate) fn leaves_connection(&self) -> bool {
        match self {
            Self::Refused(why) => !begins_with_one_of(why, &["NOAUTH", "MASTERDOWN", "READONLY", "MOVED"]),
            Self::NotOpened(_) | Self::Lost(_) => false,
        }
    }

    /// Of what changes nothing.
    pub(crate) fn of_look(self) -> Error {
        match self {
            Self::Lost(why) => Error::Retry(why),
            other => other.certain().unwrap_or_else(Error::Retry),
        }
    }

    /// Of a commit, which may have been done.
    pub(crate) fn of_commit(self) -> Error {
        match self {
            Self::Lost(why) => Error::Unknown(why),
            other => other.certain().unwrap_or_else(Error::Unknown),
        }
    }

    /// Nothing was done; or what Redis said, if that cannot be told by it.
    fn certain(self) -> Result<Error, String> {
        match self {
            Self::NotOpened(tcp::Error::Denied) => Ok(Error::Fatal(
                "config.origin is not among grants.tcp, or its name leads to addresses that are not"
                    .to_owned(),
            )),
            Self::NotOpened(why) => Ok(Error::Retry(format!("Redis cannot be reached: {why}"))),
            Self::Refused(why) if begins_with_one_of(&why, &PASSING) => Ok(Error::Retry(why)),
            Self::Refused(why) if begins_with_one_of(&why, &LASTING) => Ok(Error::Fatal(why)),
            Self::Refused(why) | Self::Lost(why) => Err(why),
        }
    }
}

fn begins_with_one_of(text: &str, words: &[&str]) -> bool {
    words
        .iter()
        .any(|word| text.strip_prefix(word).is_some_and(|rest| rest.is_empty() || rest.starts_with(' ')))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Cursor, Read, Write};
    use tidegate_plugin::testing::Host;

    /// Answers what it was told to, whatever it is asked.
    struct Scripted(Cursor<Vec<u8>>);

    impl Read for Scripted {
        fn read(&mut self, bytes: &mut [u8]) -> std::io::Result<usize> {
            // A byte at a time: answers come in pieces.
            let one = bytes.len().min(1);
            self.0.read(&mut bytes[..one])
        }
    }

    impl Write for Scripted {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn asked(answer: &str) -> Result<Reply, Failed> {
        let (host, answer) = (Host::new(), answer.to_owned());
        host.tcp(move |_| Ok(Box::new(Scripted(Cursor::new(answer.clone().into())))));
        Connection::open("tcp://a:1").unwrap().ask(&[b"PING"])
    }

    #[test]
    fn answers_are_read_in_pieces() {
        assert_eq!(asked("+PONG\r\n").unwrap().bytes().unwrap(), b"PONG");
        assert_eq!(asked(":7\r\n").unwrap().bytes().unwrap(), b"7");
        assert_eq!(asked("$-1\r\n").unwrap().bytes(), None);
        let list = asked("*2\r\n$2\r\nab\r\n$-1\r\n").unwrap().list().unwrap();
        assert_eq!(list.into_iter().map(Reply::bytes).collect::<Vec<_>>(), [Some(b"ab".to_vec()), None]);
    }

    #[test]
    fn what_is_not_certain_is_unknown() {
        let commit = |answer| asked(answer).unwrap_err().of_commit();
        let look = |answer| asked(answer).unwrap_err().of_look();
        for answer in ["", "$5\r\nab", "?\r\n", "-ERR something else\r\n", "-BUSYKEY what\r\n"] {
            assert!(matches!(commit(answer), Error::Unknown(_)), "{answer}");
            assert!(matches!(look(answer), Error::Retry(_)), "{answer}");
        }
        for answer in ["-OOM command not allowed\r\n", "-LOADING\r\n", "-MISCONF Errors writing\r\n"] {
            assert!(matches!(commit(answer), Error::Retry(_)), "{answer}");
        }
        for answer in ["-TERM over\r\n", "-NOAUTH Authentication required.\r\n", "-WRONGPASS invalid\r\n"] {
            assert!(matches!(commit(answer), Error::Fatal(_)), "{answer}");
        }
        assert!(asked("-OOM\r\n").unwrap_err().leaves_connection());
        assert!(!asked("-READONLY\r\n").unwrap_err().leaves_connection());
        assert!(!asked("").unwrap_err().leaves_connection());
    }

    #[test]
    fn nothing_was_done_where_there_is_no_connection() {
        let host = Host::new();
        let failed = || Connection::open("tcp://a:1").err().unwrap().of_commit();
        assert!(matches!(failed(), Error::Fatal(why) if why.contains("grants.tcp")));
        host.tcp(|_| Err(tcp::Error::Timeout));
        assert!(matches!(failed(), Error::Retry(why) if why.contains("cannot be reached")));
    }
}
