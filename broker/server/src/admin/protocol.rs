//! What is said over the admin socket.

use serde::{Deserialize, Serialize};
use std::{fmt::Display, path::PathBuf};
use tidegate_plugin_host::{PluginReport, PluginState, ShadowReport};

/// Version of what follows. Another one is refused.
const VERSION: u32 = 1;

/// One line to the broker: `{"tidegate":1,"command":"plugin-rollback","plugin":"stamp"}`.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct AdminRequest {
    /// [`VERSION`]
    tidegate: u32,
    /// What is wanted.
    #[serde(flatten)]
    pub command: AdminCommand,
}

/// What is wanted.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(tag = "command", rename_all = "kebab-case")]
pub enum AdminCommand {
    /// Every number there is, as OpenMetrics text.
    Metrics,
    /// A copy of what is stored. After an answer without an error come the lines of `tidegate store export`; if they break off,
    /// an answer with one.
    StoreBackup,
    /// What hooks are asked from now on. After an answer without an error come lines of a scenario, until whoever asked ends the connection.
    Record {
        /// Only about topics under these filters; empty: all.
        topics: Vec<String>,
        /// Only of these clients; empty: all.
        clients: Vec<String>,
        /// CONNECT with what is secret.
        passwords: bool,
        /// Messages without payloads.
        no_payloads: bool,
    },
    /// How every plugin stands.
    PluginList,
    /// Load what lies in the plugin folder anew.
    PluginReload {
        /// None: all of them.
        plugin: Option<String>,
    },
    /// Start a candidate beside the live generation.
    PluginShadow {
        /// Whose candidate.
        plugin: String,
        /// Its component; an absolute path.
        file: PathBuf,
        /// How much of what is asked it is asked too.
        share: f64,
    },
    /// End the candidate.
    PluginDropShadow {
        /// Whose candidate.
        plugin: String,
    },
    /// Make the candidate the live generation.
    PluginPromote {
        /// Whose candidate.
        plugin: String,
    },
    /// Go back to the generation before.
    PluginRollback {
        /// Whose.
        plugin: String,
    },
}

impl AdminRequest {
    /// Of this version.
    pub fn new(command: AdminCommand) -> Self {
        Self { tidegate: VERSION, command }
    }

    pub(super) fn parse(line: &[u8]) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct Versioned {
            tidegate: u32,
        }
        let no_request = |error: serde_json::Error| format!("not a request: {error}");
        let Versioned { tidegate } = serde_json::from_slice(line).map_err(no_request)?;
        if tidegate != VERSION {
            return Err(format!(
                "the broker speaks version {VERSION} of the admin protocol, not {tidegate}; use the tidegate binary that the broker was \
                 started with"
            ));
        }
        serde_json::from_slice(line).map_err(no_request)
    }
}

/// One line from the broker.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct AdminAnswer {
    /// [`VERSION`]
    tidegate: u32,
    /// What was done, a sentence each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub said: Vec<String>,
    /// What was not done, and why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// To [`AdminCommand::Metrics`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metrics: Option<String>,
    /// To [`AdminCommand::PluginList`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plugins: Option<Vec<AdminPlugin>>,
}

impl AdminAnswer {
    /// Nothing went wrong, and there is nothing to be said.
    pub(super) fn done() -> Self {
        Self { tidegate: VERSION, ..Self::default() }
    }

    pub(super) fn said(sentence: impl Display) -> Self {
        Self { tidegate: VERSION, said: vec![sentence.to_string()], ..Self::default() }
    }

    pub(super) fn error(error: impl Display) -> Self {
        Self { tidegate: VERSION, error: Some(error.to_string()), ..Self::default() }
    }

    pub(super) fn metrics(text: String) -> Self {
        Self { tidegate: VERSION, metrics: Some(text), ..Self::default() }
    }

    pub(super) fn plugins(plugins: Vec<PluginReport>) -> Self {
        let plugins = plugins.into_iter().map(Into::into).collect();
        Self { tidegate: VERSION, plugins: Some(plugins), ..Self::default() }
    }
}

/// Several answers in one.
impl FromIterator<AdminAnswer> for AdminAnswer {
    fn from_iter<I: IntoIterator<Item = AdminAnswer>>(answers: I) -> Self {
        let mut all = Self::done();
        let mut errors = Vec::new();
        for answer in answers {
            all.said.extend(answer.said);
            errors.extend(answer.error);
        }
        all.error = (!errors.is_empty()).then(|| errors.join("\n"));
        all
    }
}

/// How a plugin stands; see [`PluginReport`].
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct AdminPlugin {
    /// Its name.
    pub name: String,
    /// In the plugin folder.
    pub file: PathBuf,
    /// The generation that answers; 0 if none does.
    pub generation: u64,
    /// The one that a rollback would bring back.
    pub previous: Option<u64>,
    /// `running`, `starting`, `waiting` or `refused`.
    pub state: String,
    /// Whether a newer file or configuration is being loaded.
    pub loading: bool,
    /// Whether the broker starts without it.
    pub required: bool,
    /// Its place in the chain.
    pub order: i32,
    /// What it decides about.
    pub hooks: Vec<String>,
    /// What it was granted.
    pub grants: Vec<String>,
    /// By hook.
    pub calls: Vec<AdminCalls>,
    /// Of the breaker that keeps calls away after many faults; None if nothing answers: `closed`, `open` or `probing`.
    pub breaker: Option<String>,
    /// Why the newest file or configuration was not taken.
    pub problem: Option<String>,
    /// The candidate beside it.
    pub shadow: Option<AdminShadow>,
}

/// Calls of one hook since the generation began.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct AdminCalls {
    /// Which.
    pub hook: String,
    /// Calls.
    pub calls: u64,
    /// Those that ended in a fault.
    pub faults: u64,
    /// Microseconds that all calls but one in a hundred did not exceed, as far as they were measured.
    pub p99_us: Option<f64>,
}

/// A candidate, and what comparing it has shown.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct AdminShadow {
    /// The candidate's number.
    pub generation: u64,
    /// The live generation.
    pub against: u64,
    /// Where the candidate was read from.
    pub file: PathBuf,
    /// How much of what is asked it is asked too.
    pub share: f64,
    /// By hook.
    pub hooks: Vec<AdminShadowHook>,
    /// Questions that it was not asked because too many waited for it.
    pub left_out: u64,
    /// The latest differences, oldest first.
    pub samples: Vec<AdminDifference>,
}

impl AdminShadow {
    /// Answers that were compared.
    pub fn compared(&self) -> u64 {
        self.hooks.iter().map(|hook| hook.compared).sum()
    }

    /// Those of them that were not the same.
    pub fn differences(&self) -> u64 {
        self.hooks.iter().map(|hook| hook.differences).sum()
    }
}

/// What comparing has shown of one hook.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct AdminShadowHook {
    /// Which.
    pub hook: String,
    /// Answers that were compared.
    pub compared: u64,
    /// Those of them that were not the same.
    pub differences: u64,
    /// Calls in which the candidate failed.
    pub faults: u64,
}

/// Two answers to one question.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct AdminDifference {
    /// Milliseconds since 1970.
    pub at_ms: u64,
    /// Which hook.
    pub hook: String,
    /// Whom it was about.
    pub client_id: String,
    /// Topic or filter.
    pub topic: Option<String>,
    /// The answer that counted, in short.
    pub live: String,
    /// The candidate's, in short.
    pub candidate: String,
}

impl From<PluginReport> for AdminPlugin {
    fn from(report: PluginReport) -> Self {
        let state = match report.state {
            PluginState::Running => "running",
            PluginState::Starting => "starting",
            PluginState::Waiting => "waiting",
            PluginState::Refused { .. } => "refused",
        };
        let calls = report.calls.iter().map(|hook| AdminCalls {
            hook: hook.hook.to_owned(),
            calls: hook.calls,
            faults: hook.faulty(),
            p99_us: hook.latency.p99().map(|p99| p99.as_secs_f64() * 1e6),
        });
        Self {
            calls: calls.collect(),
            breaker: (report.state == PluginState::Running).then(|| report.load.breaker.name().to_owned()),
            name: report.name,
            file: report.file,
            generation: report.generation,
            previous: report.previous,
            state: state.to_owned(),
            loading: report.loading,
            required: report.required,
            order: report.order,
            hooks: report.hooks.into_iter().map(str::to_owned).collect(),
            grants: report.grants,
            problem: report.problem,
            shadow: report.shadow.map(Into::into),
        }
    }
}

impl From<ShadowReport> for AdminShadow {
    fn from(report: ShadowReport) -> Self {
        let hooks = report.hooks.into_iter().map(|counts| AdminShadowHook {
            hook: counts.hook.to_owned(),
            compared: counts.compared,
            differences: counts.differences,
            faults: counts.faults,
        });
        let samples = report.samples.into_iter().map(|sample| AdminDifference {
            at_ms: sample.at_ms,
            hook: sample.hook.to_owned(),
            client_id: sample.client_id,
            topic: sample.topic,
            live: sample.live,
            candidate: sample.candidate,
        });
        Self {
            generation: report.generation,
            against: report.against,
            file: report.file,
            share: report.share,
            hooks: hooks.collect(),
            left_out: report.left_out,
            samples: samples.collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_read_as_it_was_written() {
        let commands = [
            AdminCommand::StoreBackup,
            AdminCommand::PluginList,
            AdminCommand::PluginReload { plugin: None },
            AdminCommand::PluginShadow { plugin: "p".into(), file: "/two.wasm".into(), share: 0.5 },
            AdminCommand::PluginRollback { plugin: "p".into() },
        ];
        for command in commands {
            let request = AdminRequest::new(command);
            let line = serde_json::to_vec(&request).unwrap();
            assert_eq!(AdminRequest::parse(&line), Ok(request));
        }
        let text = r#"{"tidegate":1,"command":"plugin-reload"}"#;
        assert_eq!(
            AdminRequest::parse(text.as_bytes()).unwrap().command,
            AdminCommand::PluginReload { plugin: None }
        );
    }

    #[test]
    fn what_is_no_request_of_this_version_is_refused() {
        for (line, why) in [
            ("", "not a request"),
            ("{}", "missing field `tidegate`"),
            (r#"{"tidegate":2,"command":"plugin-list"}"#, "version 1 of the admin protocol, not 2"),
            (r#"{"tidegate":1,"command":"reboot"}"#, "unknown variant `reboot`"),
            (r#"{"tidegate":1,"command":"plugin-promote"}"#, "missing field `plugin`"),
        ] {
            let error = AdminRequest::parse(line.as_bytes()).unwrap_err();
            assert!(error.contains(why), "{line}: {error}");
        }
    }
}
