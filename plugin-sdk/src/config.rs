//! The plugin's `config` table, and its secrets. [`Plugin::Config`](crate::Plugin::Config) is usually all one needs of it.
//!
//! Words that many configs have: [`Filter`] and [`Topics`].

mod filter;

pub use filter::{Filter, Topics};

use crate::host;
use serde::de::DeserializeOwned;

/// One key of the table: a string as it is, anything else as JSON.
pub fn get(key: &str) -> Option<String> {
    host::config_get(key)
}

/// The whole table as JSON.
pub fn document() -> String {
    host::config_document()
}

/// A secret that the operator granted by this name; None: not granted. Ask for it when it is needed: it may change.
///
/// ```
/// use tidegate_plugin::{config, testing::Host};
///
/// let _host = Host::new().secret("api-key", "0a1b2c");
/// assert_eq!(config::secret("api-key").as_deref(), Some("0a1b2c"));
/// assert_eq!(config::secret("another"), None);
/// ```
pub fn secret(name: &str) -> Option<String> {
    host::config_secret(name)
}

/// A secret that a key of the plugin's config names, which must be there.
///
/// ```
/// use tidegate_plugin::{config, testing::Host};
///
/// let _host = Host::new().secret("hmac", "0a1b2c");
/// assert_eq!(config::secret_of("secret", "hmac").as_deref(), Ok("0a1b2c"));
/// let why = config::secret_of("secret", "hamc").unwrap_err();
/// assert!(why.starts_with("config key `secret`: there is no secret \"hamc\"; write secrets.hamc = "));
/// ```
///
/// # Errors
/// A sentence that names the key and the remedy.
pub fn secret_of(key: &str, name: &str) -> Result<String, String> {
    secret(name).ok_or_else(|| {
        format!(
            "config key `{key}`: there is no secret {name:?}; write secrets.{name} = \"file:PATH\" or \"env:NAME\" beside the config"
        )
    })
}

/// The table as the author's own type.
///
/// # Errors
/// A sentence that names the key.
pub fn parse<C: DeserializeOwned>(document: &str) -> Result<C, String> {
    let document = if document.trim().is_empty() { "{}" } else { document };
    let value: serde_json::Value =
        serde_json::from_str(document).map_err(|error| format!("config is not JSON: {error}"))?;
    serde_path_to_error::deserialize(value).map_err(|error| {
        let path = error.path().to_string();
        let why = error.inner();
        if path == "." { format!("config: {why}") } else { format!("config key `{path}`: {why}") }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::NoConfig;
    use serde::Deserialize;

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(deny_unknown_fields)]
    struct Config {
        rules: Vec<Rule>,
    }

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(deny_unknown_fields)]
    struct Rule {
        topic: String,
    }

    fn error(document: &str) -> String {
        parse::<Config>(document).unwrap_err()
    }

    #[test]
    fn errors_name_the_key() {
        assert_eq!(
            error(r#"{"rules": [{"topic": "a"}, {"topic": 5}]}"#),
            "config key `rules[1].topic`: invalid type: integer `5`, expected a string"
        );
        assert_eq!(error("{}"), "config: missing field `rules`");
        assert_eq!(
            error(r#"{"rules": [], "ruls": 1}"#),
            "config key `ruls`: unknown field `ruls`, expected `rules`"
        );
    }

    #[test]
    fn no_table_is_an_empty_one() {
        assert_eq!(parse::<NoConfig>(""), Ok(NoConfig {}));
        assert_eq!(parse::<NoConfig>("{}"), Ok(NoConfig {}));
    }
}
