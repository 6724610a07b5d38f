//! The promise of a commit. An acknowledgement goes out when its ticket says [`Outcome::Durable`], not before.

use crate::backend::StoreError;
use std::{
    future::poll_fn,
    pin::Pin,
    task::{Context, Poll, ready},
};
use tokio::sync::oneshot::{self, error::TryRecvError};

/// How a commit ended.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Outcome {
    /// As safe as the engine makes it.
    Durable,
    /// Not written, nor will it be.
    Refused(StoreError),
    /// Nobody can tell yet. The caller neither acknowledges nor refuses.
    Unknown,
}

/// Stands for a commit that may still be on its way.
#[derive(Debug)]
#[must_use]
pub struct Ticket(State);

#[derive(Debug)]
enum State {
    Settled(Outcome),
    Pending(oneshot::Receiver<Outcome>),
}

/// The engine's end of a pending [`Ticket`]. Dropped without a word it means [`Outcome::Unknown`].
#[derive(Debug)]
pub struct Settler(oneshot::Sender<Outcome>);

impl Ticket {
    /// A commit that has ended, or one that had nothing to write.
    pub fn settled(outcome: Outcome) -> Self {
        Self(State::Settled(outcome))
    }

    /// A commit on its way.
    pub fn pending() -> (Settler, Self) {
        let (sender, receiver) = oneshot::channel();
        (Settler(sender), Self(State::Pending(receiver)))
    }

    /// The outcome, if it is known without waiting.
    pub fn outcome(&self) -> Option<&Outcome> {
        match &self.0 {
            State::Settled(outcome) => Some(outcome),
            State::Pending(_) => None,
        }
    }

    /// Waits for the outcome; to be called again if it is given up.
    pub async fn until_settled(&mut self) -> Outcome {
        poll_fn(|context| self.poll_settled(context)).await
    }

    /// Ready when the outcome is known.
    pub fn poll_settled(&mut self, context: &mut Context<'_>) -> Poll<Outcome> {
        match &mut self.0 {
            State::Settled(outcome) => Poll::Ready(outcome.clone()),
            State::Pending(receiver) => {
                let outcome = ready!(Pin::new(receiver).poll(context)).unwrap_or(Outcome::Unknown);
                self.0 = State::Settled(outcome.clone());
                Poll::Ready(outcome)
            }
        }
    }

    /// The outcome, if it is known by now.
    pub fn known(&mut self) -> Option<Outcome> {
        if let State::Pending(receiver) = &mut self.0 {
            match receiver.try_recv() {
                Ok(outcome) => self.0 = State::Settled(outcome),
                Err(TryRecvError::Closed) => self.0 = State::Settled(Outcome::Unknown),
                Err(TryRecvError::Empty) => {}
            }
        }
        self.outcome().cloned()
    }

    /// Waits for the outcome.
    pub async fn wait(self) -> Outcome {
        match self.0 {
            State::Settled(outcome) => outcome,
            State::Pending(receiver) => receiver.await.unwrap_or(Outcome::Unknown),
        }
    }
}

impl Settler {
    /// Says how the commit ended.
    pub fn settle(self, outcome: Outcome) {
        // Whoever waited may be gone.
        let _ = self.0.send(outcome);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_pending_ticket_waits_for_its_settler() {
        let (settler, ticket) = Ticket::pending();
        assert_eq!(ticket.outcome(), None);
        settler.settle(Outcome::Durable);
        assert_eq!(ticket.wait().await, Outcome::Durable);
    }

    #[tokio::test]
    async fn a_lost_commit_is_unknown_and_never_durable() {
        let (settler, ticket) = Ticket::pending();
        drop(settler);
        assert_eq!(ticket.wait().await, Outcome::Unknown);
    }
}
