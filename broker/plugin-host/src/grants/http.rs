//! `grants.http`: where a plugin may send HTTP requests to.

use super::{
    Destinations,
    origin::{Kind, Origin},
};
use http::Uri;

/// A list of origins, or a table with more to say.
pub type HttpGrant = Destinations<HttpOrigin>;

/// `https://auth.example:8443`
pub type HttpOrigin = Origin<Http>;

/// Where HTTP is spoken.
#[derive(Clone, Debug)]
pub enum Http {}

impl Kind for Http {
    const SCHEMES: [&'static str; 2] = ["http", "https"];
    const PORTS: [Option<u16>; 2] = [Some(80), Some(443)];
    const EXAMPLE: &'static str = "https://auth.example:8443";
}

impl HttpGrant {
    /// Whether a request to `uri` may be sent.
    pub(crate) fn holds(&self, uri: &Uri) -> bool {
        HttpOrigin::of(uri).is_ok_and(|origin| self.origins.contains(&origin))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, Deserialize)]
    struct Table {
        http: HttpGrant,
    }

    fn grant(text: &str) -> HttpGrant {
        toml::from_str::<Table>(text).unwrap().http
    }

    fn error(text: &str) -> String {
        toml::from_str::<Table>(text).unwrap_err().to_string()
    }

    fn holds(grant: &HttpGrant, uri: &str) -> bool {
        grant.holds(&uri.parse().unwrap())
    }

    #[test]
    fn a_list_or_a_table() {
        let short = grant("http = ['https://Auth.Example:8443', 'http://127.0.0.1:8080', 'http://[::1]']");
        assert_eq!(short.to_string(), "https://auth.example:8443, http://127.0.0.1:8080, http://[::1]:80");
        let long =
            grant("http = { origins = ['https://a'], private = ['10.0.0.0/8', 'fd00::1'], ca = 'ca.pem' }");
        assert_eq!(long.to_string(), "https://a:443 in 10.0.0.0/8, fd00::1/128");
        assert_eq!(long.ca.unwrap().to_str(), Some("ca.pem"));
    }

    #[test]
    fn what_is_no_origin_is_refused() {
        for (text, why) in [
            ("http = []", "no origin grants nothing"),
            ("http = { origins = [] }", "no origin grants nothing"),
            ("http = {}", "missing field `origins`"),
            ("http = 'https://a'", "a list of origins, or a table"),
            ("http = ['auth.example']", "it is not a URL"),
            ("http = ['ftp://a']", "neither http nor https"),
            ("http = ['https://me@a']", "it names a user"),
            ("http = ['https://a/']", "it has a path"),
            ("http = ['https://a/b']", "it has a path"),
            ("http = ['https://a?b']", "it has a path"),
            ("http = ['https://a:99999']", "it is not a URL"),
            ("http = ['https://a:']", "it is not a URL"),
            ("http = ['https://*.example']", "it is not a URL"),
            ("http = { origins = ['https://a'], private = ['10.0.0.0/33'] }", "is not a network"),
            ("http = { origins = ['https://a'], privat = [] }", "unknown field `privat`"),
        ] {
            assert!(error(text).contains(why), "{text}: {}", error(text));
        }
    }

    #[test]
    fn scheme_host_and_port_must_be_those_granted() {
        let grant = grant("http = ['https://auth.example', 'http://127.0.0.1:8080', 'http://[::1]:80']");
        for url in [
            "https://auth.example/a?b",
            "https://AUTH.example:443",
            "http://127.0.0.1:8080/",
            "http://[0:0::1]/x",
        ] {
            assert!(holds(&grant, url), "{url}");
        }
        for url in [
            "http://auth.example",
            "https://auth.example:8443",
            "https://auth.example.evil",
            "https://auth.example.",
            "https://auth.example@evil",
            "https://evil@auth.example",
            "http://127.0.0.1",
            "http://127.1:8080",
            "http://2130706433:8080",
            "http://[::ffff:127.0.0.1]:8080",
            "/a",
            "auth.example:443",
        ] {
            assert!(!holds(&grant, url), "{url}");
        }
    }
}
