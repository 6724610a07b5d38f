//! What is asked of each broker, and how far ours may be from the others.

/// A run of the load generator. More than one row may be read from it.
#[derive(Debug)]
pub(crate) struct Load {
    pub(crate) name: &'static str,
    /// Scenario and options, without broker and times.
    arguments: &'static str,
    pub(crate) kind: Kind,
    /// Whether the floor knows enough of MQTT for it: it has neither QoS 2 nor acknowledgements of many receivers.
    pub(crate) has_floor: bool,
    /// Messages that may wait for one client.
    pub(crate) waiting: u32,
    /// Of each message.
    pub(crate) receivers: u32,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Kind {
    /// As much as goes through.
    Closed,
    /// So many a second.
    Open,
    /// Clients that come and stay.
    Connect,
}

/// How much of it.
#[derive(Clone, Debug)]
pub(crate) struct Amount {
    pub(crate) duration: String,
    pub(crate) warmup: String,
    pub(crate) clients: u32,
    pub(crate) idle: String,
}

impl Load {
    /// For `tidegate bench`.
    pub(crate) fn arguments(&self, amount: &Amount) -> Vec<String> {
        let mut arguments: Vec<String> = self.arguments.split(' ').map(str::to_owned).collect();
        let clients = amount.clients.to_string();
        let more = match self.kind {
            Kind::Closed | Kind::Open => ["--duration", &amount.duration, "--warmup", &amount.warmup],
            Kind::Connect => ["--clients", &clients, "--idle", &amount.idle],
        };
        arguments.extend(more.map(str::to_owned));
        arguments
    }
}

const SMALL_WINDOW: u32 = 100;

const P2P_QOS_0: Load = Load {
    name: "p2p 20:20, QoS 0",
    arguments: "p2p --publishers 20 --qos 0 --window 100",
    kind: Kind::Closed,
    has_floor: true,
    waiting: SMALL_WINDOW,
    receivers: 1,
};
const P2P_QOS_1: Load =
    Load { name: "p2p 20:20, QoS 1", arguments: "p2p --publishers 20 --qos 1 --window 100", ..P2P_QOS_0 };
const P2P_QOS_2: Load = Load {
    name: "p2p 20:20, QoS 2",
    arguments: "p2p --publishers 20 --qos 2 --window 20",
    has_floor: false,
    ..P2P_QOS_0
};
const FAN_OUT_QOS_0: Load = Load {
    name: "fan-out 1:200, QoS 0",
    arguments: "fanout --publishers 1 --subscribers 200 --qos 0 --window 100",
    receivers: 200,
    ..P2P_QOS_0
};
const FAN_OUT_QOS_1: Load = Load {
    name: "fan-out 1:200, QoS 1",
    arguments: "fanout --publishers 1 --subscribers 200 --qos 1 --window 100",
    has_floor: false,
    receivers: 200,
    ..P2P_QOS_0
};
const FAN_IN: Load = Load {
    name: "fan-in 100:1, QoS 0",
    arguments: "fanin --publishers 100 --subscribers 1 --qos 0 --window 100",
    waiting: 100 * SMALL_WINDOW,
    ..P2P_QOS_0
};
const LARGE: Load = Load {
    name: "p2p 5:5, 16 KiB, QoS 0",
    arguments: "p2p --publishers 5 --qos 0 --window 100 --size 16384",
    ..P2P_QOS_0
};
const OPEN: Load = Load {
    name: "p2p 20:20, QoS 1, 4,000/s",
    arguments: "p2p --publishers 20 --qos 1 --rate 4000",
    kind: Kind::Open,
    ..P2P_QOS_0
};
const CONNECT: Load = Load { name: "connect", arguments: "connect", kind: Kind::Connect, ..P2P_QOS_0 };

/// A row of the table. Lower is better.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) number: u8,
    pub(crate) load: Load,
    pub(crate) what: &'static str,
    /// Where the generator's JSON has it.
    pub(crate) figure: &'static str,
    pub(crate) bars: Bars,
}

/// What ours may be at most.
#[derive(Debug)]
pub(crate) struct Bars {
    /// Times the floor.
    pub(crate) of_floor: Option<f64>,
    /// Times the best peer.
    pub(crate) of_best_peer: Option<f64>,
    /// In the row's unit.
    pub(crate) at_most: Option<f64>,
}

/// CPU of the broker for a message; each load of messages has one row of it.
pub(crate) const MESSAGE: &str = "/broker/cpu_us_per/message_received";
const CPU: &str = "CPU of a message, us";

const fn message(number: u8, load: Load, of_floor: Option<f64>, of_best_peer: f64) -> Row {
    let bars = Bars { of_floor, of_best_peer: Some(of_best_peer), at_most: None };
    Row { number, load, what: CPU, figure: MESSAGE, bars }
}

/// The whole table.
pub(crate) const ROWS: [Row; 11] = [
    message(1, P2P_QOS_0, Some(2.5), 0.5),
    message(2, P2P_QOS_1, Some(2.5), 0.5),
    message(3, P2P_QOS_2, None, 0.5),
    message(4, FAN_OUT_QOS_0, Some(2.5), 0.5),
    message(5, FAN_OUT_QOS_1, None, 0.5),
    message(6, FAN_IN, Some(2.5), 0.5),
    message(7, LARGE, Some(1.25), 0.5),
    message(8, OPEN, Some(1.1), 1.15),
    Row {
        number: 9,
        load: CONNECT,
        what: "CPU of connect and subscribe, us",
        figure: "/broker/cpu_us_per/connection",
        bars: Bars { of_floor: Some(1.7), of_best_peer: Some(0.5), at_most: None },
    },
    Row {
        number: 10,
        load: CONNECT,
        what: "memory of an idle connection, KiB",
        figure: "/figures/memory_per_connection_kib",
        bars: Bars { of_floor: Some(1.5), of_best_peer: None, at_most: None },
    },
    Row {
        number: 11,
        load: P2P_QOS_0,
        what: "memory at most, MiB",
        figure: "/broker/rss_mib/peak",
        bars: Bars { of_floor: None, of_best_peer: None, at_most: Some(16.0) },
    },
];

/// What is told of a load beside its row, and compared with every peer.
#[derive(Debug)]
pub(crate) struct Felt {
    pub(crate) name: &'static str,
    /// Where the generator's JSON has it.
    pub(crate) figure: &'static str,
    pub(crate) more_is_better: bool,
}

const fn latency(name: &'static str, figure: &'static str) -> Felt {
    Felt { name, figure, more_is_better: false }
}

pub(crate) const P99: Felt = latency("p99", "/latency_us/delivery/p99");

pub(crate) const FELT: [Felt; 4] = [
    Felt { name: "throughput", figure: "/rates/received/per_second", more_is_better: true },
    latency("p50", "/latency_us/delivery/p50"),
    P99,
    latency("p99.9", "/latency_us/delivery/p99_9"),
];
