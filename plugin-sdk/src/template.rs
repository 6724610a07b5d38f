//! Text with places to fill, as operators write it: `Bearer ${secret:token}`.

use crate::config;
use serde::Deserialize;

/// Text in which `${NAME}` stands for a value that is known later, `${secret:NAME}` for a secret that the operator granted, and `$${` for
/// `${` itself. Read from a config, its secrets must have been granted.
///
/// ```
/// use tidegate_plugin::{Template, testing::Host};
///
/// let _host = Host::new().secret("token", "0a1b2c");
/// let template = Template::new("${username}:${secret:token}")?;
/// assert_eq!(template.names().collect::<Vec<_>>(), ["username"]);
/// let alice = |name: &str| (name == "username").then(|| "alice".to_owned());
/// assert_eq!(template.fill(alice).as_deref(), Some("alice:0a1b2c"));
/// assert_eq!(template.fill(|_| None), None);
/// # Ok::<(), tidegate_plugin::TemplateError>(())
/// ```
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(try_from = "String")]
pub struct Template(Vec<Part>);

#[derive(Clone, Debug, Eq, PartialEq)]
enum Part {
    Text(String),
    Value(String),
    Secret(String),
}

/// Why a text is no [`Template`].
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum TemplateError {
    /// A place that has no end, or no name.
    #[error("after ${{ comes NAME}} or secret:NAME}}; $${{ stands for ${{ itself")]
    Place,
    /// A secret that the operator has not granted.
    #[error(
        "the plugin has no secret `{0}`; add `secrets.{0} = \"env:VARIABLE\"` or `\"file:PATH\"` to its table"
    )]
    Secret(String),
}

impl Template {
    /// Finds the places. Which names there are is for the caller to say, by [`Template::names`].
    ///
    /// # Errors
    /// [`TemplateError::Place`].
    pub fn new(text: &str) -> Result<Self, TemplateError> {
        let (mut parts, mut plain, mut rest) = (Vec::new(), String::new(), text);
        while let Some((before, after)) = rest.split_once("${") {
            if let Some(before) = before.strip_suffix('$') {
                plain.push_str(before);
                plain.push_str("${");
                rest = after;
                continue;
            }
            plain.push_str(before);
            if !plain.is_empty() {
                parts.push(Part::Text(std::mem::take(&mut plain)));
            }
            let (name, after) = after.split_once('}').ok_or(TemplateError::Place)?;
            let secret = name.strip_prefix("secret:");
            if secret.unwrap_or(name).is_empty() {
                return Err(TemplateError::Place);
            }
            parts.push(secret.map_or_else(|| Part::Value(name.into()), |secret| Part::Secret(secret.into())));
            rest = after;
        }
        plain.push_str(rest);
        if !plain.is_empty() {
            parts.push(Part::Text(plain));
        }
        Ok(Self(parts))
    }

    /// The values it needs, in order; secrets are not among them.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|part| match part {
            Part::Value(name) => Some(name.as_str()),
            Part::Text(_) | Part::Secret(_) => None,
        })
    }

    /// What stands before the first place.
    pub fn beginning(&self) -> &str {
        match self.0.first() {
            Some(Part::Text(text)) => text,
            _ => "",
        }
    }

    /// The text with `value` of each name, and secrets as they are now. None if one of them is missing.
    pub fn fill(&self, mut value: impl FnMut(&str) -> Option<String>) -> Option<String> {
        self.0.iter().try_fold(String::new(), |filled, part| {
            Some(match part {
                Part::Text(text) => filled + text,
                Part::Value(name) => filled + &value(name)?,
                Part::Secret(name) => filled + &config::secret(name)?,
            })
        })
    }
}

impl TryFrom<String> for Template {
    type Error = TemplateError;
    fn try_from(text: String) -> Result<Self, TemplateError> {
        let template = Self::new(&text)?;
        let granted = |part: &Part| match part {
            Part::Secret(name) => config::secret(name).is_some(),
            Part::Text(_) | Part::Value(_) => true,
        };
        match template.0.iter().find(|part| !granted(part)) {
            Some(Part::Secret(name)) => Err(TemplateError::Secret(name.clone())),
            _ => Ok(template),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Host;

    fn filled(text: &str) -> Option<String> {
        let value = |name: &str| (name != "missing").then(|| format!("<{name}>"));
        Template::new(text).unwrap().fill(value)
    }

    #[test]
    fn places_are_filled_and_everything_else_stays() {
        let _host = Host::new().secret("s", "${a}");
        for (text, expected) in [
            ("", ""),
            ("plain $5 {x} $", "plain $5 {x} $"),
            ("${a}", "<a>"),
            ("x${a}${b}y", "x<a><b>y"),
            ("$${a} ${a}", "${a} <a>"),
            ("${secret:s}/", "${a}/"),
        ] {
            assert_eq!(filled(text).as_deref(), Some(expected), "{text}");
        }
        assert_eq!((filled("a${missing}"), filled("${secret:other}")), (None, None));
    }

    #[test]
    fn names_and_beginning_are_told() {
        let template = Template::new("http://a/${b}?${secret:s}${c}").unwrap();
        assert_eq!(template.names().collect::<Vec<_>>(), ["b", "c"]);
        assert_eq!(template.beginning(), "http://a/");
        assert_eq!(Template::new("${b}/").unwrap().beginning(), "");
    }

    #[test]
    fn what_is_no_place_is_refused() {
        for text in ["${", "${a", "x${}", "${secret:}"] {
            assert_eq!(Template::new(text), Err(TemplateError::Place), "{text}");
        }
        assert_eq!(
            TemplateError::Place.to_string(),
            "after ${ comes NAME} or secret:NAME}; $${ stands for ${ itself"
        );
    }

    #[test]
    fn a_config_names_only_secrets_that_are_granted() {
        let _host = Host::new().secret("key", "hunter2");
        let read = |text: &str| config::parse::<Template>(&serde_json::Value::from(text).to_string());
        let template = read("${secret:key}").unwrap();
        assert!(!format!("{template:?}").contains("hunter2"));
        let refused = read("${secret:kex}").unwrap_err();
        assert!(refused.contains("the plugin has no secret `kex`; add `secrets.kex = \"env:"), "{refused}");
    }
}
