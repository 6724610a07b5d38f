//! The request about a client.

use serde::Deserialize;
use std::{collections::BTreeMap, net::SocketAddr};
use tidegate_plugin::{
    Connect, Template,
    http::{Headers, Request},
};

/// What can be told of a client.
const VALUES: [&str; 7] =
    ["client_id", "username", "password", "peer", "listener", "protocol", "tls_subject"];

/// How a client is asked about.
#[derive(Debug)]
pub(crate) struct Question {
    pub(crate) url: Url,
    pub(crate) method: Method,
    pub(crate) encoding: Encoding,
    pub(crate) fields: BTreeMap<String, Text>,
    pub(crate) headers: Headers,
}

/// Why a client cannot be asked about.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Unaskable {
    /// Its password is no text.
    Password,
    /// What the URL needs it has not, or cannot stand there.
    Url,
}

impl Question {
    /// The request about this client.
    pub(crate) fn about(&self, client: &Connect) -> Result<Request, Unaskable> {
        if client.password.as_deref().is_some_and(|password| std::str::from_utf8(password).is_err()) {
            return Err(Unaskable::Password);
        }
        let url = self.url.0.fill(|name| value(client, name).and_then(|value| segment(&value)));
        let fields =
            || self.fields.iter().map(|(name, Text(text))| (name, text.fill(|of| value(client, of))));
        let request = Request::new(self.method.name(), url.ok_or(Unaskable::Url)?);
        let request = match self.encoding {
            Encoding::Json => {
                let body: serde_json::Map<_, _> =
                    fields().map(|(name, value)| (name.clone(), value.into())).collect();
                self.typed(request, "application/json").body(serde_json::Value::from(body).to_string())
            }
            Encoding::Form => self.typed(request, "application/x-www-form-urlencoded").body(pairs(fields())),
            Encoding::Query => {
                let joint = if request.url.contains('?') { '&' } else { '?' };
                let url = format!("{}{joint}{}", request.url, pairs(fields()));
                Request { url, ..request }
            }
        };
        Ok(request.headers(&self.headers))
    }

    /// Whether the service is told that about a client.
    pub(crate) fn tells(&self, value: &str) -> bool {
        let fields = self.fields.values().flat_map(|Text(text)| text.names());
        fields.chain(self.url.0.names()).any(|name| name == value)
    }

    fn typed(&self, request: Request, content_type: &str) -> Request {
        if self.headers.has("content-type") { request } else { request.header("Content-Type", content_type) }
    }
}

/// Where to ask. What differs from client to client begins behind the origin: who is asked is the operator's to say.
#[derive(Debug, Deserialize)]
#[serde(try_from = "Text")]
pub(crate) struct Url(Template);

impl TryFrom<Text> for Url {
    type Error = &'static str;
    fn try_from(Text(template): Text) -> Result<Self, &'static str> {
        let beginning = template.beginning();
        let behind = beginning.strip_prefix("https://").or_else(|| beginning.strip_prefix("http://"));
        match behind.map(|behind| behind.contains('/')) {
            None => Err("it begins with https:// or http://"),
            Some(false) if template.names().next().is_some() => {
                Err("places to fill come behind the host, as in \"https://auth.example/users/${username}\"")
            }
            Some(_) => Ok(Self(template)),
        }
    }
}

/// Text with places for what can be told of a client.
#[derive(Debug, Deserialize)]
#[serde(try_from = "Template")]
pub(crate) struct Text(Template);

impl Text {
    /// A field for each of [`VALUES`].
    pub(crate) fn of_every_value() -> BTreeMap<String, Self> {
        let text = |name: &str| Template::new(&format!("${{{name}}}")).map(Self).ok();
        VALUES.iter().filter_map(|name| Some(((*name).to_owned(), text(name)?))).collect()
    }
}

impl TryFrom<Template> for Text {
    type Error = String;
    fn try_from(template: Template) -> Result<Self, String> {
        let unknown = template.names().find(|name| !VALUES.contains(name)).map(str::to_owned);
        unknown.map_or(Ok(Self(template)), |name| {
            Err(format!("there is no ${{{name}}}; known are {} and secret:NAME", VALUES.join(", ")))
        })
    }
}

#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "UPPERCASE")]
pub(crate) enum Method {
    Get,
    Post,
    Put,
}

impl Method {
    fn name(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
        }
    }
}

/// Where the fields stand.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Encoding {
    /// A JSON object; what the client has not is null.
    Json,
    /// As a form; what the client has not is left out.
    Form,
    /// The same, behind the URL.
    Query,
}

/// None: the client has none.
fn value(client: &Connect, name: &str) -> Option<String> {
    match name {
        "client_id" => Some(client.client_id.clone()),
        "username" => client.username.clone(),
        "password" => client.password.clone().and_then(|password| String::from_utf8(password).ok()),
        "peer" => Some(address(&client.peer)),
        "listener" => Some(client.listener.clone()),
        "protocol" => Some(client.protocol.to_string()),
        "tls_subject" => client.tls_subject.clone(),
        _ => None,
    }
}

/// Without the port, which is another one each time: no question would be asked twice.
fn address(peer: &str) -> String {
    peer.parse().map_or_else(|_| peer.to_owned(), |address: SocketAddr| address.ip().to_string())
}

/// For a URL. None: its path would lead elsewhere (RFC 3986, section 5.2.4).
fn segment(value: &str) -> Option<String> {
    (!matches!(value, "" | "." | "..")).then(|| encoded(value))
}

fn pairs<'a>(fields: impl Iterator<Item = (&'a String, Option<String>)>) -> String {
    let pairs =
        fields.filter_map(|(name, value)| Some(format!("{}={}", encoded(name), encoded(value.as_deref()?))));
    pairs.collect::<Vec<_>>().join("&")
}

/// Every byte that is not unreserved as `%XX` (RFC 3986, section 2): stands in paths, queries and forms.
fn encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => encoded.push(byte.into()),
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}
