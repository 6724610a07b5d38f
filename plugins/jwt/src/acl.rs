//! The claim with rules, in the two forms that tokens for EMQX have.

use serde::Deserialize;
use serde_json::Value;
use tidegate_plugin::{Access, AccessRule, Pattern, QoS, Rule};

/// What the claim allows, then a denial of the rest: it says all that its bearer may do.
///
/// # Errors
/// What in it cannot be understood, or not be kept. A rule is never left out, as the others may lean on it.
pub(crate) fn rules(claim: &Value) -> Result<Vec<Rule>, String> {
    let rules = match claim {
        Value::Object(_) => Lists::deserialize(claim).map_err(|why| why.to_string())?.rules(),
        Value::Array(entries) => {
            let entries = entries.iter().enumerate().map(|(index, entry)| {
                let rules = Entry::deserialize(entry).map_err(|why| why.to_string()).and_then(Entry::rules);
                rules.map_err(|why| format!("[{index}]: {why}"))
            });
            entries.collect::<Result<Vec<_>, _>>()?.concat()
        }
        _ => return Err("it is neither an object nor a list".into()),
    };
    Ok(rules.iter().flat_map(AccessRule::rules).chain(Rule::deny_the_rest()).collect())
}

/// `{"pub": […], "sub": […], "all": […]}`: topics that are allowed.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Lists {
    #[serde(rename = "pub")]
    publish: Vec<Topic>,
    #[serde(rename = "sub")]
    subscribe: Vec<Topic>,
    all: Vec<Topic>,
}

impl Lists {
    fn rules(self) -> Vec<AccessRule> {
        let lists =
            [(Access::Publish, self.publish), (Access::Subscribe, self.subscribe), (Access::All, self.all)];
        let rules = lists.into_iter().flat_map(|(access, topics)| {
            topics.into_iter().map(move |topic| AccessRule::new(true, access, topic.0))
        });
        rules.collect()
    }
}

/// `{"permission": "allow", "action": "publish", "topic": "…"}`: one rule; the first that applies decides.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    permission: Permission,
    action: Action,
    topic: Option<Topic>,
    #[serde(default)]
    topics: Vec<Topic>,
    /// None: all of them.
    qos: Option<Levels>,
    retain: Option<Value>,
}

#[derive(Clone, Copy, Deserialize, PartialEq)]
#[serde(rename_all = "lowercase")]
enum Permission {
    Allow,
    Deny,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Action {
    #[serde(alias = "pub")]
    Publish,
    #[serde(alias = "sub")]
    Subscribe,
    All,
}

impl Entry {
    fn rules(self) -> Result<Vec<AccessRule>, String> {
        let allow = self.permission == Permission::Allow;
        let access = match self.action {
            Action::Publish => Access::Publish,
            Action::Subscribe => Access::Subscribe,
            Action::All => Access::All,
        };
        if self.retain.is_some_and(|retain| retain != "all") {
            return Err("`retain`: rules do not tell retained messages from others; leave it out".into());
        }
        let max_qos = self.qos.map_or(Ok(QoS::ExactlyOnce), |levels| levels.highest())?;
        if !allow && max_qos != QoS::ExactlyOnce {
            return Err("`qos`: a \"deny\" holds for every QoS; leave it out".into());
        }
        let topics: Vec<Topic> = self.topic.into_iter().chain(self.topics).collect();
        if topics.is_empty() {
            return Err("it has no `topic`".into());
        }
        let rule = |topic: Topic| AccessRule::new(allow, access, topic.0).up_to(max_qos);
        Ok(topics.into_iter().map(rule).collect())
    }
}

/// Those that a rule speaks of.
#[derive(Deserialize)]
#[serde(untagged, expecting = "`qos` is a list of 0, 1 and 2")]
enum Levels {
    One(u8),
    Several(Vec<u8>),
}

impl Levels {
    fn highest(self) -> Result<QoS, String> {
        let mut levels = match self {
            Self::One(level) => vec![level],
            Self::Several(levels) => levels,
        };
        levels.sort_unstable();
        levels.dedup();
        match levels[..] {
            [0] => Ok(QoS::AtMostOnce),
            [0, 1] => Ok(QoS::AtLeastOnce),
            [0, 1, 2] => Ok(QoS::ExactlyOnce),
            _ => Err("`qos`: a rule reaches from 0 up to a highest QoS: [0], [0, 1] or [0, 1, 2]".into()),
        }
    }
}

/// A filter with the placeholders of EMQX or ours.
#[derive(Clone, Deserialize)]
#[serde(try_from = "String")]
struct Topic(Pattern);

impl TryFrom<String> for Topic {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let literal = text.strip_prefix("eq ");
        if literal.is_some_and(|topic| topic.contains(['+', '#'])) {
            return Err(format!("{text:?}: rules know no wildcard that stands for itself"));
        }
        let (mut filter, mut rest) = (String::new(), literal.unwrap_or(&text));
        while let Some((before, after)) = rest.split_once("${") {
            let (name, after) =
                after.split_once('}').ok_or_else(|| format!("{text:?}: a placeholder has no end"))?;
            filter.push_str(before);
            match (name, name.strip_prefix("client_attrs.")) {
                ("clientid", _) => filter.push_str("%c"),
                ("username", _) => filter.push_str("%u"),
                (_, Some(attribute)) => filter.extend(["%{", attribute, "}"]),
                _ => return Err(format!("{text:?}: the placeholder {name:?} is not known")),
            }
            rest = after;
        }
        filter.push_str(rest);
        Pattern::try_from(filter).map(Self)
    }
}
