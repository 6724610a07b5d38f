//! A folder with plugins, a host on it, and a chain to ask.

use crate::logs;
use std::{collections::BTreeMap, fs, path::PathBuf, sync::Arc, time::Duration};
use tempfile::TempDir;
use tidegate_hooks::{
    AclRequest, Action, AuthOutcome, AuthRefusal, Authenticated, Authorization, ConnectRequest, HookFailed,
    HookRegistry, Permissions, PublishOutcome, PublishRefusal, PublishRequest,
};
use tidegate_mqtt::{ConnectProperties, QoS, SessionId, Timestamp, Version};
use tidegate_plugin_host::{Access, HostError, HostOptions, PluginConfig, PluginHost, PluginReport, WaitFor};

/// Long enough for the slowest machine; nobody waits for it if all is well.
const PATIENCE: Duration = Duration::from_secs(60);

pub struct Place {
    pub folder: TempDir,
    pub registry: Arc<HookRegistry>,
    pub plugins: BTreeMap<String, PluginConfig>,
    pub workers: usize,
    pub wait_for: WaitFor,
    pub access: Access,
}

impl Place {
    pub fn new() -> Self {
        logs::record();
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("plugins")).unwrap();
        let registry = Arc::new(HookRegistry::new());
        Self {
            folder,
            registry,
            plugins: BTreeMap::new(),
            workers: 2,
            wait_for: WaitFor::All,
            access: Access::default(),
        }
    }

    pub fn with(file: &str, bytes: &[u8]) -> Self {
        let place = Self::new();
        place.write(file, bytes);
        place
    }

    pub fn table(mut self, plugin: &str, table: &str) -> Self {
        self.plugins.insert(plugin.into(), toml::from_str(table).unwrap());
        self
    }

    pub fn path(&self, file: &str) -> PathBuf {
        self.folder.path().join("plugins").join(file)
    }

    pub fn write(&self, file: &str, bytes: impl AsRef<[u8]>) {
        fs::write(self.path(file), bytes).unwrap();
    }

    pub fn options(&self) -> HostOptions {
        HostOptions {
            plugin_dir: self.folder.path().join("plugins"),
            data_dir: self.folder.path().join("data"),
            plugins: self.plugins.clone(),
            registry: self.registry.clone(),
            broker_version: "1.2.3".into(),
            workers: self.workers,
            access: self.access.clone(),
            engines: None,
            wait_for: self.wait_for.clone(),
        }
    }

    pub async fn try_start(&self) -> Result<(PluginHost, Vec<PluginReport>), HostError> {
        PluginHost::start(self.options()).await
    }

    pub async fn start(&self) -> PluginHost {
        self.try_start().await.unwrap().0
    }

    pub async fn publish(&self, topic: &str) -> Result<PublishOutcome, PublishRefusal> {
        let request = PublishRequest {
            session: SessionId(7),
            client_id: "client",
            username: Some("user"),
            topic,
            qos: QoS::AtLeastOnce,
            retain: false,
            payload: b"hello world",
            properties: None,
            attributes: &tidegate_hooks::NO_ATTRIBUTES,
            origin: None,
        };
        let chain = self.registry.chain_full();
        chain.on_publish(&chain.publish_scope(topic), &request).await
    }

    /// The topic that the message got.
    pub async fn edited(&self, topic: &str) -> String {
        match self.publish(topic).await.unwrap() {
            PublishOutcome::Edited(patch) => patch.topic.unwrap().to_string(),
            outcome => panic!("{outcome:?}"),
        }
    }

    /// The fault, as text.
    pub async fn fault(&self, topic: &str) -> String {
        self.publish(topic).await.unwrap_err().fault.unwrap().kind.to_string()
    }

    pub async fn authorize(&self, action: Action, topic: &str) -> Result<Authorization, HookFailed> {
        let request = AclRequest {
            session: SessionId(7),
            client_id: "client",
            username: Some("user"),
            action,
            topic,
            qos: QoS::AtMostOnce,
            retain: false,
            attributes: &tidegate_hooks::NO_ATTRIBUTES,
        };
        let chain = self.registry.chain_full();
        chain.authorize(&mut Permissions::default(), &request, Timestamp::default()).await
    }

    pub async fn authenticate(&self, username: &str) -> Result<Authenticated, AuthRefusal> {
        let properties = ConnectProperties::default();
        let request = ConnectRequest {
            session: SessionId(7),
            client_id: "client",
            username: Some(username),
            password: Some(b"secret"),
            version: Version::V5,
            clean_start: true,
            keep_alive: 60,
            listener: "tcp",
            peer: "127.0.0.1:1",
            allow_anonymous: true,
            tls_subject: None,
            tls_sans: &[],
            tls_username: false,
            properties: &properties,
        };
        self.registry.chain_full().authenticate(&request).await.map(|outcome| match outcome {
            AuthOutcome::In(authenticated) => *authenticated,
            other => panic!("{other:?}"),
        })
    }
}

/// Waits until the reports are as wanted.
pub async fn until(host: &PluginHost, wanted: impl Fn(&[PluginReport]) -> bool) -> Vec<PluginReport> {
    let mut changes = host.changes();
    let reports = tokio::time::timeout(PATIENCE, changes.wait_for(|reports| wanted(reports))).await;
    reports.unwrap_or_else(|_| panic!("still {:#?}", host.reports())).unwrap().clone()
}

/// Waits until the plugin `name` answers as that generation.
pub async fn generation(host: &PluginHost, name: &str, number: u64) -> PluginReport {
    let is = |report: &PluginReport| {
        report.name == name && report.generation == number && report.problem.is_none()
    };
    let reports = until(host, |reports| reports.iter().any(is)).await;
    reports.into_iter().find(is).unwrap()
}
