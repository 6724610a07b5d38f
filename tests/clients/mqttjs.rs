//! MQTT.js, on Node.

use super::{
    scripts::{installed, run, script},
    site::Site,
};
use std::process::Command;

on_each_site!(scenarios: over_tcp Tcp, over_tls Tls, over_ws Ws, over_wss Wss, over_unix Unix);

fn scenarios(site: &Site) {
    let mut node = Command::new("node");
    // The script takes its packages from the folder it runs in.
    node.current_dir(
        installed("mqttjs/node_modules/mqtt/package.json").ancestors().nth(3).expect("a folder"),
    );
    run(node.arg(script("mqttjs/scenarios.js")), site, "mqtt+unix");
}
