//! WebSocket, as far as MQTT uses it (RFC 6455; MQTT 5 section 6): binary frames, of any length and cut anywhere.

use super::nonsense;
use std::io;
use tungstenite::handshake::{client::generate_key, derive_accept_key};

pub(super) struct WebSocket {
    stage: Stage,
    /// What is to be sent when the handshake is done.
    waiting: Vec<u8>,
    /// The last frame that was made.
    frame: Vec<u8>,
    /// Answers to pings and closes.
    replies: Vec<u8>,
    told: Vec<u8>,
    /// What masks are made of.
    seed: u64,
}

enum Stage {
    /// The request is on its way: what it must be answered with, and the answer so far.
    Asking {
        accept: String,
        answer: Vec<u8>,
    },
    Open(Incoming),
    Closed,
}

/// Where in a frame the next byte is.
#[derive(Default)]
struct Incoming {
    /// A frame header that is not whole.
    header: Vec<u8>,
    /// The kind of the frame whose payload comes, and how much of it is left.
    opcode: u8,
    left: u64,
    /// The payload of a control frame.
    control: Vec<u8>,
}

/// Bytes of an answer to the request.
const LONGEST_ANSWER: usize = 16 << 10;

const CONTINUATION: u8 = 0;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

impl WebSocket {
    /// And the request that begins it.
    pub(super) fn ask(host: &str, path: &str) -> (Self, String) {
        let key = generate_key();
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n"
        );
        let accept = derive_accept_key(key.as_bytes());
        let seed = key.bytes().fold(1, |seed: u64, byte| seed.wrapping_mul(31).wrapping_add(byte.into()));
        let stage = Stage::Asking { accept, answer: Vec::new() };
        let (waiting, frame, replies, told) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        (Self { stage, waiting, frame, replies, told, seed: seed | 1 }, request)
    }

    pub(super) fn is_clear(&self) -> bool {
        !matches!(self.stage, Stage::Asking { .. })
    }

    pub(super) fn is_closed(&self) -> bool {
        matches!(self.stage, Stage::Closed)
    }

    /// A frame to send; none while the handshake goes on.
    pub(super) fn wrap(&mut self, bytes: &[u8]) -> Option<&[u8]> {
        if matches!(self.stage, Stage::Asking { .. }) {
            self.waiting.extend_from_slice(bytes);
            return None;
        }
        let mask = self.mask();
        self.frame.clear();
        write_frame(&mut self.frame, BINARY, bytes, mask);
        Some(&self.frame)
    }

    /// What the peer is to be told because of what it said.
    pub(super) fn reply(&mut self) -> Option<&[u8]> {
        std::mem::swap(&mut self.told, &mut self.replies);
        self.replies.clear();
        Some(self.told.as_slice()).filter(|told| !told.is_empty())
    }

    /// Leaves nothing but MQTT at the beginning of `bytes`, and returns how much that is.
    pub(super) fn unwrap(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let (mut from, mut to) = (0, 0);
        if let Stage::Asking { accept, answer } = &mut self.stage {
            let before = answer.len();
            answer.extend_from_slice(bytes);
            let Some(end) = answer.windows(4).position(|window| window == b"\r\n\r\n") else {
                let is_long = answer.len() > LONGEST_ANSWER;
                return if is_long { Err(nonsense("WebSocket: an endless answer")) } else { Ok(0) };
            };
            check_answer(&answer[..end], accept)?;
            from = end + 4 - before;
            self.stage = Stage::Open(Incoming::default());
            let waiting = std::mem::take(&mut self.waiting);
            let mask = self.mask();
            write_frame(&mut self.replies, BINARY, &waiting, mask);
        }
        while from < bytes.len() {
            let Stage::Open(incoming) = &mut self.stage else { break };
            if incoming.left == 0 {
                incoming.header.push(bytes[from]);
                from += 1;
                if incoming.begin_frame()? && incoming.left == 0 && incoming.opcode >= CLOSE {
                    self.control();
                }
                continue;
            }
            let count = incoming.left.min((bytes.len() - from) as u64) as usize;
            incoming.left -= count as u64;
            if incoming.opcode >= CLOSE {
                incoming.control.extend_from_slice(&bytes[from..from + count]);
                if incoming.left == 0 {
                    self.control();
                }
            } else {
                bytes.copy_within(from..from + count, to);
                to += count;
            }
            from += count;
        }
        Ok(to)
    }

    /// A control frame is whole.
    fn control(&mut self) {
        let mask = self.mask();
        let Stage::Open(incoming) = &mut self.stage else { return };
        let payload = std::mem::take(&mut incoming.control);
        match incoming.opcode {
            PING => write_frame(&mut self.replies, PONG, &payload, mask),
            CLOSE => {
                write_frame(&mut self.replies, CLOSE, &payload, mask);
                self.stage = Stage::Closed;
            }
            _ => {}
        }
    }

    /// Not to be foreseen by whoever chooses the payload; more the standard does not need of a tool like this.
    fn mask(&mut self) -> [u8; 4] {
        self.seed ^= self.seed << 13;
        self.seed ^= self.seed >> 7;
        self.seed ^= self.seed << 17;
        let [a, b, c, d, ..] = self.seed.to_le_bytes();
        [a, b, c, d]
    }
}

impl Incoming {
    /// True if the header is whole.
    fn begin_frame(&mut self) -> io::Result<bool> {
        let header = self.header.as_slice();
        let &[first, length, ref rest @ ..] = header else { return Ok(false) };
        if length & 0x80 != 0 {
            return Err(nonsense("WebSocket: the broker masks its frames"));
        }
        let left = match (length, rest) {
            (126, [a, b]) => u64::from(u16::from_be_bytes([*a, *b])),
            (127, rest) if rest.len() == 8 => {
                rest.iter().fold(0, |length, byte| length << 8 | u64::from(*byte))
            }
            (126 | 127, _) => return Ok(false),
            (length, _) => length.into(),
        };
        (self.opcode, self.left) = (first & 0x0F, left);
        self.header.clear();
        match self.opcode {
            CONTINUATION | BINARY => Ok(true),
            CLOSE | PING | PONG if left <= 125 => Ok(true),
            _ => Err(nonsense("WebSocket: a frame that MQTT does not use")),
        }
    }
}

fn check_answer(answer: &[u8], accept: &str) -> io::Result<()> {
    let answer = String::from_utf8_lossy(answer);
    let mut lines = answer.lines();
    let status = lines.next().unwrap_or_default();
    if status.split(' ').nth(1) != Some("101") {
        return Err(nonsense(format!("WebSocket: the broker answers \"{status}\"")));
    }
    let header = |name: &str| {
        let mut pairs = answer.lines().filter_map(|line| line.split_once(':'));
        pairs.find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim().to_owned())
    };
    if header("sec-websocket-accept").as_deref() != Some(accept) {
        return Err(nonsense("WebSocket: Sec-WebSocket-Accept is wrong"));
    }
    if header("sec-websocket-protocol").is_none_or(|protocol| !protocol.eq_ignore_ascii_case("mqtt")) {
        return Err(nonsense("WebSocket: the broker does not choose the subprotocol mqtt"));
    }
    Ok(())
}

fn write_frame(out: &mut Vec<u8>, opcode: u8, payload: &[u8], mask: [u8; 4]) {
    out.push(0x80 | opcode);
    match payload.len() {
        length @ ..=125 => out.push(0x80 | length as u8),
        length @ ..=0xFFFF => {
            out.push(0x80 | 126);
            out.extend_from_slice(&(length as u16).to_be_bytes());
        }
        length => {
            out.push(0x80 | 127);
            out.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    out.extend_from_slice(&mask);
    let start = out.len();
    out.extend_from_slice(payload);
    for chunk in out[start..].chunks_mut(4) {
        chunk.iter_mut().zip(mask).for_each(|(byte, mask)| *byte ^= mask);
    }
}

#[cfg(test)]
mod tests;
