//! What a rule makes of a topic: `new/$1/%c`.

use serde::Deserialize;
use std::fmt;
use tidegate_plugin::{NameError, Pattern, TopicFilter, current};

/// A text with places for what was captured and for names.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Template(Vec<Piece>);

#[derive(Clone, Debug)]
enum Piece {
    Text(String),
    /// `$1` is 1.
    Capture(usize),
    /// `%c`, `%u` or `%{NAME}`.
    Name(Pattern),
}

/// Who publishes or subscribes.
pub(crate) struct Client<'a> {
    pub(crate) id: &'a str,
    pub(crate) username: Option<&'a str>,
}

/// Why there is no topic.
#[derive(Debug, Eq, PartialEq)]
pub(crate) enum Unfit {
    /// A name that is missing or would reach beyond its level.
    Name(String),
    /// What was captured makes a topic of the broker's own, or a shared subscription.
    Dollar,
    Invalid(NameError),
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => write!(f, "{name} is missing or would reach beyond its level"),
            Self::Dollar => f.write_str("it would begin with $, which `to` does not"),
            Self::Invalid(why) => why.fmt(f),
        }
    }
}

impl Template {
    /// The highest number behind a `$`.
    pub(crate) fn captures(&self) -> usize {
        let numbers = self.0.iter().map(|piece| if let Piece::Capture(number) = piece { *number } else { 0 });
        numbers.max().unwrap_or_default()
    }

    /// Whether it has `%c`, say.
    pub(crate) fn names(&self, placeholder: &str) -> bool {
        self.0.iter().any(|piece| matches!(piece, Piece::Name(name) if name.as_str() == placeholder))
    }

    /// Whether a topic filter can come of it, or a topic name.
    pub(crate) fn check(&self, name: bool) -> Result<(), String> {
        let sample = self.text(&|_| Some("x"), &|_| Some("x".into())).map_err(|why| why.to_string())?;
        if ["$share", "$queue"].iter().any(|share| sample.split('/').next() == Some(share)) {
            return Err("whether a subscription is shared is not rewritten; it stays as it is".into());
        }
        let filter = TopicFilter::new(&sample).map_err(|why| why.to_string())?;
        if name && !filter.is_exact() {
            return Err("nobody can publish to wildcards; make it a rule of its own, for `subscribe`".into());
        }
        Ok(())
    }

    /// The topic or filter, behind `share`.
    pub(crate) fn fill(
        &self,
        share: &str,
        captures: &[Option<&str>],
        client: &Client<'_>,
    ) -> Result<String, Unfit> {
        let capture = |number: usize| captures.get(number - 1).copied().flatten();
        let name = |name: &Pattern| {
            let filled = name.fill_with(client.id, client.username, current::attribute)?;
            Some(filled.to_string())
        };
        let text = self.text(&capture, &name)?;
        if text.starts_with('$') && !self.begins_with_dollar() {
            return Err(Unfit::Dollar);
        }
        let whole = share.to_owned() + &text;
        // A topic has no wildcards, so none can come of one: `check` has seen the text between.
        TopicFilter::new(&whole).map(|_| whole).map_err(Unfit::Invalid)
    }

    fn begins_with_dollar(&self) -> bool {
        matches!(self.0.first(), Some(Piece::Text(text)) if text.starts_with('$'))
    }

    /// A capture that took no part takes the `/` before it along: `old/#` fits `old` too.
    fn text<'t>(
        &self,
        capture: &dyn Fn(usize) -> Option<&'t str>,
        name: &dyn Fn(&Pattern) -> Option<String>,
    ) -> Result<String, Unfit> {
        let mut text = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Text(plain) => text.push_str(plain),
                Piece::Capture(number) => match capture(*number) {
                    Some(captured) => text.push_str(captured),
                    None => text.truncate(text.strip_suffix('/').unwrap_or(&text).len()),
                },
                Piece::Name(pattern) => match name(pattern) {
                    Some(name) => text.push_str(&name),
                    None => return Err(Unfit::Name(pattern.to_string())),
                },
            }
        }
        if text.is_empty() { Err(Unfit::Invalid(NameError::Empty)) } else { Ok(text) }
    }
}

impl TryFrom<String> for Template {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        let (mut pieces, mut plain, mut rest) = (Vec::new(), String::new(), text.as_str());
        while let Some(at) = rest.find(['$', '%']) {
            plain.push_str(&rest[..at]);
            let (piece, after) =
                if rest[at..].starts_with('$') { capture(&rest[at + 1..])? } else { name(&rest[at..])? };
            match piece {
                Piece::Text(escaped) => plain.push_str(&escaped),
                piece => {
                    pieces.push(Piece::Text(std::mem::take(&mut plain)));
                    pieces.push(piece);
                }
            }
            rest = after;
        }
        plain.push_str(rest);
        pieces.push(Piece::Text(plain));
        pieces.retain(|piece| !matches!(piece, Piece::Text(text) if text.is_empty()));
        Ok(Self(pieces))
    }
}

/// What stands behind `$`, and what follows.
fn capture(text: &str) -> Result<(Piece, &str), String> {
    if let Some(rest) = text.strip_prefix('$') {
        return Ok((Piece::Text("$".into()), rest));
    }
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    match text[..end].parse() {
        Ok(number) if number > 0 => Ok((Piece::Capture(number), &text[end..])),
        _ => Err("after $ comes a number from 1 on, or another $".into()),
    }
}

/// What begins with `%`, and what follows.
fn name(text: &str) -> Result<(Piece, &str), String> {
    if let Some(rest) = text.strip_prefix("%%") {
        return Ok((Piece::Text("%".into()), rest));
    }
    let end = if text.starts_with("%{") { text.find('}').map(|end| end + 1) } else { Some(2) };
    let (name, rest) = end.and_then(|end| text.split_at_checked(end)).unwrap_or((text, ""));
    Ok((Piece::Name(Pattern::new(name).map_err(|why| why.to_string())?), rest))
}
