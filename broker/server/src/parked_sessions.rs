//! Looks at parked sessions when their will is due or they expire.

use crate::{clock, shared::Shared};
use std::{collections::BTreeSet, sync::Arc};
use tidegate_mqtt::{ClientId, SessionId, Timestamp};
use tokio::sync::mpsc;

/// A session to look at.
#[derive(Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Look {
    pub(crate) at: Timestamp,
    pub(crate) client_id: ClientId,
    pub(crate) session: SessionId,
}

/// Runs until the broker stops. One task and one timer for all sessions; a client that returned is noticed when its time comes.
pub(crate) async fn watch(broker: Arc<Shared>, mut looks: mpsc::UnboundedReceiver<Look>) {
    let mut ahead = BTreeSet::new();
    loop {
        let next = ahead.first().map(|look: &Look| look.at);
        let due = async {
            match next {
                Some(at) => tokio::time::sleep_until(clock::instant(at)).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            look = looks.recv() => match look {
                Some(look) => drop(ahead.insert(look)),
                None => return,
            },
            () = due => while let Some(look) = ahead.pop_first() {
                if look.at > clock::now() {
                    ahead.insert(look);
                    break;
                }
                if let Some(at) = broker.look(&look.client_id, look.session).await {
                    ahead.insert(Look { at, ..look });
                }
            }
        }
    }
}
