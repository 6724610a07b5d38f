//! `tidegate plugin bench`: what a plugin costs, asked what its scenarios ask.

use crate::{
    play::{self, Chosen, say},
    scenario::{Line, Scenario, Step, value},
    trial::{Cache, Cost},
};
use serde_json::{Value, json};
use std::{
    fs,
    io::{self, Write},
    process::ExitCode,
    time::Duration,
};
use tidegate_plugin_host::parse_duration;

/// `tidegate plugin bench`
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    #[command(flatten)]
    chosen: Chosen,
    /// How long to ask each question
    #[arg(long, default_value = "1s", value_parser = parse_duration)]
    duration: Duration,
    /// One JSON object
    #[arg(long)]
    json: bool,
}

/// What came of one file.
struct Measured {
    name: String,
    cold: Duration,
    cached: Duration,
    /// Bytes of linear memory of an instance.
    memory: u64,
    questions: Vec<(usize, String, String, Cost)>,
}

/// Exit code 1: there are no figures; why was said.
pub fn run(options: &Options) -> ExitCode {
    match measure_all(options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            // There is nobody else to tell.
            _ = writeln!(io::stderr(), "tidegate: {why}");
            ExitCode::FAILURE
        }
    }
}

fn measure_all(options: &Options) -> Result<(), String> {
    let scenarios = options.chosen.scenarios()?;
    let size = fs::metadata(&options.chosen.file).map_err(|why| why.to_string())?.len();
    let runtime = play::runtime()?;
    let mut files = Vec::new();
    if !options.json {
        say(&format!("{}, {}", options.chosen.file.display(), play::bytes(size)))?;
    }
    for scenario in &scenarios {
        // A plugin that is expected to be refused costs nothing.
        if scenario.lines.first().and_then(Line::refusal).is_some() {
            continue;
        }
        let measured = runtime.block_on(measure(options, scenario))?;
        if !options.json {
            say(&in_words(&measured))?;
        }
        files.push(measured);
    }
    if options.json {
        let files: Vec<Value> = files.iter().map(as_json).collect();
        say(&json!({"file": options.chosen.file, "bytes": size, "scenarios": files}).to_string())?;
    }
    Ok(())
}

async fn measure(options: &Options, scenario: &Scenario) -> Result<Measured, String> {
    let (trial, cold) = options.chosen.start(scenario, Cache::Empty).await?;
    trial.stop().await;
    // The first may have to compile it.
    let (trial, _) = options.chosen.start(scenario, Cache::Shared).await?;
    trial.stop().await;
    let (mut trial, cached) = options.chosen.start(scenario, Cache::Shared).await?;
    let mut questions = Vec::new();
    for line in scenario.lines.iter().filter(|line| !matches!(line.step, Step::Plugin(_) | Step::Recording)) {
        // What the plugin did is not kept while it is measured, so nothing can be waited for.
        if line.step.waits() {
            continue;
        }
        let place = || format!("{}:{}", scenario.file.display(), line.number);
        let outcome = trial.step(&line.step, line.within.as_deref()).await;
        let outcome = outcome.map_err(|why| format!("{}: {why}", place()))?;
        // What fails is not worth a figure, and would open the breaker.
        let failed = outcome.as_ref().is_some_and(|outcome| outcome.get("fault").is_some());
        if failed {
            continue;
        }
        let costs = trial.measure(&line.step, options.duration).await;
        let word = outcome.as_ref().and_then(value::word_of).cloned().unwrap_or_default();
        for cost in costs.map_err(|why| format!("{}: {why}", place()))? {
            questions.push((line.number, line.step.in_words(), word.clone(), cost));
        }
    }
    let memory = trial.memory_of_an_instance();
    trial.stop().await;
    let name = scenario.file.display().to_string();
    Ok(Measured { name, cold, cached, memory, questions })
}

fn in_words(measured: &Measured) -> String {
    let Measured { name, cold, cached, memory, questions } = measured;
    let ms = |time: &Duration| format!("{:.1} ms", time.as_secs_f64() * 1e3);
    let mut said = format!(
        "\n{name}\n  load      {} when it is new, {} from the cache of compiled code\n  memory    {} an instance\n",
        ms(cold),
        ms(cached),
        play::bytes(*memory)
    );
    if questions.is_empty() {
        said.push_str("  no question of it reaches the plugin\n");
        return said;
    }
    said.push_str(&format!(
        "  {:>4}  {:>10}  {:>19}  {:>10}  {:>9}  HOOK           QUESTION\n",
        "LINE", "CPU, NS", "FROM – TO", "TIME, NS", "CALLS"
    ));
    for (line, what, came, cost) in questions {
        let Cost { hook, calls, faults, cpu, wall } = cost;
        let range = format!("{} – {}", grouped(cpu.least), grouped(cpu.most));
        let failed = if *faults > 0 { format!(", {faults} failed") } else { String::new() };
        said.push_str(&format!(
            "  {line:>4}  {:>10}  {range:>19}  {:>10}  {calls:>9}  {hook:<13}  {what} → {came}{failed}\n",
            grouped(cpu.median),
            grouped(wall.median),
        ));
    }
    said
}

/// `12,345`
fn grouped(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut grouped = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at) % 3 == 0 {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

fn as_json(measured: &Measured) -> Value {
    let Measured { name, cold, cached, memory, questions } = measured;
    let question = |(line, what, came, cost): &(usize, String, String, Cost)| {
        let Cost { hook, calls, faults, cpu, wall } = cost;
        json!({
            "line": line, "question": what, "outcome": came, "hook": hook, "calls": calls, "faults": faults,
            "cpu_ns": cpu.median, "cpu_ns_least": cpu.least, "cpu_ns_most": cpu.most, "time_ns": wall.median,
        })
    };
    json!({
        "scenario": name, "cold_load_ms": cold.as_secs_f64() * 1e3, "cached_load_ms": cached.as_secs_f64() * 1e3,
        "instance_memory": memory, "questions": questions.iter().map(question).collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped() {
        assert_eq!([0.4, 999.6, 1234.0, 1_234_567.0].map(grouped), ["0", "1,000", "1,234", "1,234,567"]);
    }
}
