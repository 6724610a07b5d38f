//! A generation that another one has taken the place of, kept so that it can be back within a moment.

use super::Generation;
use crate::instance::{NotMade, Slot};
use std::sync::Arc;

impl Generation {
    /// Gives back what it can do without. Where an instance takes long to make, one is kept. `left`: what it gave to `drain` last; its
    /// own, so it can go on with it.
    pub(crate) fn stand_by(&self, left: Option<Arc<[u8]>>) {
        if let Some(left) = left {
            self.mould.start_with(left);
        }
        if self.slots.fill_on_use() {
            self.drop_idle();
            return;
        }
        self.slots.iter().skip_while(|slot| slot.is_empty()).skip(1).for_each(Slot::empty);
        *self.spare.lock() = None;
        let calm = self.calm.take();
        self.calm.clear();
        calm.into_iter().for_each(|instance| self.calm.put(instance));
    }

    /// Makes sure that it can answer. What else it needs is made while it answers already.
    ///
    /// # Errors
    /// No instance can be made any more.
    pub(crate) async fn come_back(&self) -> Result<(), NotMade> {
        if !self.is_hot() || self.slots.fill_on_use() {
            return Ok(());
        }
        if self.slots.iter().all(Slot::is_empty) {
            let instance = self.mould.make().await?;
            self.slots.iter().next().and_then(|slot| slot.fill(instance));
        }
        self.want_spare();
        Ok(())
    }
}
