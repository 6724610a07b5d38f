//! After those who decide about permissions have changed, live subscriptions are asked about again.

use crate::{mailbox::Command, shared::Shared};
use std::{sync::Arc, time::Duration};
use tokio::sync::Notify;

/// Several changes in a row are one.
const GATHER: Duration = Duration::from_millis(20);

/// Tells every connection to ask again, whenever `changed` is notified. Runs until the broker stops.
pub(crate) async fn watch(broker: Arc<Shared>, changed: Arc<Notify>) {
    loop {
        changed.notified().await;
        tokio::time::sleep(GATHER).await;
        let mut asked = 0;
        for part in broker.clients.connected_parts() {
            asked += part.len();
            part.iter().for_each(|subscriber| subscriber.mailbox.command(Command::Reauthorize));
            // Others first: a thousand connections that ask at once would be a wave.
            tokio::task::yield_now().await;
        }
        tracing::debug!(clients = asked, "permissions changed, subscriptions are asked about again");
    }
}
