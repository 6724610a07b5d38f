//! Regular expressions, and how long it takes to look for one.

use regex_lite::{Error, Regex, RegexBuilder};

/// Of a schema.
#[derive(Debug)]
pub(super) struct Pattern {
    regex: Regex,
    /// Steps for a byte of a text.
    per_byte: usize,
}

impl Pattern {
    /// # Errors
    /// It is no regular expression.
    pub(super) fn new(text: &str) -> Result<Self, Error> {
        let regex = Regex::new(text)?;
        // How large it is nobody tells, but it can be limited: counts such as `{1,255}` are states, of about 32 bytes each.
        let fits = |size: &usize| RegexBuilder::new(text).size_limit(*size).build().is_ok();
        let size = (8..24).map(|bits| 1_usize << bits).find(fits).unwrap_or(1 << 24);
        // Where it may begin, or go on, at any place of the text, there are many states to be tried with each byte: up to half of them.
        let goes_straight =
            text.starts_with('^') && !["|", "*", "+", ",}"].iter().any(|one| text.contains(one));
        Ok(Self { regex, per_byte: 4 + size / if goes_straight { 1024 } else { 64 } })
    }

    pub(super) fn is_match(&self, text: &str) -> bool {
        self.regex.is_match(text)
    }

    /// Steps that looking for it in this text may take.
    pub(super) fn steps(&self, text: &str) -> usize {
        16 + text.len().saturating_mul(self.per_byte)
    }
}
