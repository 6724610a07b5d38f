//! `tidegate plugin test`: scenarios done one after the other on the production host, and what came of each line.

mod report;

use crate::{
    play::{self, Chosen},
    scenario::{Expected, Scenario, Step, value},
    trial::{Cache, LogLine, Trial, TrialError},
};
use report::{Report, Verdict};
use serde_json::{Value, json};
use std::{io, process::ExitCode, time::Duration};

/// `tidegate plugin test`
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    #[command(flatten)]
    chosen: Chosen,
    /// A JSON object a line, instead of text
    #[arg(long)]
    json: bool,
    /// Show what the plugin logs
    #[arg(long)]
    log: bool,
    /// Answers that are not as recorded are wrong, and not just said
    #[arg(long)]
    strict: bool,
}

/// Exit code 0: all as expected. 1: something is not, or makes no sense; what and where was said.
pub fn run(options: &Options) -> ExitCode {
    let mut report = Report::new(options.json, options.log);
    let done = run_all(options, &mut report);
    let said = match &done {
        Ok(()) => report.end(),
        Err(why) => report.failed(why),
    };
    match (done, said) {
        (Ok(()), Ok(true)) => ExitCode::SUCCESS,
        // Also if nobody listens any more.
        _ => ExitCode::FAILURE,
    }
}

fn run_all(options: &Options, report: &mut Report) -> Result<(), String> {
    let scenarios = options.chosen.scenarios()?;
    let runtime = play::runtime()?;
    for scenario in &scenarios {
        report.begin(&scenario.file).map_err(nobody_listens)?;
        runtime.block_on(play(options, scenario, report))?;
        report.end_of_file().map_err(nobody_listens)?;
    }
    Ok(())
}

fn nobody_listens(why: io::Error) -> String {
    format!("cannot write to stdout: {why}")
}

async fn play(options: &Options, scenario: &Scenario, report: &mut Report) -> Result<(), String> {
    let first = scenario.lines.first();
    if let Some((line, part)) = first.and_then(|line| Some((line, line.refusal()?))) {
        let started = options.chosen.try_start(scenario, Cache::Shared).await;
        let verdict = refused(started, part).await?;
        return report.line(line, &verdict).map_err(nobody_listens);
    }
    let (mut trial, _) = options.chosen.start(scenario, Cache::Shared).await?;
    let table = first.filter(|line| matches!(line.step, Step::Plugin(_)));
    let said = table.map_or(Ok(()), |line| {
        let hooks: Vec<Value> = trial.hooks().into_iter().map(Value::from).collect();
        report.line(line, &Verdict::Done(Some(hooks.into()))).map_err(nobody_listens)
    });
    let played = match said {
        Ok(()) => play_lines(options, scenario, &mut trial, report).await,
        Err(why) => Err(why),
    };
    trial.stop().await;
    played
}

/// Whether a plugin that was expected to be refused, for a reason with `part` in it, was.
async fn refused(started: Result<(Trial, Duration), TrialError>, part: &str) -> Result<Verdict, String> {
    match started {
        Ok((trial, _)) => {
            trial.stop().await;
            let why = "expected it to be refused, but it started".to_owned();
            Ok(Verdict::wrong(why, "loaded".into(), Vec::new()))
        }
        Err(TrialError::Refused { reason }) if reason.contains(part) => {
            Ok(Verdict::AsExpected(json!({ "refused": reason })))
        }
        Err(TrialError::Refused { reason }) => {
            let why = format!("expected it to be refused for {part:?}");
            Ok(Verdict::wrong(why, json!({ "refused": reason }), Vec::new()))
        }
        Err(why) => Err(why.to_string()),
    }
}

async fn play_lines(
    options: &Options,
    scenario: &Scenario,
    trial: &mut Trial,
    report: &mut Report,
) -> Result<(), String> {
    for line in scenario.lines.iter().filter(|line| !matches!(line.step, Step::Plugin(_) | Step::Recording)) {
        let mark = trial.log_mark();
        let outcome = trial.step(&line.step, line.within.as_deref()).await;
        let logged = trial.logged_since(mark);
        let verdict = match outcome {
            Ok(outcome) => judge(&line.expected, outcome, logged.clone(), options.strict),
            // Such as a step of an authentication that this plugin did not begin.
            Err(why) if matches!(line.expected, Expected::Before(_)) => {
                differs(why, Value::Null, logged.clone(), options.strict)
            }
            Err(why) => return Err(format!("{}:{}: {why}", scenario.file.display(), line.number)),
        };
        report.line(line, &verdict).map_err(nobody_listens)?;
        report.log(&logged).map_err(nobody_listens)?;
    }
    Ok(())
}

/// Whether an outcome is as it should be.
fn judge(expected: &Expected, outcome: Option<Value>, logged: Vec<LogLine>, strict: bool) -> Verdict {
    // Nothing came, or something else: of steps that wait.
    let amiss = |outcome: &Value| {
        let word = value::word_of(outcome)?;
        let why = outcome.get("why").or_else(|| outcome.get("missing")).and_then(Value::as_str);
        ["missing", "unexpected"]
            .contains(&word.as_str())
            .then(|| why.unwrap_or("there is something").to_owned())
    };
    match (expected, outcome) {
        (Expected::Nothing | Expected::Before(_), None) => Verdict::Done(None),
        (Expected::This(expected), None) => Verdict::wrong(
            format!("nothing can come of this step but {}", value::in_words(expected)),
            Value::Null,
            logged,
        ),
        (_, Some(outcome)) if let Some(why) = amiss(&outcome) => Verdict::wrong(why, outcome, logged),
        (Expected::Nothing, Some(outcome)) => match outcome.get("fault") {
            Some(_) => Verdict::wrong("it failed".to_owned(), outcome, logged),
            // Steps that wait expect something by themselves.
            None if was_waited_for(&outcome) => Verdict::AsExpected(outcome),
            None => Verdict::Done(Some(outcome)),
        },
        (Expected::This(expected), Some(outcome)) => match value::as_expected(expected, &outcome) {
            Ok(()) => Verdict::AsExpected(outcome),
            Err(why) => Verdict::wrong(why, outcome, logged),
        },
        (Expected::Before(before), Some(outcome)) => {
            let same = value::as_expected(before, &outcome);
            match same.and_then(|()| value::nothing_more(before, &outcome)) {
                Ok(()) => Verdict::AsExpected(outcome),
                Err(why) => differs(why, outcome, logged, strict),
            }
        }
    }
}

/// Not as recorded.
fn differs(why: String, outcome: Value, logged: Vec<LogLine>, strict: bool) -> Verdict {
    match strict || outcome.get("fault").is_some() {
        true => Verdict::wrong(why, outcome, logged),
        false => Verdict::Differs { why, outcome },
    }
}

fn was_waited_for(outcome: &Value) -> bool {
    let word = value::word_of(outcome).map(String::as_str);
    matches!(word, Some("published" | "disconnected" | "requested" | "logged" | "nothing"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_expected_is_right() {
        let judge = |expected: Expected, outcome| judge(&expected, Some(outcome), Vec::new(), false);
        let pass = || Expected::This("pass".into());
        assert!(matches!(judge(pass(), json!("pass")), Verdict::AsExpected(_)));
        assert!(matches!(judge(pass(), json!("swallow")), Verdict::Wrong { .. }));
        assert!(matches!(judge(Expected::Nothing, json!("swallow")), Verdict::Done(_)));
        assert!(matches!(judge(Expected::Nothing, json!({"fault": "trap"})), Verdict::Wrong { .. }));
        assert!(matches!(judge(pass(), json!({"fault": "trap"})), Verdict::Wrong { .. }));
        assert!(matches!(judge(Expected::Nothing, json!({"missing": "no"})), Verdict::Wrong { .. }));
        let unexpected = json!({"unexpected": {"topic": "a"}, "why": "published.topic: …"});
        assert!(matches!(judge(Expected::Nothing, unexpected), Verdict::Wrong { .. }));
    }

    #[test]
    fn what_was_recorded_is_compared_and_counts_only_if_asked_to() {
        let before = Expected::Before("pass".into());
        let judge = |outcome, strict| judge(&before, Some(outcome), Vec::new(), strict);
        assert!(matches!(judge(json!("pass"), false), Verdict::AsExpected(_)));
        assert!(matches!(judge(json!("swallow"), false), Verdict::Differs { .. }));
        assert!(matches!(judge(json!("swallow"), true), Verdict::Wrong { .. }));
        assert!(matches!(judge(json!({"fault": "trap"}), false), Verdict::Wrong { .. }));
    }
}
