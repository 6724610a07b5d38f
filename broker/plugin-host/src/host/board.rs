//! What is known of all plugins, for whoever asks. Each plugin's task posts its own part.

use crate::{
    generation::Generation,
    report::{PluginReport, PluginState},
    shadow::Comparing,
};
use parking_lot::Mutex;
use std::{collections::BTreeMap, sync::Arc};
use tokio::sync::watch;

/// See the module.
pub(crate) struct Board {
    posted: Mutex<BTreeMap<String, Posted>>,
    reports: watch::Sender<Vec<PluginReport>>,
}

/// One plugin's part.
pub(super) struct Posted {
    pub(super) report: PluginReport,
    /// Counters of this moment come from here.
    pub(super) live: Option<Arc<Generation>>,
    pub(super) shadow: Option<Arc<Comparing>>,
}

impl Posted {
    fn now(&self) -> PluginReport {
        let mut report = self.report.clone();
        if let Some(live) = &self.live {
            report.calls = live.calls();
            report.load = live.load_now();
            report.metrics = live.metrics().report();
            report.metrics_ignored = live.metrics().ignored();
        }
        report.shadow = self.shadow.as_ref().map(|comparing| comparing.report());
        report
    }
}

impl Board {
    pub(super) fn new() -> Self {
        Self { posted: Mutex::default(), reports: watch::channel(Vec::new()).0 }
    }

    /// None: there is nothing of that name any more.
    pub(super) fn post(&self, name: &str, posted: Option<Posted>) {
        let mut all = self.posted.lock();
        match posted {
            Some(mut posted) => {
                // Not before something is worth compiling.
                posted.report.loading &= all.get(name).is_some_and(|before| before.report.loading);
                all.insert(name.to_owned(), posted);
            }
            None => drop(all.remove(name)),
        }
        self.tell(&all);
    }

    /// A plugin is being compiled, and `hooks` are those it will have.
    pub(super) fn loading(&self, name: &str, hooks: Vec<&'static str>) {
        let mut all = self.posted.lock();
        if let Some(posted) = all.get_mut(name) {
            posted.report.loading = true;
            if posted.report.state == PluginState::Starting {
                posted.report.hooks = hooks;
            }
        }
        self.tell(&all);
    }

    fn tell(&self, all: &BTreeMap<String, Posted>) {
        // Under the lock: what is told last is what holds.
        self.reports.send_replace(all.values().map(Posted::now).collect());
    }

    /// By name, with the counters of this moment.
    pub(super) fn now(&self) -> Vec<PluginReport> {
        self.posted.lock().values().map(Posted::now).collect()
    }

    /// Whenever a plugin comes, goes, is replaced or refused.
    pub(super) fn changes(&self) -> watch::Receiver<Vec<PluginReport>> {
        self.reports.subscribe()
    }

    /// The generation of that name that answers.
    pub(crate) fn live(&self, name: &str) -> Option<Arc<Generation>> {
        self.posted.lock().get(name)?.live.clone()
    }

    pub(super) fn names(&self) -> Vec<String> {
        self.posted.lock().keys().cloned().collect()
    }
}
