//! Files of scenarios: a step a line, and what is expected of it. `docs/scenarios.md` is the reference.

pub(crate) mod step;
pub(crate) mod value;

use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Map, Value};
use std::{
    fs,
    path::{Path, PathBuf},
};
use step::{
    Auth, Client, Connect, Deliver, Disconnect, Event, HttpAnswer, Message, Pick, Receive, Select, Subscribe,
};

/// The form of recordings that is read and written here.
pub(crate) const RECORDING_FORMAT: u64 = 1;

/// A file, read.
#[derive(Debug)]
pub(crate) struct Scenario {
    pub(crate) file: PathBuf,
    pub(crate) lines: Vec<Line>,
}

/// One step.
#[derive(Debug)]
pub(crate) struct Line {
    /// From 1.
    pub(crate) number: usize,
    /// As written.
    pub(crate) text: String,
    pub(crate) note: Option<String>,
    pub(crate) step: Step,
    pub(crate) expected: Expected,
    /// How long to wait for what the plugin does; None: as usual.
    pub(crate) within: Option<String>,
}

/// What should come of a step.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Expected {
    /// Anything but a fault.
    Nothing,
    /// This.
    This(Value),
    /// What came of it when it was recorded.
    Before(Value),
}

/// What to do.
#[derive(Debug)]
pub(crate) enum Step {
    Plugin(Map<String, Value>),
    Recording,
    Reload(Map<String, Value>),
    Connect(Box<Connect>),
    Client(Client),
    Auth(Auth),
    Publish(Box<Message>),
    PublishBatch(Vec<Message>),
    Subscribe(Subscribe),
    Receive(Receive),
    Select(Box<Select>),
    Pick(Box<Pick>),
    Deliver(Box<Deliver>),
    Events { batch: Vec<Event>, lost: u64 },
    Disconnect(Disconnect),
    Retained(Box<Message>),
    Http(Http),
    Published(Value),
    Disconnected(Value),
    Requested(Value),
    Logged(Value),
    Nothing(Kind),
    Sleep(String),
}

/// How the scenario's HTTP server answers.
#[derive(Debug)]
pub(crate) enum Http {
    /// The first that fits.
    Answers(Vec<HttpAnswer>),
    /// Not at all.
    Down,
}

/// What a plugin does.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    Published,
    Requested,
    Disconnected,
}

/// A scenario that cannot be read. Displayed as `FILE:LINE: why`.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ScenarioError {
    /// The file cannot be read.
    #[error("{}: {why}", .file.display())]
    Unreadable {
        /// Which.
        file: PathBuf,
        /// What the system says.
        why: std::io::Error,
    },
    /// A line makes no sense.
    #[error("{}:{line}: {why}", .file.display())]
    Line {
        /// Which file.
        file: PathBuf,
        /// From 1.
        line: usize,
        /// What is wrong, and what to write.
        why: String,
    },
}

/// The words that begin a step.
const STEPS: &[&str] = &[
    "plugin",
    "recording",
    "reload",
    "client",
    "connect",
    "auth",
    "publish",
    "subscribe",
    "receive",
    "select",
    "pick",
    "deliver",
    "events",
    "disconnect",
    "retained",
    "http",
    "published",
    "disconnected",
    "requested",
    "logged",
    "nothing",
    "sleep",
];

/// What may stand beside it.
const BESIDE: &[&str] = &["expect", "was", "note", "within", "lost"];

impl Scenario {
    /// # Errors
    /// [`ScenarioError`], which names file and line.
    pub(crate) fn read(file: &Path) -> Result<Self, ScenarioError> {
        let text =
            fs::read_to_string(file).map_err(|why| ScenarioError::Unreadable { file: file.into(), why })?;
        Self::parse(file, &text)
    }

    fn parse(file: &Path, text: &str) -> Result<Self, ScenarioError> {
        let mut lines: Vec<Line> = Vec::new();
        for (index, text) in text.lines().enumerate() {
            let text = text.trim();
            if text.is_empty() || text.starts_with('#') {
                continue;
            }
            let number = index + 1;
            let wrong = |why| ScenarioError::Line { file: file.into(), line: number, why };
            let line = Line::parse(number, text).map_err(wrong)?;
            if matches!(line.step, Step::Plugin(_) | Step::Recording) && !lines.is_empty() {
                return Err(wrong(
                    "`plugin` and `recording` are for the first line; use `reload` later".to_owned(),
                ));
            }
            if matches!(line.step, Step::Plugin(_))
                && line.expected != Expected::Nothing
                && line.refusal().is_none()
            {
                return Err(wrong("of `plugin` only {\"refused\": \"text\"} can be expected".to_owned()));
            }
            lines.push(line);
        }
        if let Some(first) = lines.first()
            && first.refusal().is_some()
            && let Some(second) = lines.get(1)
        {
            let why = "the plugin is expected to be refused, so nothing can follow".to_owned();
            return Err(ScenarioError::Line { file: file.into(), line: second.number, why });
        }
        Ok(Self { file: file.into(), lines })
    }

    /// What stands in the first line about the plugin; None if nothing does.
    pub(crate) fn table(&self) -> Option<&Map<String, Value>> {
        match &self.lines.first()?.step {
            Step::Plugin(table) => Some(table),
            _ => None,
        }
    }
}

impl Line {
    fn parse(number: usize, text: &str) -> Result<Self, String> {
        let object: Map<String, Value> = serde_json::from_str(text).map_err(|why| {
            format!("not a JSON object: {why}; a line is one step, such as {{\"connect\": {{\"client\": \"c1\"}}}}")
        })?;
        let mut steps = object.keys().filter(|key| !BESIDE.contains(&key.as_str()));
        let (name, more) = (steps.next(), steps.next());
        let name = match (name, more) {
            (Some(name), None) => name.clone(),
            (None, _) => return Err(format!("there is no step; known are {}", STEPS.join(", "))),
            (Some(one), Some(other)) => return Err(format!("`{one}` and `{other}`: a line has one step")),
        };
        let at = |key: &str| object.get(key);
        let text_at = |key: &str| match at(key) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(other) => Err(format!("`{key}` is text, not {other}")),
        };
        let expected = match (at("expect"), at("was")) {
            (None, None) => Expected::Nothing,
            (Some(expected), None) => Expected::This(expected.clone()),
            (None, Some(before)) => Expected::Before(before.clone()),
            (Some(_), Some(_)) => return Err("`expect` and `was`: give one of them".to_owned()),
        };
        let step = Step::parse(&name, at(&name).cloned().unwrap_or_default(), at("lost"))?;
        Ok(Self {
            number,
            text: text.to_owned(),
            note: text_at("note")?,
            step,
            expected,
            within: text_at("within")?,
        })
    }

    /// The text that a refusal at the start is expected to have.
    pub(crate) fn refusal(&self) -> Option<&str> {
        match &self.expected {
            _ if !matches!(self.step, Step::Plugin(_)) => None,
            Expected::This(Value::Object(expected)) => expected.get("refused")?.as_str(),
            Expected::This(Value::String(word)) if word == "refused" => Some(""),
            _ => None,
        }
    }
}

impl Step {
    fn parse(name: &str, value: Value, lost: Option<&Value>) -> Result<Self, String> {
        Ok(match name {
            "plugin" => Self::Plugin(read(name, value)?),
            "recording" => {
                recorded_here(&value)?;
                Self::Recording
            }
            "reload" => Self::Reload(read(name, value)?),
            "connect" => Self::Connect(read(name, value)?),
            "client" => Self::Client(read(name, value)?),
            "auth" => Self::Auth(read(name, value)?),
            "publish" => match value {
                Value::Object(mut batch) if batch.contains_key("batch") && batch.len() == 1 => {
                    Self::PublishBatch(read("publish.batch", batch.remove("batch").unwrap_or_default())?)
                }
                one => Self::Publish(read(name, one)?),
            },
            "subscribe" => Self::Subscribe(read(name, value)?),
            "receive" => Self::Receive(read(name, value)?),
            "select" => Self::Select(read(name, value)?),
            "pick" => Self::Pick(read(name, value)?),
            "deliver" => Self::Deliver(read(name, value)?),
            "events" => {
                let lost = lost.cloned().unwrap_or(Value::from(0));
                Self::Events { batch: read(name, value)?, lost: read("lost", lost)? }
            }
            "disconnect" => Self::Disconnect(read(name, value)?),
            "retained" => Self::Retained(read(name, value)?),
            "http" => Self::Http(match value {
                Value::String(down) if down == "down" => Http::Down,
                answers => Http::Answers(read(name, answers)?),
            }),
            "published" => Self::Published(known(
                name,
                value,
                &["topic", "payload", "payload_base64", "json", "qos", "retain", "properties"],
            )?),
            "disconnected" => Self::Disconnected(known(name, value, &["client", "code"])?),
            "requested" => {
                Self::Requested(known(name, value, &["method", "path", "headers", "body", "json"])?)
            }
            "logged" => Self::Logged(texts(name, known(name, value, &["level", "text"])?)?),
            "nothing" => Self::Nothing(read(name, value)?),
            "sleep" => Self::Sleep(read(name, value)?),
            other => return Err(format!("there is no step `{other}`; known are {}", STEPS.join(", "))),
        })
    }
}

impl Step {
    /// Whether it waits for something that the plugin does.
    pub(crate) fn waits(&self) -> bool {
        matches!(
            self,
            Self::Published(_)
                | Self::Disconnected(_)
                | Self::Requested(_)
                | Self::Logged(_)
                | Self::Nothing(_)
        )
    }

    /// What it is about, in a few words.
    pub(crate) fn in_words(&self) -> String {
        let message = |message: &Message| match message.client.as_str() {
            "" => message.topic.clone(),
            client => format!("{client} {}", message.topic),
        };
        match self {
            Self::Plugin(_) => "plugin".to_owned(),
            Self::Recording => "recording".to_owned(),
            Self::Reload(_) => "reload".to_owned(),
            Self::Connect(connect) => match &connect.username {
                Some(username) => format!("connect {} as {username}", connect.client),
                None => format!("connect {}", connect.client),
            },
            Self::Client(client) => format!("client {}", client.client),
            Self::Auth(auth) => format!("auth {}", auth.client),
            Self::Publish(one) => format!("publish {}", message(one)),
            Self::PublishBatch(batch) => format!("publish {} together", batch.len()),
            Self::Subscribe(subscribe) => format!("subscribe {} {}", subscribe.client, subscribe.filter),
            Self::Receive(receive) => format!("receive {} {}", receive.client, receive.topic),
            Self::Select(select) => format!("select {}", message(&select.message)),
            Self::Pick(pick) => format!("pick {}", message(&pick.message)),
            Self::Deliver(deliver) => format!("deliver {} to {}", deliver.message.topic, deliver.to),
            Self::Events { batch, .. } => {
                let kinds: Vec<&str> = batch.iter().map(|event| event.kind.as_str()).collect();
                format!("events {}", kinds.join(" "))
            }
            Self::Disconnect(gone) => format!("disconnect {}", gone.client),
            Self::Retained(retained) => format!("retained {}", retained.topic),
            Self::Http(_) => "http".to_owned(),
            Self::Published(_) => "published".to_owned(),
            Self::Disconnected(_) => "disconnected".to_owned(),
            Self::Requested(_) => "requested".to_owned(),
            Self::Logged(_) => "logged".to_owned(),
            Self::Nothing(_) => "nothing".to_owned(),
            Self::Sleep(time) => format!("sleep {time}"),
        }
    }
}

fn read<T: DeserializeOwned>(name: &str, value: Value) -> Result<T, String> {
    serde_path_to_error::deserialize(value).map_err(|error| {
        let path = match error.path().to_string().as_str() {
            "." => name.to_owned(),
            path => format!("{name}.{path}"),
        };
        format!("`{path}`: {}", error.inner())
    })
}

fn known(name: &str, value: Value, keys: &[&str]) -> Result<Value, String> {
    let fields: Map<String, Value> = read(name, value)?;
    match fields.keys().find(|key| !keys.contains(&key.as_str())) {
        Some(key) => Err(format!("`{name}`: unknown field `{key}`, expected one of {}", keys.join(", "))),
        None => Ok(fields.into()),
    }
}

/// # Errors
/// One of the fields is no text.
fn texts(name: &str, fields: Value) -> Result<Value, String> {
    match fields.as_object().into_iter().flatten().find(|(_, value)| !value.is_string()) {
        Some((key, value)) => Err(format!("`{name}`: `{key}` is text, not {value}")),
        None => Ok(fields),
    }
}

/// Whether a recording has a form that is known here.
fn recorded_here(header: &Value) -> Result<(), String> {
    let format = header.get("format").and_then(Value::as_u64).unwrap_or(0);
    if format == RECORDING_FORMAT {
        return Ok(());
    }
    let broker = header.get("broker").and_then(Value::as_str).unwrap_or("an unknown version");
    Err(format!(
        "this recording has format {format}, made by tidegate {broker}, and this is tidegate {}, which reads format {RECORDING_FORMAT}; replay it with that version, or record again",
        env!("CARGO_PKG_VERSION")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        Scenario::parse(Path::new("a.jsonl"), text).unwrap_err().to_string()
    }

    #[test]
    fn comments_and_empty_lines_are_skipped_and_lines_keep_their_numbers() {
        let text = "# a comment\n\n{\"plugin\": {}}\n  {\"publish\": {\"topic\": \"a\"}, \"expect\": \"pass\", \"note\": \"n\"}\n";
        let scenario = Scenario::parse(Path::new("a.jsonl"), text).unwrap();
        assert_eq!(scenario.lines.iter().map(|line| line.number).collect::<Vec<_>>(), [3, 4]);
        assert_eq!(scenario.lines[1].note.as_deref(), Some("n"));
        assert_eq!(scenario.lines[1].expected, Expected::This("pass".into()));
        assert!(scenario.table().is_some());
    }

    #[test]
    fn what_makes_no_sense_is_named_with_file_line_and_remedy() {
        for (text, complaint) in [
            ("{\"connect\": {\"client\": \"c1\"}}\n{", "a.jsonl:2: not a JSON object: "),
            ("{\"conect\": {}}", "a.jsonl:1: there is no step `conect`; known are plugin, "),
            ("{\"expect\": \"pass\"}", "a.jsonl:1: there is no step; known are "),
            (
                "{\"connect\": {\"client\": \"c\"}, \"publish\": {\"topic\": \"a\"}}",
                "a.jsonl:1: `connect` and `publish`: a line has one step",
            ),
            (
                "{\"connect\": {\"client\": \"c\", \"pasword\": \"x\"}}",
                "a.jsonl:1: `connect.pasword`: unknown field `pasword`, expected one of ",
            ),
            (
                "{\"publish\": {\"batch\": [{\"topic\": 1}]}}",
                "a.jsonl:1: `publish.batch.[0].topic`: invalid type: integer `1`, expected a string",
            ),
            (
                "{\"publish\": {\"topic\": \"a\"}}\n{\"plugin\": {}}",
                "a.jsonl:2: `plugin` and `recording` are for the first line",
            ),
            (
                "{\"plugin\": {}, \"expect\": {\"refused\": \"x\"}}\n{\"sleep\": \"1s\"}",
                "a.jsonl:2: the plugin is expected to be refused",
            ),
            ("{\"plugin\": {}, \"expect\": \"grant\"}", "a.jsonl:1: of `plugin` only"),
            (
                "{\"nothing\": \"else\"}",
                "a.jsonl:1: `nothing`: unknown variant `else`, expected one of `published`",
            ),
            ("{\"published\": {\"tpic\": \"a\"}}", "a.jsonl:1: `published`: unknown field `tpic`"),
            (
                "{\"recording\": {\"format\": 9, \"broker\": \"2.0.0\"}}",
                "a.jsonl:1: this recording has format 9, made by tidegate 2.0.0, and this is tidegate ",
            ),
        ] {
            let error = error(text);
            assert!(error.starts_with(complaint), "{text}\n{error}\n{complaint}");
        }
    }
}
