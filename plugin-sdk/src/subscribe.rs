//! What becomes of a subscription, before `acl` is asked about it.

use crate::{Property, bindings::subscribe::exports::tidegate::plugin::subscribe, property};
use tidegate_mqtt::{QoS, ReasonCode, RetainHandling};

/// The hook for SUBSCRIBE.
///
/// ```
/// use tidegate_plugin::{
///     NoConfig, OnSubscribe, Plugin, QoS, Start, SubscribeChange, SubscribeRequest, SubscribeVerdict,
/// };
///
/// /// Gives each client its own `inbox`.
/// struct Inbox;
///
/// impl Plugin for Inbox {
///     type Config = NoConfig;
///     fn new(_: Start, _: NoConfig) -> Result<Self, String> {
///         Ok(Self)
///     }
/// }
///
/// impl OnSubscribe for Inbox {
///     fn on_subscribe(&mut self, request: SubscribeRequest) -> SubscribeVerdict {
///         if request.filter != "inbox" {
///             return SubscribeVerdict::Next;
///         }
///         SubscribeChange::new().filter(format!("inbox/{}", request.client_id)).into()
///     }
/// }
///
/// tidegate_plugin::export!(Inbox: on_subscribe);
///
/// use tidegate_plugin::testing::{self, Host};
///
/// let mut plugin: Inbox = Host::new().start()?;
/// let verdict = plugin.on_subscribe(testing::subscription("c1", "inbox", QoS::AtLeastOnce));
/// assert_eq!(verdict, SubscribeChange::new().filter("inbox/c1").into());
/// # Ok::<(), String>(())
/// ```
pub trait OnSubscribe {
    /// What becomes of this subscription? Must answer at once, unless the plugin was granted `http`.
    fn on_subscribe(&mut self, request: SubscribeRequest) -> SubscribeVerdict;

    /// All subscriptions of one SUBSCRIBE, for those who judge them together. One verdict each, in order.
    fn on_subscribe_all(&mut self, requests: Vec<SubscribeRequest>) -> Vec<SubscribeVerdict> {
        requests.into_iter().map(|request| self.on_subscribe(request)).collect()
    }
}

/// A subscription that a client asks for.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct SubscribeRequest {
    /// Who subscribes, unique in the life of the broker.
    pub session: u64,
    /// Who subscribes.
    pub client_id: String,
    /// Who subscribes, as authenticated.
    pub username: Option<String>,
    /// As asked for, or as left by the plugins before; with `$share/NAME/`.
    pub filter: String,
    /// As asked for, or as left by the plugins before.
    pub qos: QoS,
    /// Whether the client's own messages do not come to it (section 3.8.3.1).
    pub no_local: bool,
    /// Whether messages keep their RETAIN flag.
    pub retain_as_published: bool,
    /// Whether retained messages come with the subscription.
    pub retain_handling: RetainHandling,
    /// User properties and the subscription identifier (0x0B) of the SUBSCRIBE.
    pub properties: Vec<Property>,
}

impl SubscribeRequest {
    /// The first user property of that name (section 3.8.2.1.3).
    pub fn user_property(&self, name: &str) -> Option<&str> {
        property::user_property(&self.properties, name)
    }
}

impl From<subscribe::Request> for SubscribeRequest {
    fn from(request: subscribe::Request) -> Self {
        Self {
            session: request.session,
            client_id: request.client_id,
            username: request.username,
            filter: request.filter,
            qos: QoS::try_from(request.qos).unwrap_or_default(),
            no_local: request.no_local,
            retain_as_published: request.retain_as_published,
            retain_handling: match request.retain_handling {
                0 => RetainHandling::SendAlways,
                1 => RetainHandling::SendIfNew,
                _ => RetainHandling::SendNever,
            },
            properties: property::from_list(request.properties),
        }
    }
}

/// Answer to a [`SubscribeRequest`].
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum SubscribeVerdict {
    /// Nothing to say; ask the next plugin.
    Next,
    /// Good as it is; ask no further plugin.
    Accept,
    /// Change it, then ask the next plugin.
    Edit(SubscribeChange),
    /// Refuse it with this reason code, 0x80 or above.
    Refuse(ReasonCode),
}

impl From<SubscribeChange> for SubscribeVerdict {
    fn from(change: SubscribeChange) -> Self {
        Self::Edit(change)
    }
}

impl From<SubscribeVerdict> for subscribe::Verdict {
    fn from(verdict: SubscribeVerdict) -> Self {
        match verdict {
            SubscribeVerdict::Next => Self::Next,
            SubscribeVerdict::Accept => Self::Accept,
            SubscribeVerdict::Edit(SubscribeChange { filter, qos }) => {
                Self::Edit(subscribe::Change { filter, qos: qos.map(|qos| qos as u8) })
            }
            SubscribeVerdict::Refuse(code) => Self::Refuse(code as u8),
        }
    }
}

/// Changes to a subscription; what is None stays. UNSUBSCRIBE of the filter that the client asked for ends what it was changed to.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct SubscribeChange {
    /// New filter; `acl` is asked about this one.
    pub filter: Option<String>,
    /// New maximum quality of service, not above the one asked for.
    pub qos: Option<QoS>,
}

impl SubscribeChange {
    /// Changes nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// A new filter; `acl` is asked about this one.
    #[must_use]
    pub fn filter(mut self, filter: impl Into<String>) -> Self {
        self.filter = Some(filter.into());
        self
    }

    /// A new maximum quality of service, not above the one asked for.
    #[must_use]
    pub fn qos(mut self, qos: QoS) -> Self {
        self.qos = Some(qos);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bindings::lifecycle::tidegate::plugin::types;

    #[test]
    fn a_request_is_taken_over() {
        let pair = types::PropValue::Pair(("team".into(), "blue".into()));
        let request = SubscribeRequest::from(subscribe::Request {
            session: 7,
            client_id: "c1".into(),
            username: Some("alice".into()),
            filter: "$share/g/a/#".into(),
            qos: 2,
            no_local: false,
            retain_as_published: true,
            retain_handling: 1,
            properties: vec![types::Property { id: 0x26, value: pair }],
        });
        assert_eq!((request.session, request.qos), (7, QoS::ExactlyOnce));
        assert_eq!(request.retain_handling, RetainHandling::SendIfNew);
        assert!(request.retain_as_published && !request.no_local);
        assert_eq!(request.user_property("team"), Some("blue"));
    }

    #[test]
    fn a_change_names_what_it_changes() {
        let change = SubscribeChange::new().filter("b").qos(QoS::AtLeastOnce);
        let subscribe::Verdict::Edit(change) = SubscribeVerdict::from(change).into() else {
            panic!("no edit")
        };
        assert_eq!((change.filter.as_deref(), change.qos), (Some("b"), Some(1)));
        let refused = subscribe::Verdict::from(SubscribeVerdict::Refuse(ReasonCode::NotAuthorized));
        assert!(matches!(refused, subscribe::Verdict::Refuse(0x87)));
    }
}
