//! The broker as its clients see it, over sockets. Names begin with the version and id of the requirement (`tests/conformance`).

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test fails by panicking")]

mod mqtt {
    mod aliases;
    mod auth;
    mod clients;
    mod connect;
    mod disconnect;
    mod flow;
    mod hostile;
    mod limits;
    mod log;
    mod malformed;
    mod mount_point;
    mod ordering;
    mod problem_information;
    mod properties;
    mod publish;
    mod qos;
    mod retained;
    mod sessions;
    mod shared;
    mod subscriptions;
    mod sys;
    mod topics;
    mod transports;
    mod unsubscribe;
    mod wills;
    mod wire;
}
