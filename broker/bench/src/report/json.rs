//! The figures for programs. `docs/bench.md` describes the schema; a key changes its meaning only with `schema`.

use super::{Report, mebibytes};
use crate::tally::Spread;
use serde_json::{Map, Value, json};

/// The number of the schema.
const SCHEMA: u32 = 1;

impl Report<'_> {
    pub(super) fn json(&self) -> String {
        format!("{:#}\n", self.value())
    }

    fn value(&self) -> Value {
        let rates = self.rates.iter().map(|rate| {
            let per_second = rate.per_second();
            let rate_of = json!({ "count": rate.count, "seconds": rate.seconds, "per_second": per_second });
            (rate.name, rate_of)
        });
        let (broker, own): (Vec<_>, Vec<_>) = self
            .costs
            .iter()
            .map(|cost| {
                let (broker, own) = cost.each();
                ((cost.name, json!(broker)), (cost.name, json!(own)))
            })
            .unzip();
        let memory = self.team.broker.memory();
        let broker = self.team.broker.is_known().then(|| {
            json!({
                "cpu_us_per": object(broker),
                "rss_mib": {
                    "before": mebibytes(memory.before),
                    "peak": mebibytes(memory.peak),
                    "after": mebibytes(memory.after),
                },
                "threads": memory.threads,
            })
        });
        json!({
            "schema": SCHEMA,
            "version": env!("CARGO_PKG_VERSION"),
            "scenario": self.scenario,
            "good": self.is_good(),
            "interrupted": self.team.meeting.is_interrupted(),
            "options": self.options,
            "rates": object(rates),
            "latency_us": object(self.latencies.iter().map(|(name, spread)| (*name, percentiles(spread)))),
            "figures": object(self.figures.iter().map(|figure| (figure.name, json!(figure.value)))),
            "checks": self.checks,
            "broker": broker,
            "generator": { "cpu_us_per": object(own) },
        })
    }
}

fn object(pairs: impl IntoIterator<Item = (&'static str, Value)>) -> Value {
    Value::Object(pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect::<Map<_, _>>())
}

/// In microseconds. Null if there is nothing.
fn percentiles(spread: &Spread) -> Value {
    if spread.count() == 0 {
        return Value::Null;
    }
    let at = |quantile: f64| spread.at(quantile) as f64 / 1000.0;
    json!({
        "count": spread.count(),
        "min": spread.least() as f64 / 1000.0,
        "mean": spread.mean() / 1000.0,
        "p50": at(0.5),
        "p75": at(0.75),
        "p90": at(0.9),
        "p95": at(0.95),
        "p99": at(0.99),
        "p99_9": at(0.999),
        "p99_99": at(0.9999),
        "max": spread.most() as f64 / 1000.0,
    })
}
