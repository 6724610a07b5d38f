//! The broker as its clients see it, over sockets. Names begin with the version and id of the requirement (`tests/conformance`).

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test fails by panicking")]

mod mqtt {
    mod aliases;
    mod clients;
    mod connect;
    mod hostile;
    mod limits;
    mod log;
    mod malformed;
    mod mount_point;
    mod properties;
    mod publish;
    mod qos;
    mod retained;
    mod sessions;
    mod subscriptions;
    mod transports;
    mod wills;
}
