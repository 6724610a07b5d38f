//! A broker in this process, with native hooks in its chain, and clients that come over a socket.
#![allow(dead_code, reason = "each test binary uses its own part")]

use std::{
    net::SocketAddr,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};
use tidegate::{
    Broker, Config,
    hooks::{HookRegistry, Hooks, Member},
};
use tidegate_mqtt::{ConnAck, Connect, Packet, ReasonCode, Version};
use tidegate_tests::{Client, PATIENCE, connect};

/// Stopped when it is dropped.
pub(crate) struct Embedded {
    pub(crate) address: SocketAddr,
    runtime: tokio::runtime::Runtime,
    broker: Option<Broker>,
    _folder: tempfile::TempDir,
}

impl Embedded {
    /// Lets in whom the hooks let in.
    pub(crate) fn start() -> Self {
        Self::with("")
    }

    /// Lets everybody in whom no hook refuses.
    pub(crate) fn open() -> Self {
        Self::with("allow_anonymous = true\n")
    }

    /// With these lines before the listener's.
    pub(crate) fn with(config: &str) -> Self {
        Self::with_hooks(config, HookRegistry::new())
    }

    /// With hooks that are there from the beginning.
    pub(crate) fn with_hooks(config: &str, hooks: HookRegistry) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let text = format!("sys_interval = 1\n{config}\n[[listener]]\naddress = \"127.0.0.1:0\"\n");
        let mut config = Config::parse(&text, Path::new("tidegate.toml")).unwrap();
        config.data_dir = folder.path().join("data");
        config.plugin_dir = folder.path().join("plugins");
        std::fs::create_dir(&config.plugin_dir).unwrap();
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let broker = runtime.block_on(Broker::start_with(config, Arc::new(hooks))).unwrap();
        Self { address: broker.addresses()[0], runtime, broker: Some(broker), _folder: folder }
    }

    /// Puts `hooks` into the chain.
    pub(crate) fn install(&self, name: &str, hooks: Arc<dyn Hooks>) {
        self.install_member(&Member::new(name, hooks));
    }

    pub(crate) fn install_member(&self, member: &Member) {
        self.broker().hooks().install(member);
    }

    pub(crate) fn remove(&self, name: &str) {
        self.broker().hooks().remove(name);
    }

    fn broker(&self) -> &Broker {
        self.broker.as_ref().unwrap()
    }

    /// A client that is in.
    pub(crate) fn client(&self, version: Version, client_id: &str) -> Client {
        let (client, connack) = self.connect(connect(version, client_id));
        assert_eq!(connack.reason, ReasonCode::Success, "{client_id}");
        client
    }

    /// A client that has sent this, and what it got for it.
    pub(crate) fn connect(&self, connect: Connect) -> (Client, ConnAck) {
        let mut client = Client::open(self.address, connect.version);
        client.send(&Packet::Connect(Box::new(connect)));
        let connack = client.expect_connack();
        (client, connack)
    }

    /// Stops the broker, and waits for that.
    pub(crate) fn stop(&mut self) {
        if let Some(broker) = self.broker.take() {
            self.runtime.block_on(broker.stop());
        }
    }
}

impl Drop for Embedded {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Waits until it holds.
pub(crate) fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "{what}: not in time");
        std::thread::sleep(Duration::from_millis(2));
    }
}
