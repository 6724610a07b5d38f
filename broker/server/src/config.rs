//! `tidegate.toml`: a struct a section, defaults in one `Default` each, unknown keys refused with line and nearest key.

mod mistake;
mod transport;

pub use mistake::ConfigError;
pub use transport::{ClientCert, ListenerKind, Mode, UsernameFrom};

use crate::mailbox::QueueFull;
use serde::{Deserialize, Deserializer};
use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr},
    num::{NonZeroU16, NonZeroU32, NonZeroUsize},
    path::{Path, PathBuf},
    time::Duration,
};
use tidegate_mqtt::{QoS, TopicName};
use tidegate_plugin_host::{ByteSize, PluginConfig, duration};
use tidegate_store::{Durability, FjallOptions};
use transport::{Misplaced, Places};

/// The whole file.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Folder of the plugins, relative to the config file. Default `"plugins"`.
    pub plugin_dir: PathBuf,
    /// Folder of what the broker keeps, relative to the config file. Default `"data"`.
    pub data_dir: PathBuf,
    /// What a message is to survive before it is acknowledged: `"sync"`, a power cut; `"os"`, the end of the broker's process; `"none"`,
    /// nothing. Default sync.
    pub durability: Durability,
    /// What outlives the broker.
    pub store: StoreConfig,
    /// Whether clients that no plugin vouches for may come in. Default false with a config file, true without one.
    pub allow_anonymous: bool,
    /// Threads that serve connections. Default: one a core.
    pub workers: NonZeroUsize,
    /// Where clients come in. Default: one on 127.0.0.1:1883.
    #[serde(rename = "listener")]
    pub listeners: Vec<Listener>,
    /// What clients may ask for and use up.
    pub limits: Limits,
    /// What is told, and how.
    pub log: Log,
    /// Seconds between updates of `$SYS/broker/…`. 0: never. Default 10.
    pub sys_interval: u32,
    /// What happens when an acl plugin changed and a live subscription is not allowed any more: `"unsubscribe"` or, for MQTT 5 clients,
    /// `"disconnect"` (0x87). Default unsubscribe.
    pub on_revoked: OnRevoked,
    /// Another broker, `HOST:PORT`: told to clients when this one is full or stops (0x9C). Default: none.
    pub server_reference: Option<String>,
    /// Told to MQTT 5 clients that ask for Response Information; `%c` stands for the client identifier, `%u` for the user name. Default: none.
    pub response_information: Option<String>,
    /// One table a plugin, by file name without `.wasm`.
    #[serde(rename = "plugin")]
    pub plugins: BTreeMap<String, PluginConfig>,
    /// Whether there is no file: then nobody asked for a plugin folder either.
    #[serde(skip)]
    pub(crate) without_file: bool,
}

/// One way in.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct Listener {
    /// What is spoken below MQTT. Default: plain TCP.
    pub kind: ListenerKind,
    /// `IP:PORT`; port 0 takes any free one and says which. Every kind but `unix` needs it.
    pub address: Option<SocketAddr>,
    /// Of a Unix socket, relative to the config file.
    pub path: Option<PathBuf>,
    /// Who may connect to a Unix socket. Default `"660"`.
    pub mode: Option<Mode>,
    /// For logs and plugins. Default: kind and address or path.
    pub name: Option<String>,
    /// PEM file of the broker's certificate and those between it and a root, relative to the config file, as are all files.
    pub cert: Option<PathBuf>,
    /// PEM file of its private key.
    pub key: Option<PathBuf>,
    /// PEM file of those who sign certificates of clients.
    pub client_ca: Option<PathBuf>,
    /// Whether clients show certificates. Default: they are not asked.
    pub client_cert: Option<ClientCert>,
    /// PEM file of revocation lists: which certificates of clients hold no more.
    pub crl: Option<PathBuf>,
    /// What of a client's certificate replaces the user name in CONNECT. Default: nothing.
    pub username_from: Option<UsernameFrom>,
    /// Path of the WebSocket. Default `"/mqtt"`.
    pub ws_path: Option<String>,
    /// From whose pages a WebSocket may be opened. Default: from any.
    pub origins: Option<Vec<String>>,
    /// Whether a proxy says first who is behind it, in version 1 or 2 of the PROXY protocol. Default false.
    pub proxy_protocol: bool,
    /// Plugins that have to run before anybody comes in here, beside those that are `required`; the others may still be compiling, and
    /// their questions are answered with no until they are done. Default: all that lie in the folder at the start.
    pub requires: Option<Vec<String>>,
    /// Replaces `allow_anonymous` for those who come in here.
    pub allow_anonymous: Option<bool>,
    /// Replaces `durability` for those who come in here.
    pub durability: Option<Durability>,
    /// Stands before every topic of those who come in here, unseen by them: `"site-7/"`. Default: nothing.
    #[serde(deserialize_with = "mount_point")]
    pub mount_point: Option<TopicName>,
    /// Of this listener alone, beside those of all.
    pub max_connections: Option<usize>,
    /// Replaces the one in `[limits]`, as do all below.
    #[serde(deserialize_with = "some_duration")]
    pub connect_timeout: Option<Duration>,
    /// See [`Limits::max_handshakes`]; of this listener alone.
    pub max_handshakes: Option<usize>,
    /// See [`Limits::max_packet_size`].
    pub max_packet_size: Option<NonZeroU32>,
    /// See [`Limits::maximum_qos`].
    #[serde(deserialize_with = "some_qos")]
    pub maximum_qos: Option<QoS>,
    /// See [`Limits::retain_available`].
    pub retain_available: Option<bool>,
    /// See [`Limits::wildcard_subscription_available`].
    pub wildcard_subscription_available: Option<bool>,
    /// See [`Limits::subscription_identifiers_available`].
    pub subscription_identifiers_available: Option<bool>,
    /// See [`Limits::shared_subscription_available`].
    pub shared_subscription_available: Option<bool>,
    /// See [`Limits::receive_maximum`].
    pub receive_maximum: Option<NonZeroU16>,
    /// See [`Limits::max_inflight`].
    pub max_inflight: Option<NonZeroU16>,
    /// See [`Limits::topic_alias_maximum`].
    pub topic_alias_maximum: Option<u16>,
    /// See [`Limits::outgoing_topic_aliases`].
    pub outgoing_topic_aliases: Option<u16>,
    /// See [`Limits::max_session_expiry`].
    pub max_session_expiry: Option<u32>,
    /// See [`Limits::max_keep_alive`].
    pub max_keep_alive: Option<u16>,
    /// See [`Limits::assign_client_id`].
    pub assign_client_id: Option<bool>,
    /// See [`Limits::max_client_id_length`].
    pub max_client_id_length: Option<usize>,
    /// See [`Limits::max_subscriptions`].
    pub max_subscriptions: Option<usize>,
    /// See [`Limits::max_topic_levels`].
    pub max_topic_levels: Option<usize>,
    /// See [`Limits::max_topic_length`].
    pub max_topic_length: Option<usize>,
    /// See [`Limits::max_user_properties`].
    pub max_user_properties: Option<usize>,
    /// See [`Limits::max_will_size`].
    pub max_will_size: Option<usize>,
    /// See [`Limits::max_will_delay`].
    pub max_will_delay: Option<u32>,
}

impl Listener {
    /// A TCP listener without anything of its own.
    pub fn tcp(address: SocketAddr) -> Self {
        Self { address: Some(address), ..Self::default() }
    }

    /// What holds for those who come in here: `all`, but for what the listener says itself.
    pub fn limits(&self, all: &Limits) -> Limits {
        let mut limits = all.clone();
        macro_rules! replace {
            ($($key:ident),*) => { $(if let Some(own) = self.$key { limits.$key = own; })* };
        }
        replace!(
            max_connections,
            connect_timeout,
            max_handshakes,
            max_packet_size,
            maximum_qos,
            retain_available,
            wildcard_subscription_available,
            subscription_identifiers_available,
            shared_subscription_available,
            receive_maximum,
            max_inflight,
            topic_alias_maximum,
            outgoing_topic_aliases,
            max_session_expiry,
            max_keep_alive,
            assign_client_id,
            max_client_id_length,
            max_subscriptions,
            max_topic_levels,
            max_topic_length,
            max_user_properties,
            max_will_size,
            max_will_delay
        );
        limits
    }

    /// What logs and plugins call it.
    pub fn name(&self) -> String {
        self.name.clone().unwrap_or_else(|| format!("{} {}", self.kind.name(), self.place()))
    }
}

/// What clients may ask for and use up. Announced in CONNACK where MQTT 5 has a property for it.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Clients connected at once; more are refused with 0x97, or with 0x9C if there is a `server_reference`. Default 15,000.
    pub max_connections: usize,
    /// Time for a client to get its handshakes and its CONNECT across. Default `"10s"`.
    #[serde(deserialize_with = "duration")]
    pub connect_timeout: Duration,
    /// Connections at once that have not come so far; more are closed at once. Default 10,000.
    pub max_handshakes: usize,
    /// Bytes of the largest packet a client may send (0x95). Default 1 MiB.
    pub max_packet_size: NonZeroU32,
    /// Bytes of half-sent packets of all clients together; who sends more is disconnected (0x97). Default 256 MiB.
    pub max_incoming_bytes_total: ByteSize,
    /// Highest QoS of a PUBLISH or will from a client: 0, 1 or 2 (0x9B). Default 2.
    #[serde(deserialize_with = "qos")]
    pub maximum_qos: QoS,
    /// Whether clients may send retained messages (0x9A). Default true.
    pub retain_available: bool,
    /// Whether filters may have wildcards (0xA2). Default true.
    pub wildcard_subscription_available: bool,
    /// Whether subscriptions may have identifiers (0xA1). Default true.
    pub subscription_identifiers_available: bool,
    /// Whether there are `$share/…` and `$queue/…` (0x9E). Default true.
    pub shared_subscription_available: bool,
    /// QoS 1 and 2 messages a client may have open at once (0x93 in MQTT 5). Default 1,024.
    pub receive_maximum: NonZeroU16,
    /// QoS 1 and 2 messages on their way to one client at once, even if it takes more. Default 1,024.
    pub max_inflight: NonZeroU16,
    /// Topic aliases a client may use (0x94). Default 32.
    pub topic_alias_maximum: u16,
    /// Topic aliases the broker uses towards a client that takes as many. Default 32.
    pub outgoing_topic_aliases: u16,
    /// Longest session expiry in seconds; longer wishes are cut. Default 4294967295: for ever.
    pub max_session_expiry: u32,
    /// Longest keep alive in seconds; longer or none are cut in MQTT 5. 0: any. Default 0.
    pub max_keep_alive: u16,
    /// Whether a client without a client identifier is given one; else it is refused (0x85). Default true.
    pub assign_client_id: bool,
    /// Bytes of a client identifier (0x85). Default 65,535: any.
    pub max_client_id_length: usize,
    /// Subscriptions of one client (0x97). Default 1,000.
    pub max_subscriptions: usize,
    /// Levels of a topic or filter (0x8F, 0x90). Default 128.
    pub max_topic_levels: usize,
    /// Bytes of a topic or filter (0x8F, 0x90). Default 65,535: any.
    pub max_topic_length: usize,
    /// User properties of one packet (0x97). Default 256.
    pub max_user_properties: usize,
    /// Bytes of a will's payload (0x95). Default 65,535: any.
    pub max_will_size: usize,
    /// Longest will delay in seconds; longer ones are cut. Default 4294967295: any.
    pub max_will_delay: u32,
    /// Messages that wait for one session. Default 10,000.
    pub max_queued_messages: usize,
    /// Bytes that wait for one session. Default 32 MiB.
    pub max_queued_bytes: ByteSize,
    /// Bytes that wait for all sessions together. Default 1 GiB.
    pub max_queued_bytes_total: ByteSize,
    /// What happens to QoS 1 and 2 messages beyond: `"drop-newest"`, `"drop-oldest"` or `"disconnect"`. QoS 0 is dropped.
    pub queue_full: QueueFull,
    /// Retained messages (0x97). Default 1,000,000.
    pub max_retained_messages: usize,
    /// Bytes of retained messages (0x97). Default 1 GiB.
    pub max_retained_bytes: ByteSize,
    /// Events that wait for one plugin; the oldest are dropped beyond. Default 10,000.
    pub max_queued_events: usize,
    /// Messages published by plugins that wait to be taken in; more are answered `busy`. Default 10,000.
    pub max_plugin_messages: NonZeroUsize,
}

/// What a subscription that is not allowed any more means for its client.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "kebab-case")]
pub enum OnRevoked {
    /// The subscription ends; the client is told nothing, since MQTT has no word for it.
    #[default]
    Unsubscribe,
    /// The subscription ends, and the connection with it (0x87). Before MQTT 5 as above.
    Disconnect,
}

/// What outlives the broker, and where it lies.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct StoreConfig {
    /// `"disk"`: in the folder `store` of `data_dir`; `"memory"`: nowhere, sessions end with the broker; `"plugin"`: wherever a plugin keeps
    /// it. Default disk.
    pub engine: Engine,
    /// Name of the plugin that exports `storage`, for that engine.
    pub plugin: Option<String>,
    /// Bytes of the disk that messages leave free (0x97), so that what makes room can be written. Default 64 MiB.
    pub reserve: ByteSize,
    /// Bytes that are written to the journal before they become tables; about as much is kept in memory, up to four times if the disk is
    /// slow. Default 8 MiB.
    pub journal: ByteSize,
}

impl Default for StoreConfig {
    fn default() -> Self {
        Self { engine: Engine::Disk, plugin: None, reserve: ByteSize(64 << 20), journal: ByteSize(8 << 20) }
    }
}

impl StoreConfig {
    /// Of the built-in engine.
    pub(crate) fn fjall(&self) -> FjallOptions {
        let (reserve, journal) = (self.reserve.bytes() as u64, self.journal.bytes() as u64);
        FjallOptions { reserve, journal, ..FjallOptions::default() }
    }
}

/// Where sessions and messages are stored.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "kebab-case")]
pub enum Engine {
    /// In the data folder.
    #[default]
    Disk,
    /// In memory: sessions outlive their connections, but not the broker.
    Memory,
    /// By a plugin.
    Plugin,
}

/// What is told, and how.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// `"text"` or `"json"`. Default text.
    pub format: LogFormat,
    /// `"error"`, `"warn"`, `"info"`, `"debug"`, `"trace"`, or directives such as `"info,tidegate=debug"`. Default info.
    pub level: Option<String>,
}

/// How a log line looks.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "kebab-case")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// An object a line.
    Json,
}

fn qos<'de, D: Deserializer<'de>>(deserializer: D) -> Result<QoS, D::Error> {
    let number = u8::deserialize(deserializer)?;
    QoS::try_from(number).map_err(|_| serde::de::Error::custom("a QoS is 0, 1 or 2"))
}

fn mount_point<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<TopicName>, D::Error> {
    let text = String::deserialize(deserializer)?;
    let wrong = |error| {
        serde::de::Error::custom(format!(
            "mount point {text:?}: {error}; write the beginning of a topic, such as \"site-7/\""
        ))
    };
    TopicName::new(&text).map(Some).map_err(wrong)
}

fn some_qos<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<QoS>, D::Error> {
    qos(deserializer).map(Some)
}

fn some_duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    duration(deserializer).map(Some)
}

impl Default for Config {
    fn default() -> Self {
        Self {
            plugin_dir: "plugins".into(),
            data_dir: "data".into(),
            durability: Durability::default(),
            store: StoreConfig::default(),
            allow_anonymous: false,
            workers: std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN),
            listeners: vec![Listener::tcp((Ipv4Addr::LOCALHOST, 1883).into())],
            limits: Limits::default(),
            log: Log::default(),
            sys_interval: 10,
            on_revoked: OnRevoked::default(),
            server_reference: None,
            response_information: None,
            plugins: BTreeMap::new(),
            without_file: false,
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_connections: 15_000,
            connect_timeout: Duration::from_secs(10),
            max_handshakes: 10_000,
            max_packet_size: const { NonZeroU32::new(1 << 20).unwrap() },
            max_incoming_bytes_total: ByteSize::mib(256),
            maximum_qos: QoS::ExactlyOnce,
            retain_available: true,
            wildcard_subscription_available: true,
            subscription_identifiers_available: true,
            shared_subscription_available: true,
            receive_maximum: const { NonZeroU16::new(1024).unwrap() },
            max_inflight: const { NonZeroU16::new(1024).unwrap() },
            topic_alias_maximum: 32,
            outgoing_topic_aliases: 32,
            max_session_expiry: u32::MAX,
            max_keep_alive: 0,
            assign_client_id: true,
            max_client_id_length: u16::MAX.into(),
            max_subscriptions: 1_000,
            max_topic_levels: 128,
            max_topic_length: u16::MAX.into(),
            max_user_properties: 256,
            max_will_size: u16::MAX.into(),
            max_will_delay: u32::MAX,
            max_queued_messages: 10_000,
            max_queued_bytes: ByteSize::mib(32),
            max_queued_bytes_total: ByteSize::mib(1024),
            queue_full: QueueFull::DropNewest,
            max_retained_messages: 1_000_000,
            max_retained_bytes: ByteSize::mib(1024),
            max_queued_events: 10_000,
            max_plugin_messages: const { NonZeroUsize::new(10_000).unwrap() },
        }
    }
}

impl Config {
    /// Reads a file; folders in it become relative to where it lies.
    ///
    /// # Errors
    /// [`ConfigError`]: one line that names file, line, key and remedy.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| ConfigError::Unreadable { path: path.into(), error })?;
        let mut config = Self::parse(&text, path)?;
        let beside = path.parent().unwrap_or(Path::new(""));
        config.plugin_dir = beside.join(&config.plugin_dir);
        config.data_dir = beside.join(&config.data_dir);
        for listener in &mut config.listeners {
            listener.lies_beside(beside);
        }
        for plugin in config.plugins.values_mut() {
            plugin.lies_beside(beside);
        }
        Ok(config)
    }

    /// Takes the text of a file apart. `path` is for errors only.
    ///
    /// # Errors
    /// As [`Config::read`].
    pub fn parse(text: &str, path: &Path) -> Result<Self, ConfigError> {
        let config: Self = toml::from_str(text).map_err(|error| ConfigError::mistake(path, text, &error))?;
        if config.listeners.is_empty() {
            return Err(ConfigError::NoListener { path: path.into() });
        }
        for (index, listener) in config.listeners.iter().enumerate() {
            listener.check().map_err(|Misplaced { key, what }| {
                ConfigError::at(path, text, Places::of(text, index, key), what)
            })?;
        }
        Ok(config)
    }

    /// Whether anything but the tables of plugins differs.
    pub(crate) fn differs_beside_plugins(&self, other: &Self) -> bool {
        let beside = |config: &Self| Self { plugins: BTreeMap::new(), ..config.clone() };
        beside(self) != beside(other)
    }

    /// What holds without a file: loopback only, anonymous.
    pub fn without_file() -> Self {
        Self { allow_anonymous: true, without_file: true, ..Self::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mistake(text: &str) -> String {
        Config::parse(text, Path::new("tidegate.toml")).unwrap_err().to_string()
    }

    #[test]
    fn an_unknown_key_is_refused_with_line_and_nearest_key() {
        assert_eq!(
            mistake("data_dir = \"d\"\nplugin_dri = \"p\"\n"),
            "tidegate.toml:2: unknown key \"plugin_dri\"; did you mean \"plugin_dir\"?"
        );
        let nested =
            mistake("[[listener]]\nkind = \"tcp\"\nadress = \"127.0.0.1:1\"\naddress = \"127.0.0.1:1\"\n");
        assert_eq!(nested, "tidegate.toml:3: unknown key \"adress\"; did you mean \"address\"?");
        let plugin = mistake("\n\n[plugin.passwd]\nrequird = true\n");
        assert_eq!(plugin, "tidegate.toml:4: unknown key \"requird\"; did you mean \"required\"?");
        let far = mistake("xyzzy = 1\n");
        assert!(far.starts_with("tidegate.toml:1: unknown key \"xyzzy\"; known here: "), "{far}");
    }

    #[test]
    fn a_wrong_value_is_refused_with_its_line() {
        let kind = mistake("[[listener]]\nkind = \"udp\"\naddress = \"127.0.0.1:1\"\n");
        assert!(kind.starts_with("tidegate.toml:2: unknown value \"udp\""), "{kind}");
        let syntax = mistake("plugin_dir = \n");
        assert!(syntax.starts_with("tidegate.toml:1: "), "{syntax}");
        assert!(!syntax.contains('\n'), "{syntax}");
        let address = mistake("[[listener]]\naddress = \"localhost\"\n");
        assert!(address.starts_with("tidegate.toml:2: "), "{address}");
        let missing = mistake("[[listener]]\nkind = \"tcp\"\n");
        assert_eq!(missing, "tidegate.toml:1: tcp needs an address: address = \"127.0.0.1:1883\"");
    }

    #[test]
    fn keys_of_a_listener_that_do_not_go_together_are_refused_with_line_and_remedy() {
        let at = |kind: &str, rest: &str| {
            let address = if kind == "unix" { "" } else { "address = \"127.0.0.1:0\"\n" };
            let first = "[[listener]]\naddress = \"127.0.0.1:0\"\n";
            mistake(&format!("{first}[[listener]]\nkind = \"{kind}\"\n{address}{rest}"))
        };
        let pair = "cert = \"c\"\nkey = \"k\"\n";
        let cases = [
            (at("unix", ""), "3: unix needs the path of its socket"),
            (at("unix", "path = \"s\"\naddress = \"127.0.0.1:1\""), "6: address is not for unix"),
            (at("unix", "path = \"s\"\nmode = \"999\""), "6: mode \"999\"; write three octal digits"),
            (at("tcp", "path = \"/mqtt\""), "6: path is for kind = \"unix\" only; a WebSocket has a ws_path"),
            (at("tcp", "mode = \"660\""), "6: mode is for kind = \"unix\" only"),
            (at("tcp", pair), "6: cert is for kind = \"tls\" and \"wss\" only"),
            (at("tcp", "ws_path = \"/mqtt\""), "6: ws_path is for kind = \"ws\" and \"wss\" only"),
            (at("tls", "origins = []"), "6: origins is for kind = \"ws\" and \"wss\" only"),
            (at("tls", ""), "3: tls needs a certificate"),
            (at("wss", "cert = \"c\""), "3: wss needs the private key"),
            (at("tls", &format!("{pair}client_cert = \"required\"")), "8: client_cert needs who signs"),
            (at("tls", &format!("{pair}client_ca = \"a\"")), "8: client_ca is for certificates of clients"),
            (at("tls", &format!("{pair}crl = \"a\"")), "8: crl is for certificates of clients"),
            (at("tls", &format!("{pair}username_from = \"san\"")), "8: username_from needs certificates"),
            (at("ws", "username_from = \"san\""), "6: username_from needs certificates"),
            (at("ws", "ws_path = \"mqtt\""), "6: ws_path begins with a slash"),
            (at("wss", "client_cert = \"maybe\""), "6: unknown value \"maybe\""),
        ];
        for (mistake, expected) in cases {
            let expected = format!("tidegate.toml:{expected}");
            assert!(mistake.starts_with(&expected), "{mistake}, not {expected}");
        }
    }

    #[test]
    fn files_of_a_listener_lie_beside_the_config() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("tidegate.toml");
        let text = "[[listener]]\nkind = \"tls\"\naddress = \"[::1]:0\"\ncert = \"c\"\nkey = \"/k\"\n\
                    [[listener]]\nkind = \"unix\"\npath = \"s\"\n";
        std::fs::write(&file, text).unwrap();
        let config = Config::read(&file).unwrap();
        assert_eq!(config.listeners[0].cert, Some(folder.path().join("c")));
        assert_eq!(config.listeners[0].key, Some("/k".into()));
        assert_eq!(config.listeners[1].name(), format!("unix {}", folder.path().join("s").display()));
    }

    #[test]
    fn an_empty_file_is_loopback_only_and_lets_nobody_in_unasked() {
        let config = Config::parse("", Path::new("tidegate.toml")).unwrap();
        assert!(!config.listeners.iter().any(Listener::is_open_to_others));
        assert!(!config.allow_anonymous);
        assert!(Config::without_file().allow_anonymous);
    }

    #[test]
    fn every_key_is_read() {
        let text = r#"
            plugin_dir = "p"
            data_dir = "d"
            allow_anonymous = true
            workers = 3
            sys_interval = 0
            on_revoked = "disconnect"
            server_reference = "other.example:1883"
            response_information = "responses/%c"
            [[listener]]
            kind = "tcp"
            address = "[::1]:1884"
            name = "inside"
            allow_anonymous = false
            mount_point = "site-7/"
            requires = ["stamp"]
            connect_timeout = "1s"
            maximum_qos = 1
            [[listener]]
            kind = "wss"
            address = "127.0.0.1:0"
            cert = "cert.pem"
            key = "key.pem"
            client_ca = "ca.pem"
            client_cert = "optional"
            crl = "crl.pem"
            username_from = "common-name"
            ws_path = "/"
            origins = ["https://example.org"]
            proxy_protocol = true
            [[listener]]
            kind = "unix"
            path = "socket"
            mode = "600"
            [limits]
            max_connections = 1
            connect_timeout = "2s"
            max_packet_size = 100
            receive_maximum = 2
            max_inflight = 3
            topic_alias_maximum = 4
            outgoing_topic_aliases = 14
            max_handshakes = 15
            max_incoming_bytes_total = "16MiB"
            maximum_qos = 0
            retain_available = false
            wildcard_subscription_available = false
            subscription_identifiers_available = false
            shared_subscription_available = false
            assign_client_id = false
            max_client_id_length = 17
            max_topic_length = 18
            max_user_properties = 19
            max_will_size = 20
            max_will_delay = 21
            max_session_expiry = 5
            max_keep_alive = 6
            max_subscriptions = 7
            max_topic_levels = 8
            max_queued_messages = 9
            max_queued_bytes = "10KiB"
            max_queued_bytes_total = "11MiB"
            queue_full = "drop-oldest"
            max_retained_messages = 12
            max_retained_bytes = "13MiB"
            max_queued_events = 22
            max_plugin_messages = 23
            [log]
            format = "json"
            level = "debug"
            [plugin.stamp]
            order = 5
        "#;
        let config = Config::parse(text, Path::new("tidegate.toml")).unwrap();
        assert_eq!(config.listeners[0].name(), "inside");
        assert_eq!(config.listeners[1].username_from, Some(UsernameFrom::CommonName));
        assert_eq!(config.listeners[2].mode, Some(Mode(0o600)));
        assert_eq!(config.limits.connect_timeout, Duration::from_secs(2));
        assert_eq!(config.limits.maximum_qos, QoS::AtMostOnce);
        let inside = config.listeners[0].limits(&config.limits);
        assert_eq!((inside.connect_timeout, inside.maximum_qos), (Duration::from_secs(1), QoS::AtLeastOnce));
        assert_eq!(inside.max_will_delay, 21);
        assert_eq!(config.limits.queue_full, QueueFull::DropOldest);
        assert_eq!(config.log.format, LogFormat::Json);
        assert_eq!(config.plugins["stamp"].order, 5);
    }
}
