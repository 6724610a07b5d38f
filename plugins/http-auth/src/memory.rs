//! Answers that were given before, in `kv`, where all instances find them.
//!
//! Kept under a keyed hash of what was asked, never under what was asked: nobody reads a password there. The key is random, and the
//! plugin's own.

use crate::answer::Answer;
use std::{cell::Cell, time::Duration};
use tidegate_plugin::{http::Request, kv, random, warn};

const KEY: &str = "key";
/// The generation that has said that there is no more room.
const FULL: &str = "full";

/// See the module.
pub(crate) struct Memory {
    key: [u8; blake3::KEY_LEN],
    generation: u64,
    /// Whether this instance has looked who says that there is no more room.
    said: Cell<bool>,
}

/// Where an answer lies.
pub(crate) struct Place(String);

impl Memory {
    /// # Errors
    /// A sentence for the operator.
    pub(crate) fn open(generation: u64) -> Result<Self, String> {
        let key = || {
            // The first instance of all says what it is.
            kv::swap(KEY, None, &random::array::<{ blake3::KEY_LEN }>())?;
            kv::swap(FULL, None, &0_u64.to_le_bytes())?;
            kv::get(KEY)
        };
        match key().map(|key| key.and_then(|key| key.try_into().ok())) {
            Ok(Some(key)) => Ok(Self { key, generation, said: Cell::new(false) }),
            Ok(None) => Err("what lies in kv is not this plugin's".into()),
            Err(why) => Err(format!(
                "{why}, where verdicts are kept: grant some, as in `grants.kv = \"4MiB\"`, or set `cache` and `cache_denied` to \"0s\""
            )),
        }
    }

    /// Where the answer to this request lies. Headers are the operator's, and the same for all.
    pub(crate) fn place(&self, request: &Request) -> Place {
        let mut hasher = blake3::Hasher::new_keyed(&self.key);
        let body = request.body.as_deref().unwrap_or_default();
        for part in [request.method.as_bytes(), request.url.as_bytes(), body] {
            hasher.update(&(part.len() as u64).to_le_bytes()).update(part);
        }
        Place(format!("a/{}", hasher.finalize().to_hex()))
    }

    pub(crate) fn recall(&self, Place(place): &Place) -> Option<Answer> {
        let kept = kv::get(place).ok()??;
        let (at, rest) = kept.split_first_chunk()?;
        let (status, body) = rest.split_first_chunk()?;
        Some(Answer {
            at: Duration::from_millis(u64::from_le_bytes(*at)),
            status: u16::from_le_bytes(*status),
            body: body.to_vec(),
        })
    }

    /// Keeps an answer in place of what was there; for no time: only forgets that.
    pub(crate) fn keep(&self, Place(place): &Place, answer: &Answer, time: Duration) {
        let at = u64::try_from(answer.at.as_millis()).unwrap_or(u64::MAX);
        let kept = [&at.to_le_bytes()[..], &answer.status.to_le_bytes(), &answer.body].concat();
        let done =
            if time.is_zero() { kv::delete(place).map(drop) } else { kv::set(place, &kept, Some(time)) };
        if let Err(why) = done {
            // What was said before must not outlive what is said now.
            if let Err(why) = kv::delete(place) {
                warn!("an old verdict could not be forgotten", why);
            }
            self.say_once(&why);
        }
    }

    /// Once a generation, whichever instance finds it; where that cannot be noted, once an instance.
    fn say_once(&self, why: &kv::Error) {
        if self.said.replace(true) {
            return;
        }
        let (said, now) = (kv::get(FULL).ok().flatten(), self.generation.to_le_bytes());
        if said.as_deref() != Some(&now[..]) && kv::swap(FULL, said.as_deref(), &now) != Ok(false) {
            warn!("verdicts are not kept, the backend is asked each time; give `grants.kv` more bytes", why);
        }
    }
}
