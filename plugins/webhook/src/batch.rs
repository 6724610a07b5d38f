//! Events that go in one request, as they lie in `kv`: a head, and a line for each event.
//!
//! A batch grows until it is sealed, which happens before it is sent for the first time: sent again, it is the same.

use tidegate_plugin::random;

/// Digits of an identifier.
const ID: usize = 32;
/// Digits of a count.
const COUNT: usize = 20;

#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Batch {
    /// Random: no other batch of any broker has it.
    pub(crate) id: String,
    pub(crate) is_sealed: bool,
    /// Events that were dropped since the batch before. Known once it is sealed.
    pub(crate) lost: u64,
    /// Each with its line's end.
    lines: String,
}

impl Batch {
    pub(crate) fn new() -> Self {
        let id = random::array::<{ ID / 2 }>().iter().map(|byte| format!("{byte:02x}")).collect();
        Self { id, is_sealed: false, lost: 0, lines: String::new() }
    }

    /// Events in it.
    pub(crate) fn len(&self) -> usize {
        self.lines.lines().count()
    }

    pub(crate) fn lines(&self) -> impl Iterator<Item = &str> {
        self.lines.lines()
    }

    pub(crate) fn with(mut self, lines: &[String]) -> Self {
        for line in lines {
            self.lines.push_str(line);
            self.lines.push('\n');
        }
        self
    }

    /// As large as before: there is room for it.
    pub(crate) fn sealed(self, lost: u64) -> Self {
        Self { is_sealed: true, lost, ..self }
    }

    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let Self { id, is_sealed, lost, lines } = self;
        let mark = if *is_sealed { 's' } else { 'o' };
        format!("{mark}{id}{lost:0COUNT$}\n{lines}").into_bytes()
    }

    /// None: it is none.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (head, lines) = std::str::from_utf8(bytes).ok()?.split_once('\n')?;
        let (mark, rest) = head.split_at_checked(1)?;
        let (id, lost) = rest.split_at_checked(ID)?;
        let is_sealed = match mark {
            "o" => false,
            "s" => true,
            _ => return None,
        };
        Some(Self { id: id.into(), is_sealed, lost: lost.parse().ok()?, lines: lines.into() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_is_read_as_it_was_written_and_sealing_needs_no_room() {
        let batch = Batch::new().with(&["a".into(), "b".into()]);
        assert_eq!((batch.len(), batch.id.len()), (2, 32));
        assert_eq!(Batch::from_bytes(&batch.to_bytes()), Some(batch.clone()));
        let sealed = batch.clone().sealed(u64::MAX);
        assert_eq!(sealed.to_bytes().len(), batch.to_bytes().len());
        assert_eq!(Batch::from_bytes(&sealed.to_bytes()), Some(sealed));
        assert_ne!(Batch::new().id, Batch::new().id);
    }

    #[test]
    fn what_is_no_batch_is_none() {
        for bytes in [&b""[..], b"o", b"o\n", b"\xFF\n", b"x0123456789abcdef0123456789abcdef0\n"] {
            assert_eq!(Batch::from_bytes(bytes), None, "{bytes:?}");
        }
    }
}
