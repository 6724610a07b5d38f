//! The broker as its clients see it, over sockets. Names begin with the version and id of the requirement (`shared/conformance`).

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test fails by panicking")]

mod mqtt {
    mod auth;
    mod clients;
    mod connect;
    mod disconnect;
    mod flow;
    mod malformed;
    mod ordering;
    mod problem_information;
    mod properties;
    mod qos;
    mod retained;
    mod sessions;
    mod shared;
    mod subscriptions;
    mod sys;
    mod topics;
    mod unsubscribe;
    mod wills;
    mod wire;
}
