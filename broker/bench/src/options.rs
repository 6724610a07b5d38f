//! What a user may ask for.

use clap::{Args, Subcommand, ValueEnum};
use serde::Serialize;
use std::{num::NonZeroU64, path::PathBuf, time::Duration};
use tidegate_mqtt::{QoS, Version};

/// Put load on any MQTT broker, and say what came of it.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit code: 0 all is well; 1 no figures; 2 wrong options; 3 messages lost, doubled, out of order; 130 interrupted"
)]
pub struct Options {
    #[command(subcommand)]
    pub(crate) scenario: Scenario,
}

/// What the clients do.
#[derive(Debug, Subcommand)]
pub(crate) enum Scenario {
    /// Pairs: each publisher has a topic and a subscriber of its own. 20 pairs unless told
    P2p(Exchange),
    /// Few publish, each of many gets all of it. 1 publisher and 200 subscribers unless told
    Fanout(Exchange),
    /// Many publish, few get all of it, by a wildcard. 100 publishers and 1 subscriber unless told
    Fanin(Exchange),
    /// Many publish, a group shares the work ($share). 20 publishers and 20 members unless told
    Shared(Exchange),
    /// Clients connect and subscribe, a bounded number at once, and may stay idle
    Connect(Connect),
    /// Messages are retained, then subscribers ask for all of them; at the end they are cleared
    Retained(Retained),
    /// Clients subscribe and unsubscribe, others may exchange messages meanwhile
    Churn(Churn),
    /// Messages wait for clients that are away, and come when they return; at the end the sessions are removed
    Offline(Offline),
    /// All clients are cut off and return at once, while others exchange messages
    Storm(Storm),
}

impl Scenario {
    /// None if it has no messages.
    pub(crate) fn payload(&self) -> Option<Payload> {
        match self {
            Self::P2p(options) | Self::Fanout(options) | Self::Fanin(options) | Self::Shared(options) => {
                Some(options.messages.payload)
            }
            Self::Churn(options) => Some(options.traffic.messages.payload),
            Self::Storm(options) => Some(options.traffic.messages.payload),
            Self::Retained(options) => Some(options.payload),
            Self::Offline(options) => Some(options.payload),
            Self::Connect(_) => None,
        }
    }
}

/// Options of scenarios whose clients exchange messages.
#[derive(Clone, Debug, Args, Serialize)]
pub(crate) struct Exchange {
    #[command(flatten)]
    pub(crate) connection: Connection,
    #[command(flatten)]
    #[serde(flatten)]
    pub(crate) sides: Sides,
    #[command(flatten)]
    #[serde(flatten)]
    pub(crate) messages: Messages,
    #[command(flatten)]
    #[serde(flatten)]
    pub(crate) pacing: Pacing,
    #[command(flatten)]
    #[serde(flatten)]
    pub(crate) span: Span,
    #[command(flatten)]
    #[serde(skip)]
    pub(crate) output: Output,
}

/// Options of `connect`.
#[derive(Clone, Debug, Args, Serialize)]
pub(crate) struct Connect {
    #[command(flatten)]
    pub(crate) connection: Connection,
    /// Clients that connect and subscribe to a topic each
    #[arg(long, value_name = "N", default_value = "1000", value_parser = clients, help_heading = "Load")]
    pub(crate) clients: u32,
    /// Clients that are between their first packet and SUBACK at the same time, at most
    #[arg(long, value_name = "N", default_value = "100", value_parser = clients, help_heading = "Load")]
    pub(crate) at_once: u32,
    /// Then keep the connections open so long and do nothing
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = time, help_heading = "Load")]
    #[serde(serialize_with = "as_seconds")]
    pub(crate) idle: Duration,
    #[command(flatten)]
    #[serde(skip)]
    pub(crate) output: Output,
}

/// Options of `retained`.
#[derive(Clone, Debug, Args, Serialize)]
pub(crate) struct Retained {
    #[command(flatten)]
    pub(crate) connection: Connection,
    /// Messages to retain, each on a topic of its own
    #[arg(long, value_name = "N", default_value = "1000", value_parser = clients, help_heading = "Load")]
    pub(crate) messages: u32,
    /// Clients that ask for all of them, at the same time
    #[arg(long, value_name = "N", default_value = "1", value_parser = clients, help_heading = "Load")]
    pub(crate) subscribers: u32,
    /// Quality of service, of messages and subscriptions
    #[arg(long, value_name = "0|1|2", default_value = "1", value_parser = qos, help_heading = "Load")]
    #[serde(serialize_with = "qos_as_number")]
    pub(crate) qos: QoS,
    #[command(flatten)]
    #[serde(flatten)]
    pub(crate) payload: Payload,
    /// Messages that are published and not acknowledged yet, at most; 100 unless told, 20 at QoS 2
    #[arg(long, value_name = "N", help_heading = "Load",
          value_parser = clap::value_parser!(u64).range(1..=65_535))]
    pub(crate) window: Option<u64>,
    #[command(flatten)]
    #[serde(skip)]
    pub(crate) output: Output,
}

/// Options of `churn`.
#[derive(Clone, Debug, Args, Serialize)]
pub(crate) struct Churn {
    #[command(flatten)]
    pub(crate) connection: Connection,
    /// Clients that subscribe and unsubscribe
    #[arg(long, value_name = "N", default_value = "100", value_parser = clients, help_heading = "Load")]
    pub(crate) clients: u32,
    /// Filters of a client, taken in turns
    #[arg(long, value_name = "N", default_value = "10", value_parser = clients, help_heading = "Load")]
    pub(crate) filters: u32,
    /// Send so many SUBSCRIBE and UNSUBSCRIBE a second, all clients together; as many as are answered unless told
    #[arg(long, value_name = "N", help_heading = "Load")]
    pub(crate) rate: Option<NonZeroU64>,
    #[command(flatten)]
    #[serde(flatten)]
    pub(crate) span: Span,
    /// Pairs of a publisher and a subscriber that exchange messages meanwhile
    #[arg(long, value_name = "N", default_value = "0", help_heading = "Bystanders")]
    pub(crate) bystanders: u32,
    #[command(flatten)]
    #[serde(flatten)]
    pub(crate) traffic: Bystanders,
    #[command(flatten)]
    #[serde(skip)]
    pub(crate) output: Output,
}

/// Options of `offline`.
#[derive(Clone, Debug, Args, Serialize)]
pub(crate) struct Offline {
    #[command(flatten)]
    pub(crate) connection: Connection,
    /// Clients whose sessions stay while they are away
    #[arg(long, value_name = "N", default_value = "100", value_parser = clients, help_heading = "Load")]
    pub(crate) clients: u32,
    /// Messages that wait for each of them
    #[arg(long, value_name = "N", default_value = "100", value_parser = clients, help_heading = "Load")]
    pub(crate) messages: u32,
    /// Clients that publish
    #[arg(long, value_name = "N", default_value = "10", value_parser = clients, help_heading = "Load")]
    pub(crate) publishers: u32,
    /// Quality of service, of messages and subscriptions
    #[arg(long, value_name = "1|2", default_value = "1", value_parser = kept_qos, help_heading = "Load")]
    #[serde(serialize_with = "qos_as_number")]
    pub(crate) qos: QoS,
    #[command(flatten)]
    #[serde(flatten)]
    pub(crate) payload: Payload,
    /// Messages of a publisher that are not acknowledged yet, at most; 100 unless told, 20 at QoS 2
    #[arg(long, value_name = "N", help_heading = "Load",
          value_parser = clap::value_parser!(u64).range(1..=65_535))]
    pub(crate) window: Option<u64>,
    #[command(flatten)]
    #[serde(skip)]
    pub(crate) output: Output,
}

/// Options of `storm`.
#[derive(Clone, Debug, Args, Serialize)]
pub(crate) struct Storm {
    #[command(flatten)]
    pub(crate) connection: Connection,
    /// Clients that are cut off and return; their sessions stay
    #[arg(long, value_name = "N", default_value = "1000", value_parser = clients, help_heading = "Load")]
    pub(crate) clients: u32,
    /// Clients that are between their first packet and CONNACK at the same time; all unless told
    #[arg(long, value_name = "N", value_parser = clients, help_heading = "Load")]
    pub(crate) at_once: Option<u32>,
    #[command(flatten)]
    #[serde(flatten)]
    pub(crate) span: Span,
    /// Pairs of a publisher and a subscriber that exchange messages meanwhile
    #[arg(long, value_name = "N", default_value = "10", value_parser = clients, help_heading = "Bystanders")]
    pub(crate) bystanders: u32,
    #[command(flatten)]
    #[serde(flatten)]
    pub(crate) traffic: Bystanders,
    #[command(flatten)]
    #[serde(skip)]
    pub(crate) output: Output,
}

/// What bystanders exchange.
#[derive(Clone, Debug, Args, Serialize)]
#[command(next_help_heading = "Bystanders")]
pub(crate) struct Bystanders {
    /// Messages a second, of all bystanders together
    #[arg(long, value_name = "N", default_value = "1000")]
    pub(crate) bystander_rate: NonZeroU64,
    #[command(flatten)]
    #[serde(flatten)]
    pub(crate) messages: Messages,
}

/// Where the broker is and how to get in.
#[derive(Clone, Debug, Args, Serialize)]
#[command(next_help_heading = "Connection")]
pub(crate) struct Connection {
    /// Where the broker listens: mqtt://HOST:PORT, mqtts://, ws://HOST:PORT/PATH (/mqtt unless told) or wss://
    #[arg(long, value_name = "URL", default_value = "mqtt://127.0.0.1:1883")]
    pub(crate) url: String,
    /// Version of MQTT
    #[arg(long, value_name = "VERSION", default_value = "5")]
    pub(crate) mqtt: Mqtt,
    /// Begin client identifiers with this, or put each client's number in place of n in braces
    #[arg(long, value_name = "PREFIX")]
    pub(crate) client_id: Option<String>,
    /// User name; n in braces becomes each client's number
    #[arg(long, value_name = "NAME")]
    pub(crate) user: Option<String>,
    /// File with the password, the same for all. Or set TIDEGATE_BENCH_PASSWORD. There is no option for the password
    /// itself: others can read command lines
    #[arg(long, value_name = "FILE")]
    pub(crate) password_file: Option<PathBuf>,
    /// Keep Alive that clients ask for, in seconds; they ping twice in that time. Some brokers refuse clients without one
    #[arg(long, value_name = "SECONDS", default_value = "0")]
    pub(crate) keep_alive: u16,
    #[command(flatten)]
    #[serde(flatten)]
    pub(crate) tls: Tls,
    /// Begin topics with this
    #[arg(long, value_name = "PREFIX", default_value = "bench")]
    pub(crate) topic: String,
    /// Threads that serve the clients; half of the cores unless told
    #[arg(long, value_name = "N")]
    pub(crate) threads: Option<usize>,
}

/// Whom to trust, and what to show.
#[derive(Clone, Debug, Args, Serialize)]
#[command(next_help_heading = "Connection")]
pub(crate) struct Tls {
    /// PEM file with the authorities to trust, instead of those of the web
    #[arg(long, value_name = "FILE")]
    pub(crate) ca: Option<PathBuf>,
    /// PEM file with the clients' certificate
    #[arg(long, value_name = "FILE", requires = "key")]
    pub(crate) cert: Option<PathBuf>,
    /// PEM file with its private key
    #[arg(long, value_name = "FILE", requires = "cert")]
    pub(crate) key: Option<PathBuf>,
    /// Trust whatever certificate the broker shows
    #[arg(long, conflicts_with = "ca")]
    pub(crate) insecure: bool,
}

/// How many clients exchange messages.
#[derive(Clone, Copy, Debug, Args, Serialize)]
#[command(next_help_heading = "Load")]
pub(crate) struct Sides {
    /// Clients that publish
    #[arg(long, value_name = "N", value_parser = clients)]
    pub(crate) publishers: Option<u32>,
    /// Clients that subscribe
    #[arg(long, value_name = "N", value_parser = clients)]
    pub(crate) subscribers: Option<u32>,
}

/// What a message is like.
#[derive(Clone, Copy, Debug, Args, Serialize)]
#[command(next_help_heading = "Load")]
pub(crate) struct Messages {
    /// Quality of service, of messages and subscriptions
    #[arg(long, value_name = "0|1|2", default_value = "0", value_parser = qos)]
    #[serde(serialize_with = "qos_as_number")]
    pub(crate) qos: QoS,
    #[command(flatten)]
    #[serde(flatten)]
    pub(crate) payload: Payload,
}

/// What a payload is like.
#[derive(Clone, Copy, Debug, Args, Serialize)]
#[command(next_help_heading = "Load")]
pub(crate) struct Payload {
    /// Bytes of a payload, at least 24, or 120 of JSON: number and time of the message are in it; 64 unless told, 128 of JSON
    #[arg(long, value_name = "BYTES", default_value = "64", default_value_if("format", "json", "128"),
          hide_default_value = true, value_parser = size)]
    pub(crate) size: usize,
    /// What a payload is, so that a plugin may read it, and change it but for what is checked
    #[arg(long = "payload", value_name = "FORMAT", default_value = "bytes")]
    #[serde(rename = "payload")]
    pub(crate) format: Format,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Format {
    /// Bytes that mean nothing to others
    Bytes,
    /// A JSON object
    Json,
}

/// How fast messages are sent.
#[derive(Clone, Copy, Debug, Args, Serialize)]
#[command(next_help_heading = "Load")]
pub(crate) struct Pacing {
    /// Send so many messages a second, all publishers together, whatever becomes of them (open loop)
    #[arg(long, value_name = "N", conflicts_with = "window")]
    pub(crate) rate: Option<NonZeroU64>,
    /// Let each publisher have so many messages under way at most (closed loop); 100 unless told, 20 at QoS 2
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=65_535))]
    pub(crate) window: Option<u64>,
}

/// How long.
#[derive(Clone, Copy, Debug, Args, Serialize)]
#[command(next_help_heading = "Load")]
pub(crate) struct Span {
    /// How long to measure: 10s, 500ms, 2m
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = time)]
    #[serde(serialize_with = "as_seconds")]
    pub(crate) duration: Duration,
    /// How long to go before figures count
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = time)]
    #[serde(serialize_with = "as_seconds")]
    pub(crate) warmup: Duration,
}

/// What is told, and where.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Output")]
pub(crate) struct Output {
    /// Write the figures as JSON, too; - for standard output, instead of the table
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// Tell nothing on standard error while the load runs
    #[arg(long)]
    pub(crate) quiet: bool,
    /// Tell every second what was done, even if standard error is no terminal
    #[arg(long, conflicts_with = "quiet")]
    pub(crate) progress: bool,
    /// Processes of the broker, on this machine: adds the CPU time and memory that they take
    #[arg(long = "pid", value_name = "PID", value_delimiter = ',')]
    pub(crate) pids: Vec<u32>,
}

#[derive(Clone, Copy, Debug, ValueEnum, Serialize)]
pub(crate) enum Mqtt {
    /// MQTT 3.1.1
    #[value(name = "3.1.1")]
    #[serde(rename = "3.1.1")]
    V3_1_1,
    /// MQTT 5
    #[value(name = "5")]
    #[serde(rename = "5")]
    V5,
}

impl Mqtt {
    pub(crate) fn version(self) -> Version {
        match self {
            Self::V3_1_1 => Version::V3_1_1,
            Self::V5 => Version::V5,
        }
    }
}

/// Most clients of a kind: as many as one address has ports to connect from, and then some.
const MOST_CLIENTS: i64 = 1_000_000;

fn clients(text: &str) -> Result<u32, String> {
    match text.parse::<u32>() {
        Ok(number) if (1..=MOST_CLIENTS).contains(&i64::from(number)) => Ok(number),
        _ => Err(format!("a number from 1 to {MOST_CLIENTS}")),
    }
}

fn qos(text: &str) -> Result<QoS, String> {
    text.parse().ok().and_then(|number: u8| QoS::try_from(number).ok()).ok_or_else(|| "0, 1 or 2".to_owned())
}

fn kept_qos(text: &str) -> Result<QoS, String> {
    match qos(text) {
        Ok(QoS::AtMostOnce) | Err(_) => Err("1 or 2: at QoS 0 nothing waits".to_owned()),
        Ok(kept) => Ok(kept),
    }
}

fn size(text: &str) -> Result<usize, String> {
    let smallest = Format::Bytes.smallest();
    match text.parse() {
        Ok(size) if (smallest..=MOST_BYTES).contains(&size) => Ok(size),
        _ => Err(format!(
            "a number of bytes from {smallest} (number and time of the message are in it) to {MOST_BYTES}"
        )),
    }
}

/// What fits into a packet, topic and header left room.
const MOST_BYTES: usize = 268_000_000;

/// `10s`, `500ms`, `2m`, or seconds without a unit.
fn time(text: &str) -> Result<Duration, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let unit = match unit {
        "ms" => 0.001,
        "" | "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return Err("units are ms, s, m and h".to_owned()),
    };
    let seconds = number.parse::<f64>().map_err(|_| "a time, like 10s or 500ms".to_owned())? * unit;
    Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's shape")]
fn qos_as_number<S: serde::Serializer>(qos: &QoS, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u8(*qos as u8)
}

fn as_seconds<S: serde::Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(time.as_secs_f64())
}

#[cfg(test)]
mod tests;
