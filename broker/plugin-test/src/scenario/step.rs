//! What a line of a scenario may ask for. `docs/scenarios.md` explains each field.

use super::value;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use tidegate_mqtt::{PublishProperties, QoS, RetainHandling, TopicName, UserProperties, Version};

/// A client that wants to come in.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Connect {
    /// Its client identifier.
    pub(crate) client: String,
    /// As sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) username: Option<String>,
    /// As sent, if it is text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) password: Option<String>,
    /// As sent, if it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_base64: Option<String>,
    /// 3, 4 (3.1.1) or 5.
    #[serde(default = "five")]
    pub(crate) protocol: u8,
    /// Whether it wants a new session.
    #[serde(default = "yes")]
    pub(crate) clean_start: bool,
    /// Seconds.
    #[serde(default = "a_minute")]
    pub(crate) keep_alive: u16,
    /// Name of the listener.
    #[serde(default = "test")]
    pub(crate) listener: String,
    /// `IP:PORT`
    #[serde(default = "somewhere")]
    pub(crate) peer: String,
    /// Of its certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) tls_subject: Option<String>,
    /// In its certificate.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) tls_sans: Vec<String>,
    /// Whether the username stands in its certificate.
    #[serde(default, skip_serializing_if = "is_false")]
    pub(crate) tls_username: bool,
    /// Of enhanced authentication.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) method: Option<String>,
    /// Its first data, if it is text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) data: Option<String>,
    /// Its first data, if it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data_base64: Option<String>,
    /// Free pairs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) user_properties: UserProperties,
}

impl Connect {
    /// The bytes of the password.
    ///
    /// # Errors
    /// If it is given twice, or is no Base64.
    pub(crate) fn password_bytes(&self) -> Result<Option<Vec<u8>>, String> {
        value::either("password", self.password.as_deref(), self.password_base64.as_deref())
    }

    /// The bytes of the first data.
    ///
    /// # Errors
    /// As [`Connect::password_bytes`].
    pub(crate) fn data_bytes(&self) -> Result<Option<Vec<u8>>, String> {
        value::either("data", self.data.as_deref(), self.data_base64.as_deref())
    }

    /// Its version.
    ///
    /// # Errors
    /// If there is none of that number.
    pub(crate) fn version(&self) -> Result<Version, String> {
        match self.protocol {
            3 => Ok(Version::V3_1),
            4 => Ok(Version::V3_1_1),
            5 => Ok(Version::V5),
            other => Err(format!("`protocol` is 3, 4 (for 3.1.1) or 5, not {other}")),
        }
    }
}

/// A client that is in already.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Client {
    /// Its client identifier.
    pub(crate) client: String,
    /// As authenticated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) username: Option<String>,
    /// As a grant said.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) attributes: BTreeMap<String, String>,
}

/// A step of enhanced authentication.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Auth {
    /// Who.
    pub(crate) client: String,
    /// What it says, if it is text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) data: Option<String>,
    /// What it says, if it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data_base64: Option<String>,
    /// Whether a re-authentication begins.
    #[serde(default, skip_serializing_if = "is_false")]
    pub(crate) again: bool,
}

impl Auth {
    /// The bytes of what it says.
    ///
    /// # Errors
    /// As [`Connect::password_bytes`].
    pub(crate) fn data_bytes(&self) -> Result<Option<Vec<u8>>, String> {
        value::either("data", self.data.as_deref(), self.data_base64.as_deref())
    }
}

/// Bytes, in one of three ways.
#[derive(Clone, Debug, Default)]
pub(crate) struct Payload<'a> {
    text: Option<&'a str>,
    base64: Option<&'a str>,
    json: Option<&'a Value>,
}

impl Payload<'_> {
    /// The bytes; none if nothing is given.
    ///
    /// # Errors
    /// If it is given twice, or is no Base64.
    pub(crate) fn bytes(&self) -> Result<Bytes, String> {
        match (self.json, value::either("payload", self.text, self.base64)?) {
            (Some(_), Some(_)) => Err("give one of `payload`, `payload_base64` and `json`".to_owned()),
            (Some(json), None) => Ok(json.to_string().into()),
            (None, bytes) => Ok(bytes.unwrap_or_default().into()),
        }
    }
}

/// A message.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Message {
    /// Who publishes it; empty if nobody that matters.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) client: String,
    /// Where to.
    pub(crate) topic: String,
    /// If it is text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) payload: Option<String>,
    /// If it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub payload_base64: Option<String>,
    /// If it is JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) json: Option<Value>,
    /// 0, 1 or 2.
    #[serde(skip_serializing_if = "is_zero")]
    pub(crate) qos: u8,
    /// The RETAIN flag.
    #[serde(skip_serializing_if = "is_false")]
    pub(crate) retain: bool,
    /// MQTT 5 properties.
    #[serde(skip_serializing_if = "Properties::is_empty")]
    pub(crate) properties: Properties,
    /// The plugin that published it, if none of the clients did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) origin: Option<String>,
}

impl Message {
    /// Its payload.
    pub(crate) fn body(&self) -> Payload<'_> {
        Payload {
            text: self.payload.as_deref(),
            base64: self.payload_base64.as_deref(),
            json: self.json.as_ref(),
        }
    }
}

/// Properties of a message (section 3.3.2.3).
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Properties {
    /// Free pairs.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) user: UserProperties,
    /// MIME type or the like.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) content_type: Option<Box<str>>,
    /// Where to answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) response_topic: Option<String>,
    /// What to answer to, if it is text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) correlation_data: Option<String>,
    /// What to answer to, if it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub correlation_data_base64: Option<String>,
    /// Seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) message_expiry: Option<u32>,
    /// 0 bytes, 1 text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) payload_format: Option<u8>,
    /// For `deliver`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) subscription_identifiers: Vec<std::num::NonZeroU32>,
}

impl Properties {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// As the broker has them; None if there is none.
    ///
    /// # Errors
    /// Names the field that makes no sense.
    pub(crate) fn of_publish(&self) -> Result<Option<PublishProperties>, String> {
        if self.is_empty() {
            return Ok(None);
        }
        let correlation = value::either(
            "correlation_data",
            self.correlation_data.as_deref(),
            self.correlation_data_base64.as_deref(),
        )?;
        let topic =
            |text: &String| TopicName::new(text).map_err(|why| format!("`response_topic` {text:?}: {why}"));
        Ok(Some(PublishProperties {
            payload_format_indicator: self.payload_format.map(|format| format != 0),
            message_expiry_interval: self.message_expiry,
            topic_alias: None,
            response_topic: self.response_topic.as_ref().map(topic).transpose()?,
            correlation_data: correlation.map(Bytes::from),
            user_properties: self.user.clone(),
            subscription_identifiers: self.subscription_identifiers.iter().copied().collect(),
            content_type: self.content_type.clone(),
        }))
    }
}

impl From<&PublishProperties> for Properties {
    fn from(properties: &PublishProperties) -> Self {
        let (text, base64) = properties.correlation_data.as_deref().map_or((None, None), value::apart);
        Self {
            user: properties.user_properties.clone(),
            content_type: properties.content_type.clone(),
            response_topic: properties.response_topic.as_ref().map(ToString::to_string),
            correlation_data: text,
            correlation_data_base64: base64,
            message_expiry: properties.message_expiry_interval,
            payload_format: properties.payload_format_indicator.map(u8::from),
            subscription_identifiers: properties.subscription_identifiers.to_vec(),
        }
    }
}

/// A filter of a SUBSCRIBE.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Subscribe {
    /// Who.
    pub(crate) client: String,
    /// With `$share/NAME/`, if it is shared.
    pub(crate) filter: String,
    /// 0, 1 or 2.
    #[serde(default)]
    pub(crate) qos: u8,
    /// Whether its own messages come back.
    #[serde(default, skip_serializing_if = "is_false")]
    pub(crate) no_local: bool,
    /// Whether RETAIN stays as published.
    #[serde(default, skip_serializing_if = "is_false")]
    pub(crate) retain_as_published: bool,
    /// 0, 1 or 2.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(crate) retain_handling: u8,
    /// Free pairs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) user_properties: UserProperties,
}

impl Subscribe {
    /// When retained messages are sent.
    ///
    /// # Errors
    /// If there is none of that number.
    pub(crate) fn retain_handling(&self) -> Result<RetainHandling, String> {
        match self.retain_handling {
            0 => Ok(RetainHandling::SendAlways),
            1 => Ok(RetainHandling::SendIfNew),
            2 => Ok(RetainHandling::SendNever),
            other => Err(format!("`retain_handling` is 0, 1 or 2, not {other}")),
        }
    }
}

/// May a client be told?
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Receive {
    /// Who.
    pub(crate) client: String,
    /// Of what.
    pub(crate) topic: String,
}

/// One who would get a message.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Candidate {
    /// Who.
    pub(crate) client: String,
    /// By which subscription.
    pub(crate) filter: String,
    /// At which it would get it.
    #[serde(default)]
    pub(crate) qos: u8,
}

/// Who gets it?
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Select {
    /// The message.
    pub(crate) message: Message,
    /// Whose subscriptions match.
    pub(crate) candidates: Vec<Candidate>,
}

/// Which member of a shared subscription gets it?
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Pick {
    /// The message.
    pub(crate) message: Message,
    /// `$share/NAME/FILTER`
    pub(crate) group: String,
    /// Who is in it.
    pub(crate) members: Vec<Candidate>,
}

/// What does one recipient get?
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Deliver {
    /// The message.
    pub(crate) message: Message,
    /// Who.
    pub(crate) to: String,
}

/// Something that has happened.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Event {
    /// What.
    pub(crate) kind: String,
    /// Whose doing.
    #[serde(default)]
    pub(crate) client: String,
    /// About which topic.
    #[serde(default)]
    pub(crate) topic: Option<String>,
    /// Why: a number or a name.
    #[serde(default)]
    pub(crate) reason: Value,
    /// Whatever else there is to say.
    #[serde(default)]
    pub(crate) detail: Map<String, Value>,
}

/// A client that goes.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Disconnect {
    /// Who.
    pub(crate) client: String,
}

/// How the scenario's HTTP server answers some requests.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct HttpAnswer {
    /// Of these; None: any.
    pub(crate) method: Option<String>,
    /// Of these, without the query; `*` at the end stands for any rest. None: any.
    pub(crate) path: Option<String>,
    /// What it says.
    #[serde(default = "ok")]
    pub(crate) status: u16,
    /// Beside the body.
    #[serde(default)]
    pub(crate) headers: BTreeMap<String, String>,
    /// As text.
    pub(crate) body: Option<String>,
    /// As JSON.
    pub(crate) json: Option<Value>,
    /// How long it takes, such as `"200ms"`.
    pub(crate) delay: Option<String>,
    /// The connection is cut instead.
    #[serde(default)]
    pub(crate) close: bool,
    /// How often; None: always.
    pub(crate) times: Option<u32>,
}

/// A quality of service by its number.
///
/// # Errors
/// If there is none of that number.
pub(crate) fn qos(number: u8) -> Result<QoS, String> {
    QoS::try_from(number).map_err(|_| format!("`qos` is 0, 1 or 2, not {number}"))
}

fn five() -> u8 {
    5
}

fn yes() -> bool {
    true
}

fn a_minute() -> u16 {
    60
}

fn ok() -> u16 {
    200
}

fn test() -> String {
    "test".to_owned()
}

fn somewhere() -> String {
    "192.0.2.1:50000".to_owned()
}

fn is_false(flag: &bool) -> bool {
    !flag
}

fn is_zero(number: &u8) -> bool {
    *number == 0
}
