//! What came of scenarios, for people or as JSON.

use crate::{
    scenario::{Expected, Line, value},
    trial::LogLine,
};
use serde_json::{Value, json};
use std::{
    io::{self, IsTerminal, Write},
    path::{Path, PathBuf},
};

/// What came of a line.
#[derive(Clone, Debug)]
pub(super) enum Verdict {
    /// Nothing was expected.
    Done(Option<Value>),
    AsExpected(Value),
    /// Another answer than before, which may be on purpose.
    Differs {
        why: String,
        outcome: Value,
    },
    Wrong {
        why: String,
        outcome: Value,
        logged: Vec<LogLine>,
    },
}

impl Verdict {
    pub(super) fn wrong(why: String, outcome: Value, logged: Vec<LogLine>) -> Self {
        Self::Wrong { why, outcome, logged }
    }
}

/// Says it line by line.
pub(super) struct Report {
    json: bool,
    with_log: bool,
    colours: bool,
    file: PathBuf,
    files: usize,
    done: usize,
    judged: usize,
    differ: usize,
    wrong: Vec<String>,
}

/// Characters of an outcome that is as it should be.
const SHORT: usize = 60;

impl Report {
    pub(super) fn new(json: bool, with_log: bool) -> Self {
        let is_set = |name| std::env::var_os(name).is_some();
        let wanted = is_set("CLICOLOR_FORCE") || io::stdout().is_terminal() && !is_set("NO_COLOR");
        let colours = !json && wanted;
        Self {
            json,
            with_log,
            colours,
            file: PathBuf::new(),
            files: 0,
            done: 0,
            judged: 0,
            differ: 0,
            wrong: Vec::new(),
        }
    }

    pub(super) fn begin(&mut self, file: &Path) -> io::Result<()> {
        self.file = file.to_owned();
        self.files += 1;
        if self.json { Ok(()) } else { writeln!(io::stdout(), "{}", file.display()) }
    }

    pub(super) fn end_of_file(&self) -> io::Result<()> {
        if self.json { Ok(()) } else { writeln!(io::stdout()) }
    }

    pub(super) fn line(&mut self, line: &Line, verdict: &Verdict) -> io::Result<()> {
        self.done += 1;
        match verdict {
            Verdict::Done(_) => {}
            Verdict::AsExpected(_) => self.judged += 1,
            Verdict::Differs { .. } => {
                self.judged += 1;
                self.differ += 1;
            }
            Verdict::Wrong { .. } => {
                self.judged += 1;
                self.wrong.push(format!("{}:{}", self.file.display(), line.number));
            }
        }
        if self.json { self.line_as_json(line, verdict) } else { self.line_in_words(line, verdict) }
    }

    fn line_as_json(&self, line: &Line, verdict: &Verdict) -> io::Result<()> {
        let (result, outcome, why, logged) = match verdict {
            Verdict::Done(outcome) => ("done", outcome.clone(), None, &[][..]),
            Verdict::AsExpected(outcome) => ("as-expected", Some(outcome.clone()), None, &[][..]),
            Verdict::Differs { why, outcome } => ("differs", Some(outcome.clone()), Some(why), &[][..]),
            Verdict::Wrong { why, outcome, logged } => {
                ("wrong", Some(outcome.clone()), Some(why), &logged[..])
            }
        };
        let logged: Vec<String> = logged.iter().map(ToString::to_string).collect();
        let said = json!({
            "file": self.file, "line": line.number, "note": line.note, "result": result, "outcome": outcome,
            "why": why, "logged": logged,
        });
        writeln!(io::stdout(), "{said}")
    }

    fn line_in_words(&self, line: &Line, verdict: &Verdict) -> io::Result<()> {
        let mut out = io::stdout();
        let (mark, colour) = match verdict {
            Verdict::Done(_) => ("      ", "2"),
            Verdict::AsExpected(_) => ("ok    ", "32"),
            Verdict::Differs { .. } => ("differs", "33"),
            Verdict::Wrong { .. } => ("WRONG ", "31;1"),
        };
        let mark = self.coloured(mark, colour);
        let what = shortened(&line.step.in_words());
        let note = line.note.as_ref().map(|note| format!("  ({note})")).unwrap_or_default();
        let came = match verdict {
            Verdict::Done(outcome) => outcome.as_ref(),
            Verdict::AsExpected(outcome)
            | Verdict::Differs { outcome, .. }
            | Verdict::Wrong { outcome, .. } => Some(outcome),
        };
        let came = came.map(|came| format!(" → {}", shortened(&value::in_words(came)))).unwrap_or_default();
        writeln!(out, "  {mark} {:>4}  {what}{came}{note}", line.number)?;
        match verdict {
            Verdict::Done(_) | Verdict::AsExpected(_) => Ok(()),
            Verdict::Differs { why, .. } => writeln!(out, "               {why}"),
            Verdict::Wrong { why, outcome, logged } => {
                writeln!(out, "               {why}")?;
                writeln!(out, "      step     {}", line.text)?;
                if let Expected::This(expected) | Expected::Before(expected) = &line.expected {
                    writeln!(out, "      expected {expected}")?;
                }
                writeln!(out, "      it was   {outcome}")?;
                if self.with_log {
                    return Ok(());
                }
                logged.iter().try_for_each(|line| writeln!(out, "      log      {line}"))
            }
        }
    }

    /// What the plugin said meanwhile.
    pub(super) fn log(&self, lines: &[LogLine]) -> io::Result<()> {
        if !self.with_log || self.json {
            return Ok(());
        }
        lines.iter().try_for_each(|line| {
            let text = self.coloured(&format!("log    {line}"), if line.guest { "36" } else { "2" });
            writeln!(io::stdout(), "               {text}")
        })
    }

    /// The sum of it. Whether all is as expected.
    pub(super) fn end(&self) -> io::Result<bool> {
        let good = self.wrong.is_empty();
        if self.json {
            return Ok(good);
        }
        let Self { files, done, judged, differ, wrong, .. } = self;
        let differ = match differ {
            0 => String::new(),
            differ => format!(", {differ} not as recorded"),
        };
        let of_files = format!("{files} file{}", if *files == 1 { "" } else { "s" });
        let right = judged - self.differ - wrong.len();
        let sum = format!("{of_files}, {done} steps: {right} as expected{differ}, {} wrong", wrong.len());
        writeln!(io::stdout(), "{}", self.coloured(&sum, if good { "32;1" } else { "31;1" }))?;
        wrong.iter().try_for_each(|place| writeln!(io::stdout(), "  {place}"))?;
        Ok(good)
    }

    /// It could not go on.
    pub(super) fn failed(&self, why: &str) -> io::Result<bool> {
        writeln!(io::stderr(), "tidegate: {why}")?;
        Ok(false)
    }

    fn coloured(&self, text: &str, colour: &str) -> String {
        if self.colours { format!("\x1b[{colour}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(SHORT) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
