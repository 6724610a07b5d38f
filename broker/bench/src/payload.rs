//! A payload: who sent it as which, when it was due, and what fills it up to its size.

use crate::{
    failure::Failure,
    options::{Format, Payload},
    stamp::Stamp,
};
use std::fmt;

/// What begins a JSON payload: names, each before as many digits, blanks in front. Whole numbers up to 2^53 are those that every reader of
/// JSON keeps: 104 days of nanoseconds.
const FIELDS: [(&[u8], usize); 4] =
    [(b"{\"run\":", 10), (b",\"publisher\":", 10), (b",\"sequence\":", 16), (b",\"due\":", 16)];
/// What follows: something to work on for plugins, and the beginning of what fills it up.
const MIDDLE: &[u8] = b",\"celsius\":21.5,\"padding\":\"";
const END: &[u8] = b"\"}";

impl Format {
    /// Bytes; no payload may be shorter.
    pub(crate) fn smallest(self) -> usize {
        match self {
            Self::Bytes => Stamp::LEN,
            Self::Json => fields_len() + MIDDLE.len() + END.len(),
        }
    }

    /// Writes the stamp into a payload that was made with one.
    pub(crate) fn stamp(self, payload: &mut [u8], stamp: Stamp) {
        match self {
            Self::Bytes => payload[..Stamp::LEN].copy_from_slice(&stamp.to_bytes()),
            Self::Json => {
                let Stamp { run, publisher, sequence, due } = stamp;
                let mut rest = payload;
                for ((name, digits), value) in
                    FIELDS.into_iter().zip([run.into(), publisher.into(), sequence, due])
                {
                    let (field, behind) = rest.split_at_mut(name.len() + digits);
                    let (start, end) = field.split_at_mut(name.len());
                    start.copy_from_slice(name);
                    write_digits(end, value);
                    rest = behind;
                }
            }
        }
    }

    /// None if it bears none. JSON may have other fields, in any order.
    pub(crate) fn read(self, payload: &[u8]) -> Option<Stamp> {
        match self {
            Self::Bytes => Stamp::from_bytes(payload),
            Self::Json => serde_json::from_slice(payload).ok(),
        }
    }
}

impl Payload {
    /// # Errors
    /// If it is too small.
    pub(crate) fn check(self) -> Result<(), Failure> {
        let smallest = self.format.smallest();
        if self.size >= smallest {
            return Ok(());
        }
        Err(Failure::Usage(format!(
            "--size {}: {} takes {smallest} bytes, as number and time of the message are in it",
            self.size, self.format
        )))
    }

    /// With this stamp, and filled up.
    pub(crate) fn stamped(self, stamp: Stamp) -> Vec<u8> {
        let mut payload = match self.format {
            Format::Bytes => vec![b'.'; self.size],
            Format::Json => {
                let filling = self.size - self.format.smallest();
                [&vec![b' '; fields_len()], MIDDLE, &vec![b'.'; filling], END].concat()
            }
        };
        self.format.stamp(&mut payload, stamp);
        payload
    }

    /// Whether a payload may be what became of one of these. JSON may have grown or shrunk on its way.
    pub(crate) fn may_be(self, payload: &[u8]) -> bool {
        self.format == Format::Json || payload.len() == self.size
    }
}

impl fmt::Display for Format {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Bytes => "bytes",
            Self::Json => "JSON",
        })
    }
}

impl fmt::Display for Payload {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} B", self.size)?;
        if self.format == Format::Json { formatter.write_str(" of JSON") } else { Ok(()) }
    }
}

fn fields_len() -> usize {
    FIELDS.iter().map(|(name, digits)| name.len() + digits).sum()
}

/// At the end of `to`; what stands before them stays.
pub(crate) fn write_digits(to: &mut [u8], mut number: u64) {
    for digit in to.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
}

#[cfg(test)]
mod tests;
