//! paho-mqtt, in Python.

use super::{
    scripts::{installed, run, script},
    site::Site,
};
use std::process::Command;

on_each_site!(scenarios: over_tcp Tcp, over_tls Tls, over_ws Ws, over_wss Wss, over_unix Unix);

fn scenarios(site: &Site) {
    let mut python = Command::new(installed("paho/bin/python"));
    run(python.arg(script("paho/scenarios.py")), site, "unix");
}
