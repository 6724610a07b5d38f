//! The store that a config names, for commands, while no broker uses it.

use crate::{
    Config, StartError,
    admin::claim,
    config::Engine,
    server::{engine, options, store_place},
};
use std::{fmt, fs::File, sync::Arc};
use tidegate_hooks::HookRegistry;
use tidegate_plugin_host::{Access, PluginHost};
use tidegate_store::{Backend, StoreError};
use tokio::runtime::Runtime;

/// An engine, and what it needs to work.
pub struct OfflineStore {
    backend: Arc<dyn Backend>,
    place: String,
    /// Those of the plugin that keeps the records.
    _plugins: Option<(PluginHost, Arc<HookRegistry>)>,
    _lock: Option<File>,
    _runtime: Runtime,
}

impl fmt::Debug for OfflineStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OfflineStore").field("place", &self.place).finish_non_exhaustive()
    }
}

impl OfflineStore {
    /// Opens it; makes the folder of the built-in engine if it is not there. For threads of no runtime: it blocks, and so do the calls of the
    /// engine.
    ///
    /// # Errors
    /// [`StartError`]: a broker uses it, or it cannot be used.
    pub fn open(config: &Config) -> Result<Self, StartError> {
        let place = store_place(config);
        let refused = |error| StartError::Store { place: place.clone(), error };
        let sentence = |why: String| refused(StoreError::Unusable(why.into()));
        let mut runtime = tokio::runtime::Builder::new_multi_thread();
        let runtime =
            runtime.worker_threads(1).enable_all().build().map_err(|why| sentence(why.to_string()))?;
        let by_plugin = config.store.engine == Engine::Plugin;
        if config.store.engine == Engine::Memory {
            return Err(sentence("engine = \"memory\" in [store] keeps nothing".into()));
        }
        // The built-in engine has a lock of its own.
        let lock = if by_plugin { claim(&config.data_dir)? } else { None };
        let mut plugins = None;
        if by_plugin {
            let hooks = Arc::new(HookRegistry::new());
            if let Some(options) = options(config, &hooks, &Access::default()) {
                let (host, _) = runtime.block_on(PluginHost::start(options))?;
                plugins = Some((host, hooks));
            }
        }
        let open = {
            let _entered = runtime.enter();
            engine(config, plugins.as_ref().map(|(host, _)| host))
        };
        let backend = open().map_err(refused)?;
        Ok(Self { backend, place, _plugins: plugins, _lock: lock, _runtime: runtime })
    }

    /// To read and write.
    pub fn backend(&self) -> &dyn Backend {
        &*self.backend
    }

    /// Where it is, for people.
    pub fn place(&self) -> &str {
        &self.place
    }
}
