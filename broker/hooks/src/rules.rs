//! Rules the broker evaluates itself: the best ACL call is none.

use crate::questions::{AclRequest, Action, Attributes};
use tidegate_mqtt::{NameError, QoS, TopicFilter};

/// "Allow or deny this action on this filter." `%c`, `%u` and `%{NAME}` in the filter stand for client id, username and an attribute; `%%`
/// for a percent sign.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Rule {
    /// Allow or deny.
    pub allow: bool,
    /// For which action.
    pub action: Action,
    /// Topic filter, perhaps with placeholders.
    pub filter: Box<str>,
    /// An allow reaches up to this quality of service; a deny applies whatever the quality of service.
    pub max_qos: QoS,
}

/// Why a rule was not accepted.
#[derive(Clone, Debug, thiserror::Error)]
pub enum RuleError {
    /// Not a filter, even with its placeholders filled.
    #[error("rule filter {filter:?}: {why}")]
    Filter {
        /// As written.
        filter: Box<str>,
        /// What is wrong.
        why: NameError,
    },
    /// A percent sign that begins nothing.
    #[error("rule filter {filter:?}: after % comes c, u, {{NAME}} or another %")]
    Placeholder {
        /// As written.
        filter: Box<str>,
    },
}

impl Rule {
    /// None: an allow that gives this client nothing.
    fn compiled<'a>(&self, value: impl Fn(&str) -> Option<&'a str>) -> Result<Option<Compiled>, RuleError> {
        let mut filter = String::with_capacity(self.filter.len());
        for (index, level) in self.filter.split('/').enumerate() {
            if index > 0 {
                filter.push('/');
            }
            match self.level(level, &value)? {
                Some(level) => filter.push_str(&level),
                // Nothing such a client owns: an allow gives nothing, a deny takes the whole level.
                None if self.allow => return Ok(None),
                None => filter.push('+'),
            }
        }
        let filter = TopicFilter::new(&filter)
            .map_err(|why| RuleError::Filter { filter: self.filter.clone(), why })?;
        Ok(Some(Compiled { allow: self.allow, filter, max_qos: self.max_qos }))
    }

    /// A level with its placeholders filled; None if a value is missing or would reach beyond its level.
    fn level<'a>(
        &self,
        level: &str,
        value: impl Fn(&str) -> Option<&'a str>,
    ) -> Result<Option<String>, RuleError> {
        let wrong = || RuleError::Placeholder { filter: self.filter.clone() };
        let (mut filled, mut rest, mut usable) = (String::new(), level, true);
        while let Some((before, after)) = rest.split_once('%') {
            filled.push_str(before);
            let (name, after) = match after.as_bytes().first() {
                Some(b'c' | b'u') => after.split_at(1),
                Some(b'{') => after[1..].split_once('}').ok_or_else(wrong)?,
                Some(b'%') => {
                    filled.push('%');
                    rest = &after[1..];
                    continue;
                }
                _ => return Err(wrong()),
            };
            match value(name) {
                Some(value)
                    if !value.is_empty()
                        && !value.starts_with('$')
                        && !value.contains(['/', '+', '#', '\0']) =>
                {
                    filled.push_str(value);
                }
                _ => usable = false,
            }
            rest = after;
        }
        filled.push_str(rest);
        Ok(usable.then_some(filled))
    }
}

/// The rules of one client, placeholders filled. The first rule that applies decides. None: it was given none.
#[derive(Clone, Debug, Default)]
pub struct Rules(Option<Box<ByAction>>);

#[derive(Clone, Debug)]
struct ByAction {
    publish: Box<[Compiled]>,
    subscribe: Box<[Compiled]>,
    receive: Box<[Compiled]>,
}

#[derive(Clone, Debug)]
struct Compiled {
    allow: bool,
    filter: TopicFilter,
    max_qos: QoS,
}

impl Rules {
    /// Fills `%c`, `%u` and `%{NAME}` for one client. A rule that needs a value which is missing, or which begins with `$` or holds `/`, `+` or
    /// `#` (it would then reach beyond its level), never applies if it allows, and covers the whole level if it denies.
    ///
    /// # Errors
    /// [`RuleError`] for a filter that does not parse, or a placeholder that is none.
    pub fn compile(
        rules: &[Rule],
        client_id: &str,
        username: Option<&str>,
        attributes: &Attributes,
    ) -> Result<Self, RuleError> {
        let value = |placeholder: &str| match placeholder {
            "c" => Some(client_id),
            "u" => username,
            name => attributes.get(name),
        };
        let of = |action: Action| {
            let rules = rules.iter().filter(|rule| rule.action == action);
            rules.filter_map(|rule| rule.compiled(value).transpose()).collect::<Result<Box<[_]>, _>>()
        };
        if rules.is_empty() {
            return Ok(Self(None));
        }
        Ok(Self(Some(Box::new(ByAction {
            publish: of(Action::Publish)?,
            subscribe: of(Action::Subscribe)?,
            receive: of(Action::Receive)?,
        }))))
    }

    /// Whether the rules are sound, whoever the client is.
    ///
    /// # Errors
    /// As [`Rules::compile`].
    pub fn check(rules: &[Rule]) -> Result<(), RuleError> {
        // Any value will do: what stands for it cannot break a filter that is sound with this one.
        rules.iter().try_for_each(|rule| rule.compiled(|_| Some("x")).map(drop))
    }

    /// Whether the client was given no rule at all. One whose rules give it nothing has rules: it may do nothing.
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// The decision of the first rule that applies, None if none does. For a subscription an allow must cover the whole filter,
    /// while a deny stands in its way as soon as the two share a topic.
    pub fn decide(&self, request: &AclRequest<'_>) -> Option<bool> {
        let by_action = self.0.as_deref()?;
        let rules = match request.action {
            Action::Publish => &by_action.publish,
            Action::Subscribe => &by_action.subscribe,
            Action::Receive => &by_action.receive,
        };
        rules
            .iter()
            .find(|rule| {
                if rule.allow && request.qos > rule.max_qos {
                    return false;
                }
                match (request.action, rule.allow) {
                    (Action::Subscribe, true) => rule.filter.covers(request.topic),
                    (Action::Subscribe, false) => rule.filter.overlaps(request.topic),
                    (Action::Publish | Action::Receive, _) => rule.filter.matches(request.topic),
                }
            })
            .map(|rule| rule.allow)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidegate_mqtt::SessionId;

    fn rule(allow: bool, action: Action, filter: &str) -> Rule {
        Rule { allow, action, filter: filter.into(), max_qos: QoS::ExactlyOnce }
    }

    fn ask(rules: &Rules, action: Action, topic: &str, qos: QoS) -> Option<bool> {
        rules.decide(&AclRequest {
            session: SessionId(1),
            client_id: "c1",
            username: Some("alice"),
            action,
            topic,
            qos,
            retain: false,
            attributes: &Attributes::default(),
        })
    }

    #[test]
    fn the_first_rule_that_applies_decides() {
        let rules = Rules::compile(
            &[rule(false, Action::Publish, "a/secret"), rule(true, Action::Publish, "a/#")],
            "c1",
            Some("alice"),
            &Attributes::default(),
        )
        .unwrap();
        assert_eq!(ask(&rules, Action::Publish, "a/secret", QoS::AtMostOnce), Some(false));
        assert_eq!(ask(&rules, Action::Publish, "a/b", QoS::AtMostOnce), Some(true));
        assert_eq!(ask(&rules, Action::Publish, "b", QoS::AtMostOnce), None);
        assert_eq!(ask(&rules, Action::Subscribe, "a/b", QoS::AtMostOnce), None);
    }

    #[test]
    fn a_subscription_is_allowed_only_as_a_whole_and_denied_by_any_part() {
        let rules = Rules::compile(
            &[rule(false, Action::Subscribe, "a/secret/#"), rule(true, Action::Subscribe, "a/#")],
            "c1",
            None,
            &Attributes::default(),
        )
        .unwrap();
        assert_eq!(ask(&rules, Action::Subscribe, "a/b/+", QoS::AtMostOnce), Some(true));
        assert_eq!(ask(&rules, Action::Subscribe, "a/#", QoS::AtMostOnce), Some(false));
        assert_eq!(ask(&rules, Action::Subscribe, "#", QoS::AtMostOnce), Some(false));
    }

    #[test]
    fn an_allow_reaches_up_to_its_qos() {
        let limited = Rule { max_qos: QoS::AtLeastOnce, ..rule(true, Action::Publish, "a") };
        let rules = Rules::compile(&[limited], "c1", None, &Attributes::default()).unwrap();
        assert_eq!(ask(&rules, Action::Publish, "a", QoS::AtLeastOnce), Some(true));
        assert_eq!(ask(&rules, Action::Publish, "a", QoS::ExactlyOnce), None);
    }

    #[test]
    fn placeholders_are_filled() {
        let rules = Rules::compile(
            &[rule(true, Action::Publish, "u/%u/c/%c")],
            "c1",
            Some("alice"),
            &Attributes::default(),
        )
        .unwrap();
        assert_eq!(ask(&rules, Action::Publish, "u/alice/c/c1", QoS::AtMostOnce), Some(true));
        assert_eq!(ask(&rules, Action::Publish, "u/bob/c/c1", QoS::AtMostOnce), None);
    }

    #[test]
    fn attributes_fill_their_placeholders_and_one_that_is_missing_gives_nothing() {
        let attributes: Attributes = [("team".into(), "blue".into())].into_iter().collect();
        let compile = |filter: &str, allow| {
            Rules::compile(&[rule(allow, Action::Publish, filter)], "c1", None, &attributes).unwrap()
        };
        let asked = |rules: &Rules, topic: &str| ask(rules, Action::Publish, topic, QoS::AtMostOnce);
        let team = compile("t/%{team}-%c/#", true);
        assert_eq!(asked(&team, "t/blue-c1/x"), Some(true));
        assert_eq!(asked(&team, "t/red-c1/x"), None);
        assert_eq!(asked(&compile("t/%{squad}", true), "t/blue"), None);
        assert_eq!(asked(&compile("t/%{squad}", false), "t/anything"), Some(false));
        assert_eq!(asked(&compile("100%%", true), "100%"), Some(true));
        for wrong in ["a/%x", "a/%", "a/%{team", "%{te/am}"] {
            let error = Rules::check(&[rule(true, Action::Publish, wrong)]).unwrap_err();
            assert!(error.to_string().contains("after % comes"), "{wrong}: {error}");
        }
        Rules::check(&[rule(true, Action::Publish, "a/%{any}/%c")]).unwrap();
    }

    #[test]
    fn a_name_that_could_widen_a_rule_never_does() {
        for name in ["#", "+", "a/b", "$SYS", ""] {
            let rules = Rules::compile(
                &[rule(true, Action::Publish, "u/%u")],
                "c1",
                Some(name),
                &Attributes::default(),
            )
            .unwrap();
            assert_eq!(ask(&rules, Action::Publish, "u/bob", QoS::AtMostOnce), None, "{name:?}");
            let rules = Rules::compile(
                &[rule(false, Action::Publish, "u/%u")],
                "c1",
                Some(name),
                &Attributes::default(),
            )
            .unwrap();
            assert_eq!(ask(&rules, Action::Publish, "u/bob", QoS::AtMostOnce), Some(false), "{name:?}");
        }
    }

    #[test]
    fn a_rule_that_does_not_parse_is_an_error() {
        assert!(
            Rules::compile(&[rule(true, Action::Publish, "a/#/b")], "c1", None, &Attributes::default())
                .is_err()
        );
    }
}
