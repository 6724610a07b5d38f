//! The engine as a whole.

use super::*;
use crate::suite;
use tempfile::TempDir;

struct OnDisk(TempDir);

impl suite::Engine for OnDisk {
    fn fresh(&mut self) -> Arc<dyn Backend> {
        self.0 = TempDir::new().unwrap();
        open(&self.0)
    }

    fn reopen(&mut self, engine: Arc<dyn Backend>) -> Option<Arc<dyn Backend>> {
        drop(engine);
        Some(open(&self.0))
    }
}

fn open(place: &TempDir) -> Arc<Fjall> {
    Arc::new(Fjall::open(place.path(), FjallOptions::default()).unwrap())
}

#[test]
fn fjall_does_what_an_engine_must() {
    suite::run(&mut OnDisk(TempDir::new().unwrap()));
}
