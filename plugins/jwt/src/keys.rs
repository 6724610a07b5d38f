//! All keys, and which of them is asked about a token.

use crate::{algorithm::Algorithm, key::Key, refused::Refused};

/// What tokens may be signed with.
pub(crate) struct Keys(Vec<Key>);

impl Keys {
    pub(crate) fn new(keys: Vec<Key>) -> Self {
        Self(keys)
    }

    /// Whether there is a key for that algorithm.
    pub(crate) fn serve(&self, algorithm: Algorithm) -> bool {
        self.0.iter().any(|key| key.is_for(algorithm))
    }

    /// Asks the key that the token names; if none has that name, those that have none; if it names none, all. Only those of its
    /// algorithm.
    ///
    /// # Errors
    /// There is no such key, or none of them signed it.
    pub(crate) fn verify(
        &self,
        algorithm: Algorithm,
        id: Option<&str>,
        text: &[u8],
        signature: &[u8],
    ) -> Result<(), Refused> {
        let fitting: Vec<&Key> = self.0.iter().filter(|key| key.is_for(algorithm)).collect();
        let of = |id: Option<&str>| fitting.iter().copied().filter(|key| key.id.as_deref() == id).collect();
        let asked: Vec<&Key> = match (id, of(id)) {
            (None, _) => fitting.clone(),
            (Some(_), none) if Vec::is_empty(&none) => of(None),
            (Some(_), named) => named,
        };
        if asked.is_empty() {
            return Err(Refused::no_key(algorithm, id));
        }
        match asked.iter().any(|key| key.signed(algorithm, text, signature)) {
            true => Ok(()),
            false => Err(Refused::Signature),
        }
    }
}
