//! Rules the broker evaluates itself: the best ACL call is none.

use crate::questions::{AclRequest, Action};
use tidegate_mqtt::{NameError, QoS, TopicFilter};

/// "Allow or deny this action on this filter." `%c` and `%u` in the filter stand for client id and username.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Rule {
    /// Allow or deny.
    pub allow: bool,
    /// For which action.
    pub action: Action,
    /// Topic filter, perhaps with `%c` and `%u`.
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
}

/// The rules of one client, placeholders filled. The first rule that applies decides.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    rules: Box<[Compiled]>,
}

#[derive(Clone, Debug)]
struct Compiled {
    allow: bool,
    action: Action,
    filter: TopicFilter,
    max_qos: QoS,
}

impl Rules {
    /// Fills `%c` and `%u` for one client. A rule that needs a value which is missing, or which begins with `$` or holds `/`, `+` or `#` (it would
    /// then reach beyond its level), never applies if it allows, and covers the whole level if it denies.
    ///
    /// # Errors
    /// [`RuleError::Filter`] for a filter that does not parse.
    pub fn compile(rules: &[Rule], client_id: &str, username: Option<&str>) -> Result<Self, RuleError> {
        let mut compiled = Vec::with_capacity(rules.len());
        for rule in rules {
            let client_id = rule.filter.contains("%c").then_some(client_id);
            let username = rule.filter.contains("%u").then_some(username.unwrap_or_default());
            let mut filter = rule.filter.to_string();
            let mut usable = true;
            for (placeholder, value) in [("%c", client_id), ("%u", username)] {
                let Some(value) = value else { continue };
                if value.is_empty() || value.starts_with('$') || value.contains(['/', '+', '#']) {
                    // Nothing such a client owns: an allow gives nothing, a deny takes the whole level.
                    usable &= !rule.allow;
                    filter = deny_level(&filter, placeholder);
                } else {
                    filter = filter.replace(placeholder, value);
                }
            }
            if !usable {
                continue;
            }
            let filter = TopicFilter::new(&filter)
                .map_err(|why| RuleError::Filter { filter: rule.filter.clone(), why })?;
            compiled.push(Compiled { allow: rule.allow, action: rule.action, filter, max_qos: rule.max_qos });
        }
        Ok(Self { rules: compiled.into() })
    }

    /// Whether there is no rule at all.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// The decision of the first rule that applies, None if none does. For a subscription an allow must cover the whole filter,
    /// while a deny stands in its way as soon as the two share a topic.
    pub fn decide(&self, request: &AclRequest<'_>) -> Option<bool> {
        self.rules
            .iter()
            .filter(|rule| rule.action == request.action)
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

/// Every level that holds the placeholder becomes `+`.
fn deny_level(filter: &str, placeholder: &str) -> String {
    let levels: Vec<&str> =
        filter.split('/').map(|level| if level.contains(placeholder) { "+" } else { level }).collect();
    levels.join("/")
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
        })
    }

    #[test]
    fn the_first_rule_that_applies_decides() {
        let rules = Rules::compile(
            &[rule(false, Action::Publish, "a/secret"), rule(true, Action::Publish, "a/#")],
            "c1",
            Some("alice"),
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
        )
        .unwrap();
        assert_eq!(ask(&rules, Action::Subscribe, "a/b/+", QoS::AtMostOnce), Some(true));
        assert_eq!(ask(&rules, Action::Subscribe, "a/#", QoS::AtMostOnce), Some(false));
        assert_eq!(ask(&rules, Action::Subscribe, "#", QoS::AtMostOnce), Some(false));
    }

    #[test]
    fn an_allow_reaches_up_to_its_qos() {
        let limited = Rule { max_qos: QoS::AtLeastOnce, ..rule(true, Action::Publish, "a") };
        let rules = Rules::compile(&[limited], "c1", None).unwrap();
        assert_eq!(ask(&rules, Action::Publish, "a", QoS::AtLeastOnce), Some(true));
        assert_eq!(ask(&rules, Action::Publish, "a", QoS::ExactlyOnce), None);
    }

    #[test]
    fn placeholders_are_filled() {
        let rules = Rules::compile(&[rule(true, Action::Publish, "u/%u/c/%c")], "c1", Some("alice")).unwrap();
        assert_eq!(ask(&rules, Action::Publish, "u/alice/c/c1", QoS::AtMostOnce), Some(true));
        assert_eq!(ask(&rules, Action::Publish, "u/bob/c/c1", QoS::AtMostOnce), None);
    }

    #[test]
    fn a_name_that_could_widen_a_rule_never_does() {
        for name in ["#", "+", "a/b", "$SYS", ""] {
            let rules = Rules::compile(&[rule(true, Action::Publish, "u/%u")], "c1", Some(name)).unwrap();
            assert_eq!(ask(&rules, Action::Publish, "u/bob", QoS::AtMostOnce), None, "{name:?}");
            let rules = Rules::compile(&[rule(false, Action::Publish, "u/%u")], "c1", Some(name)).unwrap();
            assert_eq!(ask(&rules, Action::Publish, "u/bob", QoS::AtMostOnce), Some(false), "{name:?}");
        }
    }

    #[test]
    fn a_rule_that_does_not_parse_is_an_error() {
        assert!(Rules::compile(&[rule(true, Action::Publish, "a/#/b")], "c1", None).is_err());
    }
}
