//! {{name}}: whoever subscribes to `inbox` gets an inbox of its own, `inbox/CLIENT-ID`.

use tidegate_plugin::{
    NoConfig, OnSubscribe, Plugin, ReasonCode, Scope, Start, SubscribeChange, SubscribeRequest,
    SubscribeVerdict,
};

pub struct Inboxes;

impl Plugin for Inboxes {
    type Config = NoConfig;

    fn new(_: Start, _: NoConfig) -> Result<Self, String> {
        Ok(Self)
    }

    /// Other filters cost nothing.
    fn scopes(&self) -> Vec<Scope> {
        vec![Scope::subscribe(["inbox"])]
    }
}

impl OnSubscribe for Inboxes {
    fn on_subscribe(&mut self, request: SubscribeRequest) -> SubscribeVerdict {
        if request.filter != "inbox" {
            // Such as `#`, which has `inbox` in it.
            return SubscribeVerdict::Next;
        }
        // A client id may hold anything, but reaches no further than its level.
        if request.client_id.is_empty() || request.client_id.contains(['/', '+', '#']) {
            return SubscribeVerdict::Refuse(ReasonCode::NotAuthorized);
        }
        SubscribeChange::new()
            .filter(format!("inbox/{}", request.client_id))
            .into()
    }
}

tidegate_plugin::export!(Inboxes: on_subscribe);

#[cfg(test)]
mod tests {
    use super::*;
    use tidegate_plugin::{
        QoS,
        testing::{Host, subscription},
    };

    #[test]
    fn each_has_an_inbox_of_its_own() {
        let mut plugin: Inboxes = Host::new().start().unwrap();
        let mut subscribe =
            |filter| plugin.on_subscribe(subscription("c1", filter, QoS::AtLeastOnce));
        assert_eq!(
            subscribe("inbox"),
            SubscribeChange::new().filter("inbox/c1").into()
        );
        assert_eq!(subscribe("#"), SubscribeVerdict::Next);
    }
}
