//! From a schema's text to what it says.

use super::{Keyword, Measure, Mistake, Node, Others, Pattern, Rule, Schema, Subschema, Type, step};
use serde_json::{Map, Number, Value};
use std::collections::BTreeMap;

/// They say something about a schema, and nothing about values. `format` is among them as the standard has it.
const ANNOTATIONS: &[&str] = &[
    "$schema",
    "$id",
    "$anchor",
    "$comment",
    "$defs",
    "definitions",
    "title",
    "description",
    "default",
    "examples",
    "deprecated",
    "readOnly",
    "writeOnly",
    "format",
    "contentEncoding",
    "contentMediaType",
    "contentSchema",
];
/// They are read together with another one.
const PARTS: &[&str] = &["then", "else", "minContains", "maxContains", "additionalItems"];
/// They would say something, but are not understood.
const NOT_HERE: &[&str] =
    &["unevaluatedItems", "unevaluatedProperties", "$dynamicRef", "$recursiveRef", "$vocabulary"];

pub(super) fn compile(document: &Value) -> Result<Schema, Mistake> {
    let mut compiler = Compiler {
        document,
        nodes: Vec::new(),
        places: BTreeMap::new(),
        ref_is_alone: ref_is_alone(document)?,
        unknown: Vec::new(),
    };
    compiler.subschema("", document)?;
    Ok(Schema { nodes: compiler.nodes, unknown: compiler.unknown })
}

/// Whether a `$ref` makes what stands beside it mean nothing: up to draft 7.
fn ref_is_alone(document: &Value) -> Result<bool, Mistake> {
    let Some(dialect) = document.get("$schema") else { return Ok(false) };
    let name = dialect.as_str().unwrap_or_default().trim_end_matches('#');
    match name.trim_start_matches("https://").trim_start_matches("http://") {
        "json-schema.org/draft/2020-12/schema" | "json-schema.org/draft/2019-09/schema" => Ok(false),
        "json-schema.org/draft-07/schema" | "json-schema.org/draft-06/schema" => Ok(true),
        _ => Err(mistake("/$schema", "it is none of drafts 2020-12, 2019-09, 7 and 6")),
    }
}

struct Compiler<'d> {
    document: &'d Value,
    nodes: Vec<Node>,
    /// By JSON pointer.
    places: BTreeMap<String, Subschema>,
    ref_is_alone: bool,
    unknown: Vec<String>,
}

fn mistake(at: &str, why: impl Into<String>) -> Mistake {
    Mistake { at: at.into(), why: why.into() }
}

impl<'d> Compiler<'d> {
    fn subschema(&mut self, at: &str, value: &'d Value) -> Result<Subschema, Mistake> {
        if let Some(&known) = self.places.get(at) {
            return Ok(known);
        }
        // Its place is known before it is looked into: it may refer to itself.
        let subschema = self.nodes.len();
        self.nodes.push(Node::default());
        self.places.insert(at.into(), subschema);
        let rules = match value {
            Value::Bool(true) => Vec::new(),
            Value::Bool(false) => vec![Rule { at: at.into(), says: Keyword::Never }],
            Value::Object(keywords) => self.rules(at, keywords)?,
            _ => return Err(mistake(at, "a schema is an object, `true` or `false`")),
        };
        self.nodes[subschema] = Node(rules);
        Ok(subschema)
    }

    fn rules(&mut self, at: &str, keywords: &'d Map<String, Value>) -> Result<Vec<Rule>, Mistake> {
        let alone = self.ref_is_alone && keywords.contains_key("$ref");
        if !at.is_empty() && keywords.contains_key("$id") && !alone {
            return Err(mistake(at, "a schema within a schema cannot have an `$id` of its own here"));
        }
        let mut rules = Vec::new();
        for (keyword, value) in keywords.iter().filter(|(keyword, _)| !alone || *keyword == "$ref") {
            let at = at.to_owned() + &step(keyword);
            if let Some(says) = self.says(&at, keyword, value, keywords)? {
                rules.push(Rule { at, says });
            }
        }
        // What a look decides spares what would be gone into.
        rules.sort_by_key(|rule| rank(&rule.says));
        Ok(rules)
    }

    /// None: nothing about values.
    fn says(
        &mut self,
        at: &str,
        keyword: &str,
        value: &'d Value,
        beside: &'d Map<String, Value>,
    ) -> Result<Option<Keyword>, Mistake> {
        Ok(Some(match keyword {
            "$ref" => Keyword::AllOf(vec![self.reference(at, value)?]),
            "type" => Keyword::Type(match value {
                Value::Array(types) => {
                    types.iter().map(|one| type_named(at, one)).collect::<Result<_, _>>()?
                }
                one => vec![type_named(at, one)?],
            }),
            "enum" => Keyword::Among(list(at, value)?.iter().map(Into::into).collect()),
            "const" => Keyword::Among([value.into()].into()),
            "multipleOf" => Keyword::MultipleOf(positive(at, value)?),
            "maximum" => Keyword::Maximum(number(at, value)?),
            "exclusiveMaximum" => Keyword::ExclusiveMaximum(number(at, value)?),
            "minimum" => Keyword::Minimum(number(at, value)?),
            "exclusiveMinimum" => Keyword::ExclusiveMinimum(number(at, value)?),
            "maxLength" => Keyword::AtMost(Measure::Length, count(at, value)?),
            "minLength" => Keyword::AtLeast(Measure::Length, count(at, value)?),
            "maxItems" => Keyword::AtMost(Measure::Items, count(at, value)?),
            "minItems" => Keyword::AtLeast(Measure::Items, count(at, value)?),
            "maxProperties" => Keyword::AtMost(Measure::Properties, count(at, value)?),
            "minProperties" => Keyword::AtLeast(Measure::Properties, count(at, value)?),
            "pattern" => Keyword::Pattern(pattern(at, text(at, value)?)?),
            "prefixItems" => Keyword::Prefix(self.subschemas(at, value)?),
            "items" => match value {
                // Up to draft 2019-09.
                Value::Array(_) => {
                    let prefix = self.subschemas(at, value)?;
                    if let Some(additional) = beside.get("additionalItems") {
                        let place = beside_it(at, "items", "additionalItems");
                        let rest = Keyword::Rest(prefix.len(), self.subschema(&place, additional)?);
                        let both = vec![Keyword::Prefix(prefix), rest];
                        Keyword::AllOf(vec![self.together(at, both)])
                    } else {
                        Keyword::Prefix(prefix)
                    }
                }
                rest => {
                    let prefix = beside.get("prefixItems").and_then(Value::as_array).map_or(0, Vec::len);
                    Keyword::Rest(prefix, self.subschema(at, rest)?)
                }
            },
            "contains" => {
                let count_of = |keyword: &str| beside.get(keyword).map(|value| count(at, value)).transpose();
                let (least, most) = (count_of("minContains")?, count_of("maxContains")?);
                Keyword::Contains(self.subschema(at, value)?, least.unwrap_or(1), most)
            }
            "uniqueItems" => match value {
                Value::Bool(true) => Keyword::Unique,
                Value::Bool(false) => return Ok(None),
                _ => return Err(mistake(at, "it is `true` or `false`")),
            },
            "properties" => Keyword::Properties(self.named(at, value)?),
            "patternProperties" => {
                let named = self.named(at, value)?.into_iter();
                let patterns =
                    named.map(|(name, one)| Ok((pattern(&(at.to_owned() + &step(&name)), &name)?, one)));
                Keyword::PatternProperties(patterns.collect::<Result<_, _>>()?)
            }
            "additionalProperties" => Keyword::Additional(others(at, beside)?, self.subschema(at, value)?),
            "propertyNames" => Keyword::PropertyNames(self.subschema(at, value)?),
            "required" => Keyword::Required(texts(at, value)?),
            "dependentRequired" => {
                let names =
                    object(at, value)?.iter().map(|(name, names)| Ok((name.clone(), texts(at, names)?)));
                Keyword::DependentRequired(names.collect::<Result<_, _>>()?)
            }
            "dependentSchemas" => Keyword::DependentSchemas(self.named(at, value)?),
            "dependencies" => self.dependencies(at, value)?,
            "allOf" => Keyword::AllOf(self.subschemas(at, value)?),
            "anyOf" => Keyword::AnyOf(self.subschemas(at, value)?),
            "oneOf" => Keyword::OneOf(self.subschemas(at, value)?),
            "not" => Keyword::Not(self.subschema(at, value)?),
            "if" => {
                let mut branch = |keyword: &str| {
                    let place = beside_it(at, "if", keyword);
                    beside.get(keyword).map(|value| self.subschema(&place, value)).transpose()
                };
                let (then, otherwise) = (branch("then")?, branch("else")?);
                Keyword::If(self.subschema(at, value)?, then, otherwise)
            }
            _ if NOT_HERE.contains(&keyword) => {
                return Err(mistake(at, "this keyword is not understood here"));
            }
            _ => {
                if !ANNOTATIONS.contains(&keyword) && !PARTS.contains(&keyword) && !keyword.starts_with("x-")
                {
                    self.unknown.push(at.into());
                }
                return Ok(None);
            }
        }))
    }

    /// What `#/…` refers to.
    fn reference(&mut self, at: &str, value: &Value) -> Result<Subschema, Mistake> {
        let reference = text(at, value)?;
        let outside =
            || mistake(at, format!("{reference:?} is not within this schema, as `#` and `#/$defs/NAME` are"));
        let pointer = reference.strip_prefix('#').and_then(percent_decoded).ok_or_else(outside)?;
        if !pointer.is_empty() && !pointer.starts_with('/') {
            return Err(outside());
        }
        let document = self.document;
        let found = document.pointer(&pointer);
        let found = found.ok_or_else(|| mistake(at, format!("there is nothing at {reference:?}")))?;
        self.subschema(&pointer, found)
    }

    fn subschemas(&mut self, at: &str, value: &'d Value) -> Result<Vec<Subschema>, Mistake> {
        let list = list(at, value)?.iter().enumerate();
        list.map(|(index, one)| self.subschema(&format!("{at}/{index}"), one)).collect()
    }

    fn named(&mut self, at: &str, value: &'d Value) -> Result<BTreeMap<String, Subschema>, Mistake> {
        let members = object(at, value)?.iter();
        members
            .map(|(name, one)| Ok((name.clone(), self.subschema(&(at.to_owned() + &step(name)), one)?)))
            .collect()
    }

    /// Up to draft 7: names or a schema for each.
    fn dependencies(&mut self, at: &str, value: &'d Value) -> Result<Keyword, Mistake> {
        let (mut names, mut schemas) = (BTreeMap::new(), BTreeMap::new());
        for (name, one) in object(at, value)? {
            if one.is_array() {
                names.insert(name.clone(), texts(at, one)?);
            } else {
                schemas.insert(name.clone(), self.subschema(&(at.to_owned() + &step(name)), one)?);
            }
        }
        let both = vec![Keyword::DependentRequired(names), Keyword::DependentSchemas(schemas)];
        Ok(Keyword::AllOf(vec![self.together(at, both)]))
    }

    /// What one keyword says in two.
    fn together(&mut self, at: &str, all: Vec<Keyword>) -> Subschema {
        self.nodes.push(Node(all.into_iter().map(|says| Rule { at: at.into(), says }).collect()));
        self.nodes.len() - 1
    }
}

/// Lower is asked first.
fn rank(says: &Keyword) -> u8 {
    match says {
        Keyword::Among(_) | Keyword::Pattern(_) | Keyword::Unique => 1,
        Keyword::Prefix(_)
        | Keyword::Rest(..)
        | Keyword::Contains(..)
        | Keyword::Properties(_)
        | Keyword::PatternProperties(_)
        | Keyword::Additional(..)
        | Keyword::PropertyNames(_)
        | Keyword::DependentSchemas(_) => 2,
        Keyword::AllOf(_) | Keyword::AnyOf(_) | Keyword::OneOf(_) | Keyword::Not(_) | Keyword::If(..) => 3,
        _ => 0,
    }
}

fn beside_it(at: &str, keyword: &str, other: &str) -> String {
    at.strip_suffix(keyword).unwrap_or(at).to_owned() + other
}

fn others(at: &str, beside: &Map<String, Value>) -> Result<Others, Mistake> {
    let names = |keyword: &str| {
        let members = beside.get(keyword).and_then(Value::as_object).into_iter();
        members.flat_map(Map::keys).cloned()
    };
    let patterns = names("patternProperties").map(|name| pattern(at, &name)).collect::<Result<_, _>>()?;
    Ok(Others { named: names("properties").collect(), patterns })
}

fn type_named(at: &str, value: &Value) -> Result<Type, Mistake> {
    Ok(match value.as_str() {
        Some("null") => Type::Null,
        Some("boolean") => Type::Boolean,
        Some("integer") => Type::Integer,
        Some("number") => Type::Number,
        Some("string") => Type::String,
        Some("array") => Type::Array,
        Some("object") => Type::Object,
        _ => {
            let types = "null, boolean, integer, number, string, array and object";
            return Err(mistake(at, format!("{value} is none of {types}")));
        }
    })
}

fn pattern(at: &str, text: &str) -> Result<Pattern, Mistake> {
    Pattern::new(text).map_err(|why| {
        mistake(at, format!("{text:?} is no regular expression that is understood here: {why}"))
    })
}

fn text<'d>(at: &str, value: &'d Value) -> Result<&'d str, Mistake> {
    value.as_str().ok_or_else(|| mistake(at, "it is a text"))
}

fn list<'d>(at: &str, value: &'d Value) -> Result<&'d [Value], Mistake> {
    value.as_array().map(Vec::as_slice).ok_or_else(|| mistake(at, "it is an array"))
}

fn object<'d>(at: &str, value: &'d Value) -> Result<&'d Map<String, Value>, Mistake> {
    value.as_object().ok_or_else(|| mistake(at, "it is an object"))
}

fn texts(at: &str, value: &Value) -> Result<Vec<String>, Mistake> {
    list(at, value)?.iter().map(|one| text(at, one).map(Into::into)).collect()
}

fn number(at: &str, value: &Value) -> Result<Number, Mistake> {
    value.as_number().cloned().ok_or_else(|| mistake(at, "it is a number"))
}

fn positive(at: &str, value: &Value) -> Result<Number, Mistake> {
    let number = number(at, value)?;
    let is_positive = number.as_f64().is_some_and(|number| number > 0.0);
    if is_positive { Ok(number) } else { Err(mistake(at, "it is more than 0")) }
}

fn count(at: &str, value: &Value) -> Result<u64, Mistake> {
    let count =
        value.as_number().and_then(super::equality::exact).and_then(|count| u64::try_from(count).ok());
    count.ok_or_else(|| mistake(at, "it is a whole number from 0 on"))
}

/// A fragment of a URI as it is meant; None: it is none.
fn percent_decoded(text: &str) -> Option<String> {
    let mut parts = text.split('%');
    let mut bytes: Vec<u8> = parts.next()?.into();
    for part in parts {
        let (code, rest) = part.split_at_checked(2)?;
        bytes.push(u8::from_str_radix(code, 16).ok()?);
        bytes.extend(rest.as_bytes());
    }
    String::from_utf8(bytes).ok()
}
