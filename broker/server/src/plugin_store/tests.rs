//! What every engine must do, done by plugins.

use super::*;
use crate::{Config, server::options};
use std::sync::Arc;
use tidegate_hooks::HookRegistry;
use tidegate_plugin_host::{Access, PluginHost};
use tidegate_store::suite::{self, Engine};
use tidegate_tests::{Folder, StoreKind, Stores, guest};
use tokio::runtime::Runtime;

struct ByPlugin {
    runtime: Runtime,
    stores: Stores,
    folder: Option<Folder>,
    running: Option<Running>,
}

struct Running {
    host: PluginHost,
    /// Keeps the plugins.
    hooks: Arc<HookRegistry>,
}

impl ByPlugin {
    fn new(kind: StoreKind) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().enable_all().worker_threads(2).build().unwrap();
        Self { runtime, stores: Stores::new(kind), folder: None, running: None }
    }

    fn start(&mut self) -> Arc<dyn Backend> {
        let config = Config::read(&self.folder.as_ref().unwrap().config()).unwrap();
        let hooks = Arc::new(HookRegistry::new());
        let options = options(&config, &hooks, &Access::default()).unwrap();
        let (host, _) = self.runtime.block_on(PluginHost::start(options)).unwrap();
        let storage = host.storage(config.store.plugin.as_ref().unwrap()).unwrap();
        self.running = Some(Running { host, hooks });
        Arc::new(PluginStore::open(storage, self.runtime.handle().clone()).unwrap())
    }

    fn stop(&mut self) {
        let Some(Running { host, hooks }) = self.running.take() else { return };
        self.runtime.block_on(host.stop());
        drop(hooks);
    }
}

impl Engine for ByPlugin {
    fn fresh(&mut self) -> Arc<dyn Backend> {
        self.stop();
        self.folder = Some(self.stores.folder(""));
        self.start()
    }

    fn reopen(&mut self, engine: Arc<dyn Backend>) -> Option<Arc<dyn Backend>> {
        drop(engine);
        self.stop();
        Some(self.start())
    }
}

#[test]
fn the_suite_holds_encrypted() {
    suite::run(&mut ByPlugin::new(StoreKind::Crypt));
}

#[test]
fn the_suite_holds_in_redis() {
    suite::run(&mut ByPlugin::new(StoreKind::Redis));
}

/// A plugin that keeps records in its own memory.
struct InItsMemory(ByPlugin);

impl Engine for InItsMemory {
    fn fresh(&mut self) -> Arc<dyn Backend> {
        self.0.stop();
        let folder = Folder::new(
            "[store]\nengine = \"plugin\"\nplugin = \"store-memory\"\n[plugin.store-memory]\nlimits.concurrent = 1\n",
        );
        folder.install_plugin("store-memory", &guest("store-memory"));
        self.0.folder = Some(folder);
        self.0.start()
    }

    fn reopen(&mut self, _: Arc<dyn Backend>) -> Option<Arc<dyn Backend>> {
        None
    }
}

#[test]
fn the_suite_holds_in_the_memory_of_a_plugin() {
    suite::run(&mut InItsMemory(ByPlugin::new(StoreKind::Disk)));
}
