//! Clients that others wrote, by their own packages, against the binary: each over every transport and in every version it offers.
//!
//! Reading order:
//! - `site`: a broker that listens on one transport, and how to reach it; `certificates`: for TLS
//! - `scripts`: `paho` and `mqttjs`, whose scenarios stand beside their packages' names in folders of these names
//! - `mosquitto`, `rumqttc`: the same scenarios as far as these clients can
//! - `hooks`: what plugins do to them

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::print_stdout, reason = "scenarios are listed")]

mod clients {
    #[macro_use]
    mod site;
    mod certificates;
    mod hooks;
    mod mosquitto;
    mod mqttjs;
    mod paho;
    mod rumqttc;
    mod scripts;
}
