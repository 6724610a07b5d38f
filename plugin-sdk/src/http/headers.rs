//! Headers as an operator writes them.

use super::Request;
use crate::Template;
use serde::Deserialize;
use std::collections::BTreeMap;

/// A `headers` table of a config: names, and texts in which `${secret:NAME}` stands for a secret.
///
/// ```
/// use tidegate_plugin::{config, http::{Headers, Request}, testing::Host};
///
/// let _host = Host::new().secret("token", "0a1b2c");
/// let headers: Headers = config::parse(r#"{"Authorization": "Bearer ${secret:token}"}"#)?;
/// let request = Request::get("http://127.0.0.1:8000/").headers(&headers);
/// assert_eq!(request.headers, [("Authorization".to_owned(), "Bearer 0a1b2c".to_owned())]);
/// # Ok::<(), String>(())
/// ```
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(transparent)]
pub struct Headers(BTreeMap<Name, Text>);

/// A token (RFC 9110, section 5.6.2).
#[derive(Clone, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd)]
#[serde(try_from = "String")]
struct Name(String);

/// What clients say is not put into headers.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(try_from = "Template")]
struct Text(Template);

impl Headers {
    /// Whether the operator has set that one, in upper or lower case.
    pub fn has(&self, name: &str) -> bool {
        self.0.keys().any(|Name(known)| known.eq_ignore_ascii_case(name))
    }
}

impl Request {
    /// All of these headers, with secrets as they are now.
    #[must_use]
    pub fn headers(mut self, headers: &Headers) -> Self {
        let filled = headers.0.iter().filter_map(|(Name(name), Text(text))| {
            // One without its secret is not sent: the other side says no.
            text.fill(|_| None).map(|value| (name.clone(), value))
        });
        self.headers.extend(filled);
        self
    }
}

impl TryFrom<String> for Name {
    type Error = String;
    fn try_from(name: String) -> Result<Self, String> {
        let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        match !name.is_empty() && name.bytes().all(is_token) {
            true => Ok(Self(name)),
            false => Err(format!("{name:?} is not the name of a header")),
        }
    }
}

impl TryFrom<Template> for Text {
    type Error = String;
    fn try_from(template: Template) -> Result<Self, String> {
        let place = template.names().next().map(str::to_owned);
        place.map_or(Ok(Self(template)), |place| {
            Err(format!("`${{{place}}}` cannot stand in a header, only ${{secret:NAME}} can"))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{config, testing::Host};

    #[test]
    fn headers_are_added_behind_those_that_are_there() {
        let _host = Host::new().secret("a", "1").secret("b", "2");
        let headers: Headers =
            config::parse(r#"{"X-Both": "${secret:a}-${secret:b}", "Accept": "text/plain"}"#).unwrap();
        let request = Request::get("http://a/").header("First", "0").headers(&headers);
        let expected = [("First", "0"), ("Accept", "text/plain"), ("X-Both", "1-2")];
        assert_eq!(request.headers, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
        assert!(headers.has("accept") && !headers.has("x-a"));
    }

    #[test]
    fn a_header_whose_secret_is_gone_is_not_sent() {
        let _host = Host::new().secret("a", "1");
        let headers: Headers = config::parse(r#"{"X": "${secret:a}"}"#).unwrap();
        let _without = Host::new();
        assert!(Request::get("http://a/").headers(&headers).headers.is_empty());
    }

    #[test]
    fn errors_name_the_header() {
        let _host = Host::new();
        let error = |document: &str| config::parse::<Headers>(document).unwrap_err();
        assert!(error(r#"{"X-A": "${secret:a}"}"#).starts_with("config key `X-A`: the plugin has no secret"));
        assert_eq!(
            error(r#"{"X-A": "${username}"}"#),
            "config key `X-A`: `${username}` cannot stand in a header, only ${secret:NAME} can"
        );
        for name in ["", "X A", "X:"] {
            let error = error(&format!(r#"{{"{name}": "a"}}"#));
            assert!(error.ends_with(&format!("{name:?} is not the name of a header")), "{error}");
        }
    }
}
