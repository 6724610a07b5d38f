//! Frames of RFC 6455, section 5. Payload is handed out as it comes, so that no frame is kept however long it says it is.

/// All is done.
pub(crate) const NORMAL: u16 = 1000;
/// The broker stops.
pub(crate) const GOING_AWAY: u16 = 1001;
const PROTOCOL_ERROR: u16 = 1002;
const UNACCEPTABLE_DATA: u16 = 1003;
const NOT_UTF8: u16 = 1007;

/// The longest head: opcode, length, eight bytes of length, mask.
const HEAD: usize = 14;
/// The longest payload of a control frame.
const CONTROL: usize = 125;

/// What a frame is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Opcode {
    Continuation,
    Binary,
    Close,
    Ping,
    Pong,
}

/// Appends the head of a frame from the broker: whole, without mask.
pub(crate) fn frame_head(opcode: Opcode, len: usize, out: &mut Vec<u8>) {
    let opcode = match opcode {
        Opcode::Continuation => 0x0,
        Opcode::Binary => 0x2,
        Opcode::Close => 0x8,
        Opcode::Ping => 0x9,
        Opcode::Pong => 0xA,
    };
    out.push(0x80 | opcode);
    match (u8::try_from(len), u16::try_from(len)) {
        (Ok(len @ ..=125), _) => out.push(len),
        (_, Ok(len)) => {
            out.push(126);
            out.extend_from_slice(&len.to_be_bytes());
        }
        _ => {
            out.push(127);
            out.extend_from_slice(&(len as u64).to_be_bytes());
        }
    }
}

/// Why nothing more is decoded.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum End {
    /// The client has sent Close; this code is the answer.
    Closed { code: Option<u16> },
    /// The client may not do that; the code says so to it.
    Violation { code: u16, what: &'static str },
    /// A violation, and our caller knows of it.
    Told,
}

/// Bytes from a client to bytes of MQTT.
#[derive(Debug, Default)]
pub(crate) struct Decoder {
    head: [u8; HEAD],
    head_len: usize,
    body: Option<Body>,
    /// A message has begun and its last frame has not.
    within_message: bool,
    /// Payload of the control frame that is coming in.
    control: Vec<u8>,
    pong: Option<Vec<u8>>,
    end: Option<End>,
}

/// The frame whose payload is coming in.
#[derive(Clone, Copy, Debug)]
struct Body {
    opcode: Opcode,
    left: u64,
    mask: [u8; 4],
}

impl Decoder {
    /// Decodes all of it in place; what belongs to MQTT is at the beginning then, and its length is returned. Behind the end nothing is
    /// decoded any more.
    pub(crate) fn decode(&mut self, bytes: &mut [u8]) -> usize {
        let (mut from, mut to) = (0, 0);
        while from < bytes.len() && self.end.is_none() {
            let Some(body) = &mut self.body else {
                self.head[self.head_len] = bytes[from];
                self.head_len += 1;
                from += 1;
                self.begin_body();
                continue;
            };
            let n = (bytes.len() - from).min(usize::try_from(body.left).unwrap_or(usize::MAX));
            unmask(&mut bytes[from..from + n], &mut body.mask);
            body.left -= n as u64;
            if matches!(body.opcode, Opcode::Binary | Opcode::Continuation) {
                bytes.copy_within(from..from + n, to);
                to += n;
            } else {
                self.control.extend_from_slice(&bytes[from..from + n]);
            }
            from += n;
            self.end_body();
        }
        to
    }

    pub(crate) fn end(&self) -> Option<&End> {
        self.end.as_ref()
    }

    pub(crate) fn violation_told(&mut self) {
        self.end = Some(End::Told);
    }

    pub(crate) fn has_pong(&self) -> bool {
        self.pong.is_some()
    }

    /// Payload of the newest ping that was not answered.
    pub(crate) fn take_pong(&mut self) -> Option<Vec<u8>> {
        self.pong.take()
    }

    /// If the head is whole, the payload is next.
    fn begin_body(&mut self) {
        match self.whole_head() {
            Ok(None) => {}
            Ok(Some(body)) => {
                self.head_len = 0;
                self.body = Some(body);
                self.end_body();
            }
            Err(what) => {
                let code = if what == TEXT { UNACCEPTABLE_DATA } else { PROTOCOL_ERROR };
                self.end = Some(End::Violation { code, what });
            }
        }
    }

    /// Says what is wrong as soon as it is there: the client may be waiting for us.
    fn whole_head(&mut self) -> Result<Option<Body>, &'static str> {
        let head = &self.head[..self.head_len];
        let [first, rest @ ..] = head else { return Ok(None) };
        let last = first & 0x80 != 0;
        if first & 0x70 != 0 {
            return Err("a reserved bit of the frame is set");
        }
        let opcode = match first & 0x0F {
            0x0 if self.within_message => Opcode::Continuation,
            0x0 => return Err("a message does not begin with its beginning"),
            0x1 | 0x2 if self.within_message => return Err("a message begins within another"),
            // [MQTT-6.0.0-1]
            0x1 => return Err(TEXT),
            0x2 => Opcode::Binary,
            0x8 => Opcode::Close,
            0x9 => Opcode::Ping,
            0xA => Opcode::Pong,
            _ => return Err("the kind of the frame is unknown"),
        };
        let control = matches!(opcode, Opcode::Close | Opcode::Ping | Opcode::Pong);
        if control && !last {
            return Err("a control frame is in pieces");
        }
        let [second, rest @ ..] = rest else { return Ok(None) };
        if second & 0x80 == 0 {
            return Err("the frame has no mask");
        }
        let short = second & 0x7F;
        if control && usize::from(short) > CONTROL {
            return Err("a control frame is too long");
        }
        let wide = match short {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        let Some((len, mask)) = rest.split_at_checked(wide) else { return Ok(None) };
        let len = match wide {
            0 => u64::from(short),
            _ => len.iter().fold(0, |len, byte| len << 8 | u64::from(*byte)),
        };
        if len >> 63 != 0 {
            return Err("the frame is too long");
        }
        let Ok(mask) = <[u8; 4]>::try_from(mask) else { return Ok(None) };
        if !control {
            self.within_message = !last;
        }
        Ok(Some(Body { opcode, left: len, mask }))
    }

    /// If the payload is whole, the next head is next.
    fn end_body(&mut self) {
        let Some(Body { opcode, left: 0, .. }) = self.body else { return };
        self.body = None;
        let control = std::mem::take(&mut self.control);
        match opcode {
            Opcode::Ping => self.pong = Some(control),
            Opcode::Close => self.end = Some(closed(&control)),
            _ => {}
        }
    }
}

const TEXT: &str = "MQTT comes in binary frames, not in text";

fn closed(payload: &[u8]) -> End {
    let Some((code, reason)) = payload.split_first_chunk() else {
        return match payload {
            [] => End::Closed { code: None },
            _ => End::Violation { code: PROTOCOL_ERROR, what: "a Close with half a code" },
        };
    };
    let code = u16::from_be_bytes(*code);
    let allowed = matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999);
    if !allowed {
        return End::Violation { code: PROTOCOL_ERROR, what: "a Close with a code that may not be sent" };
    }
    if std::str::from_utf8(reason).is_err() {
        return End::Violation { code: NOT_UTF8, what: "a Close whose reason is not UTF-8" };
    }
    End::Closed { code: Some(code) }
}

/// The mask is turned, so that it fits what follows.
fn unmask(bytes: &mut [u8], mask: &mut [u8; 4]) {
    let wide = u64::from_ne_bytes([mask[0], mask[1], mask[2], mask[3], mask[0], mask[1], mask[2], mask[3]]);
    let (eights, rest) = bytes.as_chunks_mut::<8>();
    for eight in eights {
        *eight = (u64::from_ne_bytes(*eight) ^ wide).to_ne_bytes();
    }
    for (byte, mask) in rest.iter_mut().zip(mask.iter().cycle()) {
        *byte ^= mask;
    }
    mask.rotate_left(rest.len() % 4);
}

#[cfg(test)]
mod tests;
