//! Whether a value is as its schema says.

use super::{
    Effort, Failure, Keyword, Measure, ROOT, Rule, Schema, Subschema, Type,
    equality::{Canonical, compare, is_integer, is_multiple},
    step,
};
use serde_json::{Map, Value};
use std::{cell::Cell, cmp::Ordering, collections::BTreeSet};

/// Subschemas within subschemas: more than a value can be deep, and fewer than there is room for. A `$ref` that leads back to itself
/// ends here.
const DEEPEST: usize = 512;

pub(super) fn validate<'s>(schema: &'s Schema, value: &Value, effort: &Effort) -> Result<(), Failure<'s>> {
    let given_up = Cell::new(None);
    let place = Place { schema, value, way: None, depth: 0, probing: false, effort, given_up: &given_up };
    let known = place.is_as(ROOT);
    // Whatever was made of it, by a `not` say.
    let unknown = |rule: &'s Rule| Failure { instance: String::new(), schema: &rule.at, unfinished: true };
    given_up.get().map_or(known, |rule| Err(unknown(rule)))
}

/// A value, and the way to it.
#[derive(Clone, Copy)]
struct Place<'a, 's> {
    schema: &'s Schema,
    value: &'a Value,
    way: Option<&'a Step<'a>>,
    depth: usize,
    /// Whether nobody will ask where it failed.
    probing: bool,
    effort: &'a Effort,
    /// Where it went too deep, or on for too long: at the first such rule.
    given_up: &'a Cell<Option<&'s Rule>>,
}

struct Step<'a> {
    before: Option<&'a Step<'a>>,
    to: To<'a>,
}

#[derive(Clone, Copy)]
enum To<'a> {
    Member(&'a str),
    Item(usize),
}

impl<'s> Place<'_, 's> {
    fn is_as(self, subschema: Subschema) -> Result<(), Failure<'s>> {
        let deeper = Place { depth: self.depth + 1, ..self };
        let rules = self.schema.nodes.get(subschema).map(|node| node.0.as_slice()).unwrap_or_default();
        rules.iter().try_for_each(|rule| deeper.obeys(rule))
    }

    fn fits(self, subschema: Subschema) -> bool {
        Place { probing: true, ..self }.is_as(subschema).is_ok()
    }

    fn obeys(self, rule: &'s Rule) -> Result<(), Failure<'s>> {
        if self.depth > DEEPEST || !self.effort.allows(&rule.says, self.value) {
            self.given_up.set(self.given_up.get().or(Some(rule)));
            return Err(self.fails(rule));
        }
        let holds = match (&rule.says, self.value) {
            (Keyword::Never, _) => false,
            (Keyword::Type(types), value) => types.iter().any(|one| is_of(value, *one)),
            (Keyword::Among(values), value) => values.contains(&Canonical::from(value)),
            (Keyword::AllOf(all), _) => return all.iter().try_for_each(|one| self.is_as(*one)),
            (Keyword::AnyOf(any), _) => any.iter().any(|one| self.fits(*one)),
            (Keyword::OneOf(any), _) => any.iter().filter(|one| self.fits(**one)).take(2).count() == 1,
            (Keyword::Not(one), _) => !self.fits(*one),
            (Keyword::If(condition, then, otherwise), _) => {
                let branch = if self.fits(*condition) { then } else { otherwise };
                return branch.map_or(Ok(()), |branch| self.is_as(branch));
            }
            (says, Value::Number(number)) => match says {
                Keyword::MultipleOf(unit) => is_multiple(number, unit),
                Keyword::Maximum(limit) => compare(number, limit).is_some_and(Ordering::is_le),
                Keyword::ExclusiveMaximum(limit) => compare(number, limit).is_some_and(Ordering::is_lt),
                Keyword::Minimum(limit) => compare(number, limit).is_some_and(Ordering::is_ge),
                Keyword::ExclusiveMinimum(limit) => compare(number, limit).is_some_and(Ordering::is_gt),
                _ => true,
            },
            (says, Value::String(text)) => match says {
                Keyword::AtMost(Measure::Length, most) => text.chars().count() as u64 <= *most,
                Keyword::AtLeast(Measure::Length, least) => text.chars().count() as u64 >= *least,
                Keyword::Pattern(pattern) => pattern.is_match(text),
                _ => true,
            },
            (says, Value::Array(items)) => match self.obeys_in_array(says, items) {
                Err(Some(within)) => return Err(within),
                holds => holds.is_ok(),
            },
            (says, Value::Object(members)) => match self.obeys_in_object(says, members) {
                Err(Some(within)) => return Err(within),
                holds => holds.is_ok(),
            },
            (_, Value::Null | Value::Bool(_)) => true,
        };
        if holds { Ok(()) } else { Err(self.fails(rule)) }
    }

    /// An error without a failure is the array's own.
    fn obeys_in_array(self, says: &'s Keyword, items: &[Value]) -> Result<(), Option<Failure<'s>>> {
        let holds = match says {
            Keyword::AtMost(Measure::Items, most) => items.len() as u64 <= *most,
            Keyword::AtLeast(Measure::Items, least) => items.len() as u64 >= *least,
            Keyword::Unique => {
                let mut seen = BTreeSet::new();
                items.iter().all(|item| seen.insert(Canonical::from(item)))
            }
            Keyword::Prefix(prefix) => {
                let mut each = items.iter().enumerate().zip(prefix);
                return each.try_for_each(|((at, item), one)| self.at(To::Item(at), item, *one));
            }
            Keyword::Rest(from, rest) => {
                let mut each = items.iter().enumerate().skip(*from);
                return each.try_for_each(|(at, item)| self.at(To::Item(at), item, *rest));
            }
            Keyword::Contains(one, least, most) => {
                let fits = |item: &&Value| Place { value: item, ..self }.fits(*one);
                let number = items.iter().filter(fits).count() as u64;
                number >= *least && most.is_none_or(|most| number <= most)
            }
            _ => true,
        };
        if holds { Ok(()) } else { Err(None) }
    }

    /// An error without a failure is the object's own.
    fn obeys_in_object(
        self,
        says: &'s Keyword,
        members: &Map<String, Value>,
    ) -> Result<(), Option<Failure<'s>>> {
        let has_all = |names: &[String]| names.iter().all(|name| members.contains_key(name));
        let holds = match says {
            Keyword::AtMost(Measure::Properties, most) => members.len() as u64 <= *most,
            Keyword::AtLeast(Measure::Properties, least) => members.len() as u64 >= *least,
            Keyword::Required(names) => has_all(names),
            Keyword::DependentRequired(names) => {
                names.iter().all(|(name, names)| !members.contains_key(name) || has_all(names))
            }
            Keyword::DependentSchemas(schemas) => {
                let mut there = schemas.iter().filter(|(name, _)| members.contains_key(*name));
                return there.try_for_each(|(_, one)| self.is_as(*one).map_err(Some));
            }
            Keyword::PropertyNames(one) => members.keys().all(|name| {
                let name = Value::from(name.as_str());
                Place { value: &name, ..self }.fits(*one)
            }),
            Keyword::Properties(properties) => {
                let mut there =
                    properties.iter().filter_map(|(name, one)| Some((members.get_key_value(name)?, one)));
                return there.try_for_each(|((name, value), one)| self.at(To::Member(name), value, *one));
            }
            Keyword::PatternProperties(patterns) => {
                let mut there = patterns.iter().flat_map(|(pattern, one)| {
                    members
                        .iter()
                        .filter(|(name, _)| pattern.is_match(name))
                        .map(move |member| (member, *one))
                });
                return there.try_for_each(|((name, value), one)| self.at(To::Member(name), value, one));
            }
            Keyword::Additional(others, one) => {
                let mut there = members.iter().filter(|(name, _)| {
                    !others.named.contains(*name)
                        && !others.patterns.iter().any(|pattern| pattern.is_match(name))
                });
                return there.try_for_each(|(name, value)| self.at(To::Member(name), value, *one));
            }
            _ => true,
        };
        if holds { Ok(()) } else { Err(None) }
    }

    /// A value within this one.
    fn at(self, to: To<'_>, value: &Value, subschema: Subschema) -> Result<(), Option<Failure<'s>>> {
        let way = Step { before: self.way, to };
        let Place { schema, depth, probing, effort, given_up, .. } = self;
        let place = Place { schema, value, way: Some(&way), depth, probing, effort, given_up };
        place.is_as(subschema).map_err(Some)
    }

    fn fails(self, rule: &'s Rule) -> Failure<'s> {
        let mut steps: Vec<String> = Vec::new();
        let mut way = self.way.filter(|_| !self.probing);
        while let Some(Step { before, to }) = way {
            steps.push(match to {
                To::Member(name) => step(name),
                To::Item(at) => format!("/{at}"),
            });
            way = *before;
        }
        Failure { instance: steps.into_iter().rev().collect(), schema: &rule.at, unfinished: false }
    }
}

fn is_of(value: &Value, one: Type) -> bool {
    match (value, one) {
        (Value::Null, Type::Null)
        | (Value::Bool(_), Type::Boolean)
        | (Value::Number(_), Type::Number)
        | (Value::String(_), Type::String)
        | (Value::Array(_), Type::Array)
        | (Value::Object(_), Type::Object) => true,
        (Value::Number(number), Type::Integer) => is_integer(number),
        _ => false,
    }
}
