//! What a plugin may reach outside its box. Nothing, unless the operator says so.

mod destinations;
mod http;
mod origin;
mod secrets;
mod tcp;

pub use destinations::Destinations;
pub use http::{HttpGrant, HttpOrigin};
pub use secrets::SecretSource;
pub(crate) use secrets::Secrets;
pub use tcp::{TcpGrant, TcpOrigin};

use crate::units::ByteSize;
use serde::{Deserialize, Deserializer, de};
use std::{fmt, path::Path};
use tidegate_mqtt::{TopicFilter, TopicName};

/// `[plugin.NAME.grants]`
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct Grants {
    /// Bytes the plugin may keep in `kv`, keys and bookkeeping included. Default: none, every call answers `denied`.
    pub kv: Option<ByteSize>,
    /// Topics the plugin may publish to. Default none.
    pub publish: Option<Topics>,
    /// Whether it may disconnect clients. Default false.
    pub disconnect: bool,
    /// Whether it may see who is connected, and have plugins' answers about clients forgotten. Default false.
    pub clients: bool,
    /// Topics whose retained messages it may read. Default none.
    pub retained: Option<Topics>,
    /// Where it may send HTTP requests to. Default nowhere.
    pub http: Option<HttpGrant>,
    /// Where it may open connections to. Default nowhere.
    pub tcp: Option<TcpGrant>,
    /// Whether it may keep records in the broker's own engine. Default false.
    pub engine: bool,
}

impl Grants {
    /// For reports: `kv 1MiB`.
    pub(crate) fn names(&self) -> Vec<String> {
        let flag = |granted: bool, name: &str| granted.then(|| name.to_owned());
        [
            self.kv.map(|size| format!("kv {size}")),
            self.publish.as_ref().map(|topics| format!("publish {topics}")),
            flag(self.disconnect, "disconnect"),
            flag(self.clients, "clients"),
            self.retained.as_ref().map(|topics| format!("retained {topics}")),
            self.http.as_ref().map(|http| format!("http {http}")),
            self.tcp.as_ref().map(|tcp| format!("tcp {tcp}")),
            flag(self.engine, "engine"),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    /// Files become relative to `folder`.
    pub(crate) fn lie_beside(&mut self, folder: &Path) {
        let http = self.http.as_mut().and_then(|http| http.ca.as_mut());
        let tcp = self.tcp.as_mut().and_then(|tcp| tcp.ca.as_mut());
        for ca in http.into_iter().chain(tcp) {
            *ca = folder.join(&ca);
        }
    }
}

/// At least one topic filter.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Topics(Box<[TopicFilter]>);

impl Topics {
    /// Whether one of the filters matches.
    pub fn hold(&self, topic: &TopicName) -> bool {
        self.0.iter().any(|filter| filter.matches(topic.as_str()))
    }
}

impl fmt::Display for Topics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        list(f, &self.0)
    }
}

impl<'de> Deserialize<'de> for Topics {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let texts = Vec::<String>::deserialize(deserializer)?;
        if texts.is_empty() {
            return Err(de::Error::custom(
                "an empty list grants nothing; name topic filters, or remove the key",
            ));
        }
        let parse = |text: &String| {
            TopicFilter::new(text).map_err(|why| de::Error::custom(format!("topic filter {text:?}: {why}")))
        };
        texts.iter().map(parse).collect::<Result<_, _>>().map(Self)
    }
}

/// With commas between them.
fn list(f: &mut fmt::Formatter<'_>, items: &[impl fmt::Display]) -> fmt::Result {
    for (index, item) in items.iter().enumerate() {
        let separator = if index == 0 { "" } else { ", " };
        write!(f, "{separator}{item}")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grants(text: &str) -> Grants {
        toml::from_str(text).unwrap()
    }

    fn error(text: &str) -> String {
        toml::from_str::<Grants>(text).unwrap_err().to_string()
    }

    #[test]
    fn nothing_is_granted_by_default() {
        assert!(grants("").names().is_empty());
    }

    #[test]
    fn reports_name_every_grant() {
        let all = r##"
            kv = "1MiB"
            publish = ["a/#", "b"]
            disconnect = true
            clients = true
            retained = ["#"]
            http = ["https://auth.example"]
            tcp = ["tcp://127.0.0.1:6379"]
            engine = true
            "##;
        assert_eq!(
            grants(all).names(),
            [
                "kv 1MiB",
                "publish a/#, b",
                "disconnect",
                "clients",
                "retained #",
                "http https://auth.example:443",
                "tcp tcp://127.0.0.1:6379",
                "engine"
            ]
        );
    }

    #[test]
    fn what_cannot_be_granted_is_refused() {
        assert!(error("publish = []").contains("an empty list grants nothing"));
        assert!(error("publish = ['a/#/b']").contains("topic filter \"a/#/b\""));
        assert!(error("retained = 'a'").contains("expected a sequence"));
        assert!(error("disconnect = 1").contains("expected a boolean"));
        assert!(error("dir = '/'").contains("unknown field `dir`"));
    }

    #[test]
    fn topics_of_the_system_are_not_among_all() {
        let all = grants("publish = ['#']").publish.unwrap();
        assert!(all.hold(&TopicName::new("a/b").unwrap()));
        assert!(!all.hold(&TopicName::new("$x/b").unwrap()));
    }
}
