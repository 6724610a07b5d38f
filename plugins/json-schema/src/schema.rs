//! JSON Schema, draft 2020-12 and back to draft 6, as far as it needs nothing from outside and no annotations.
//!
//! Reading order: here: what a schema is made of; `compile`: from its text; `validate`: whether a value is as it says; `equality`: when two
//! values are the same; `effort`, `pattern`: how long that may take.

mod compile;
mod effort;
mod equality;
mod pattern;
mod validate;

pub(crate) use effort::Effort;
use equality::Canonical;
use pattern::Pattern;
use serde_json::{Number, Value};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

/// A schema, ready to be asked.
#[derive(Debug)]
pub(crate) struct Schema {
    /// Subschemas; they refer to each other, in circles if need be.
    nodes: Vec<Node>,
    /// Keywords that nobody knows, and which say nothing therefore.
    pub(crate) unknown: Vec<String>,
}

/// A subschema, by its place in [`Schema::nodes`].
type Subschema = usize;
const ROOT: Subschema = 0;

/// All of them must hold.
#[derive(Debug, Default)]
struct Node(Vec<Rule>);

#[derive(Debug)]
struct Rule {
    /// A JSON pointer to its keyword.
    at: String,
    says: Keyword,
}

#[derive(Debug)]
enum Keyword {
    /// `false`
    Never,
    Type(Vec<Type>),
    /// `enum` and `const`.
    Among(BTreeSet<Canonical>),
    MultipleOf(Number),
    Maximum(Number),
    ExclusiveMaximum(Number),
    Minimum(Number),
    ExclusiveMinimum(Number),
    /// `maxLength`, `maxItems` and `maxProperties`.
    AtMost(Measure, u64),
    /// `minLength`, `minItems` and `minProperties`.
    AtLeast(Measure, u64),
    Pattern(Pattern),
    Prefix(Vec<Subschema>),
    /// Items from that one on.
    Rest(usize, Subschema),
    Contains(Subschema, u64, Option<u64>),
    Unique,
    Properties(BTreeMap<String, Subschema>),
    PatternProperties(Vec<(Pattern, Subschema)>),
    Additional(Others, Subschema),
    PropertyNames(Subschema),
    Required(Vec<String>),
    DependentRequired(BTreeMap<String, Vec<String>>),
    DependentSchemas(BTreeMap<String, Subschema>),
    /// `$ref` is one of these, too.
    AllOf(Vec<Subschema>),
    AnyOf(Vec<Subschema>),
    OneOf(Vec<Subschema>),
    Not(Subschema),
    If(Subschema, Option<Subschema>, Option<Subschema>),
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Type {
    Null,
    Boolean,
    Integer,
    Number,
    String,
    Array,
    Object,
}

#[derive(Clone, Copy, Debug)]
enum Measure {
    /// Characters of a text.
    Length,
    Items,
    Properties,
}

/// Properties that neither `properties` nor `patternProperties` name.
#[derive(Debug)]
struct Others {
    named: BTreeSet<String>,
    patterns: Vec<Pattern>,
}

/// Why a text is no schema, or none that is understood here.
#[derive(Debug)]
pub(crate) struct Mistake {
    at: String,
    why: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.at.is_empty() { f.write_str(&self.why) } else { write!(f, "at {}: {}", self.at, self.why) }
    }
}

/// Where a value is not as its schema says. Nothing but the names of its members shows.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct Failure<'s> {
    /// A JSON pointer into the value.
    pub(crate) instance: String,
    /// A JSON pointer into the schema.
    pub(crate) schema: &'s str,
    /// Whether it was given up there, before it was known.
    pub(crate) unfinished: bool,
}

impl Schema {
    /// Reads a schema.
    pub(crate) fn new(document: &Value) -> Result<Self, Mistake> {
        compile::compile(document)
    }

    /// Whether a value is as the schema says; if not, the first place where it is not. What takes more than is left of `effort` is not.
    pub(crate) fn validate(&self, value: &Value, effort: &Effort) -> Result<(), Failure<'_>> {
        validate::validate(self, value, effort)
    }
}

/// A step in a JSON pointer (RFC 6901).
fn step(name: &str) -> String {
    format!("/{}", name.replace('~', "~0").replace('/', "~1"))
}

#[cfg(test)]
mod tests;
