//! Names everybody who would get a message anyway, each time anew: what a selection costs when nothing is remembered.

use tidegate_plugin::{Candidate, Message, NoConfig, Plugin, Selection, Start, Subscribers};

/// The guest.
pub struct Probe;

impl Plugin for Probe {
    type Config = NoConfig;

    fn new(_: Start, _: NoConfig) -> Result<Self, String> {
        Ok(Self)
    }
}

impl Subscribers for Probe {
    fn select(&mut self, _: Message, candidates: Vec<Candidate>) -> Selection {
        let known = |(at, candidate): (usize, &Candidate)| (!candidate.client_id.is_empty()).then_some(at);
        Selection::only(candidates.iter().enumerate().filter_map(known))
    }
}

tidegate_plugin::export!(Probe: subscribers);
