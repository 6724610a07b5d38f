//! Rules as operators write them: `acl = [{ user = "alice", allow = "subscribe", topic = "sensors/#" }]`.

use crate::{Action, Pattern, QoS, Rule};
use serde::Deserialize;

/// The `acl` of a config: asked in this order, the first rule that applies decides. With at least one rule, whatever none allows is
/// denied.
///
/// ```
/// use tidegate_plugin::{AccessList, Rule, config};
///
/// #[derive(serde::Deserialize)]
/// #[serde(deny_unknown_fields)]
/// struct Config {
///     #[serde(default)]
///     acl: AccessList,
/// }
///
/// let config: Config = config::parse(r#"{"acl": [{"user": "alice", "allow": "publish", "topic": "jobs/%c"}]}"#)?;
/// assert_eq!(config.acl.rules_for("alice")[0], Rule::allow_publish("jobs/%c"));
/// assert_eq!(config.acl.rules_for("bob"), Rule::deny_the_rest());
/// # Ok::<(), String>(())
/// ```
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(transparent)]
pub struct AccessList(Vec<AccessRule>);

impl AccessList {
    /// What the broker evaluates for a user: the rules that speak of it, then a denial of the rest. None if the list is empty.
    pub fn rules_for(&self, user: &str) -> Vec<Rule> {
        if self.0.is_empty() {
            return Vec::new();
        }
        let own = self.0.iter().filter(|rule| rule.user.as_deref().is_none_or(|only| only == user));
        own.flat_map(AccessRule::rules).chain(Rule::deny_the_rest()).collect()
    }

    /// A rule for a user that is not in the config's `users` is a typing error.
    ///
    /// # Errors
    /// A sentence that names the key.
    pub fn check_users(&self, is_there: impl Fn(&str) -> bool) -> Result<(), String> {
        let users =
            self.0.iter().enumerate().filter_map(|(index, rule)| Some((index, rule.user.as_deref()?)));
        match users.into_iter().find(|(_, user)| !is_there(user)) {
            None => Ok(()),
            Some((index, user)) => {
                Err(format!("config key `acl[{index}].user`: `users` has no user {user:?}"))
            }
        }
    }

    /// The place of the first rule that speaks of user names, by `user` or `%u`: in a plugin that lets clients in without having asked whose
    /// the name is, it would speak of whatever they say.
    ///
    /// ```
    /// use tidegate_plugin::{AccessList, config};
    ///
    /// let list = |text| config::parse::<AccessList>(text).map(|list| list.by_user());
    /// assert_eq!(list(r#"[{"allow": "all", "topic": "c/%c"}, {"allow": "all", "topic": "50%%u/%{u}"}]"#)?, None);
    /// assert_eq!(list(r#"[{"allow": "all", "topic": "a"}, {"allow": "all", "topic": "u/x-%u"}]"#)?, Some(1));
    /// assert_eq!(list(r#"[{"user": "alice", "allow": "all", "topic": "a"}]"#)?, Some(0));
    /// # Ok::<(), String>(())
    /// ```
    pub fn by_user(&self) -> Option<usize> {
        self.0.iter().position(|rule| rule.user.is_some() || rule.topic.names_user())
    }

    /// How many rules there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no rule.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// What a user, or every user, may or may not do.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "AccessTable")]
pub struct AccessRule {
    /// None: every user.
    user: Option<String>,
    allow: bool,
    access: Access,
    topic: Pattern,
    max_qos: QoS,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AccessTable {
    user: Option<String>,
    allow: Option<Access>,
    deny: Option<Access>,
    topic: Pattern,
    max_qos: Option<u8>,
}

impl TryFrom<AccessTable> for AccessRule {
    type Error = String;
    fn try_from(table: AccessTable) -> Result<Self, String> {
        let (allow, access) = Access::either(table.allow, table.deny)?;
        if !allow && table.max_qos.is_some() {
            return Err("`max_qos` is for `allow`; a `deny` holds for every QoS".into());
        }
        let max_qos = QoS::try_from(table.max_qos.unwrap_or(2))
            .map_err(|qos| format!("`max_qos` is 0, 1 or 2, not {qos}"))?;
        Ok(Self { user: table.user, max_qos, ..Self::new(allow, access, table.topic) })
    }
}

impl AccessRule {
    /// For every user, at every QoS.
    pub fn new(allow: bool, access: Access, topic: Pattern) -> Self {
        Self { user: None, allow, access, topic, max_qos: QoS::ExactlyOnce }
    }

    /// What is allowed reaches up to this quality of service only.
    #[must_use]
    pub fn up_to(mut self, max_qos: QoS) -> Self {
        self.max_qos = max_qos;
        self
    }

    /// For the broker to evaluate: one rule for each of the actions meant.
    pub fn rules(&self) -> impl Iterator<Item = Rule> {
        self.access.actions().iter().map(|&action| {
            // Through a subscription at QoS 0 messages of any QoS may come.
            let max_qos = if action == Action::Receive { QoS::ExactlyOnce } else { self.max_qos };
            Rule { allow: self.allow, action, filter: self.topic.to_string(), max_qos }
        })
    }
}

/// One or more actions, as operators write them: `allow = "subscribe"`, `deny = "all"`.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "lowercase")]
pub enum Access {
    /// Publishing, wills too.
    Publish,
    /// Subscribing, and receiving what was subscribed to.
    Subscribe,
    /// Receiving only: a subscription may stand, but these messages do not come through it. Asked only where the broker is told to.
    Receive,
    /// All of it.
    #[serde(alias = "readwrite")]
    All,
}

impl Access {
    /// The actions meant.
    pub fn actions(self) -> &'static [Action] {
        match self {
            Self::Publish => &[Action::Publish],
            Self::Subscribe => &[Action::Subscribe, Action::Receive],
            Self::Receive => &[Action::Receive],
            Self::All => &[Action::Publish, Action::Subscribe, Action::Receive],
        }
    }

    /// A config table has either `allow` or `deny`: whether it allows, and what.
    ///
    /// # Errors
    /// A sentence, if it has none or both.
    pub fn either(allow: Option<Self>, deny: Option<Self>) -> Result<(bool, Self), &'static str> {
        match (allow, deny) {
            (Some(access), None) => Ok((true, access)),
            (None, Some(access)) => Ok((false, access)),
            (None, None) => Err("it needs `allow` or `deny`"),
            (Some(_), Some(_)) => Err("it has both `allow` and `deny`; one rule does one of them"),
        }
    }
}
