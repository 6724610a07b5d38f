//! `tidegate bench`, in a process of its own.

use serde_json::Value;
use std::{net::SocketAddr, process::Command};
use tidegate_tests::broker_binary;

/// A run of it.
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    /// Its figures, unless there are none.
    pub(crate) told: Option<Value>,
    /// On standard error.
    pub(crate) said: String,
}

/// Scenario and options, those that name the broker excepted. `pid`: whose CPU time and memory it tells.
pub(crate) fn run(arguments: &[String], address: SocketAddr, pid: u32) -> Ended {
    let output = Command::new(broker_binary())
        .arg("bench")
        .args(arguments)
        .args(["--url", &format!("mqtt://{address}"), "--pid", &pid.to_string()])
        .args(["--json", "-", "--quiet"])
        .output()
        .unwrap();
    Ended {
        code: output.status.code(),
        told: serde_json::from_slice(&output.stdout).ok(),
        said: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
    }
}

/// What a load has told.
pub(crate) struct Told(Value);

/// As [`run`], with options as they are typed; says so if messages did not come as they should.
///
/// # Panics
/// With what it said, if there are no figures.
pub(crate) fn load(arguments: &str, address: SocketAddr, pid: u32) -> Told {
    let words: Vec<String> = arguments.split(' ').map(str::to_owned).collect();
    let Ended { told, said, .. } = run(&words, address, pid);
    let Some(told) = told else { panic!("tidegate bench {arguments}: {said}") };
    if told["good"] != true {
        println!("tidegate bench {arguments}: {}", told["checks"]);
    }
    Told(told)
}

impl Told {
    /// Of a key such as `/rates/received/per_second`; no number where nothing was told.
    pub(crate) fn figure(&self, key: &str) -> f64 {
        self.0.pointer(key).and_then(Value::as_f64).unwrap_or(f64::NAN)
    }
}
