//! Clients connect and subscribe, a bounded number at once, and may stay idle.

use super::arrivals::Arrivals;
use crate::{
    crew::Crew,
    failure::Failure,
    links::Identity,
    options::Connect,
    process::Cpu,
    report::{Cost, Figure, Rate, Report},
    tally::Spread,
};
use std::process::ExitCode;
use tidegate_mqtt::QoS;

pub(super) fn run(options: &Connect) -> Result<ExitCode, Failure> {
    let clients = options.clients as usize;
    let progress = &["connected"];
    let team =
        super::assemble(&options.connection, &options.output, clients, options.clients, false, progress)?;
    let prefix = format!("{}/connect", options.connection.topic);
    let parts = team.run(|rank| {
        let mut crew = Crew::new(&team, rank, options.at_once as usize / team.threads(), 0)?;
        let start = team.agree(rank)?;
        let before = team.broker.cpu();
        let identity = |number| Identity::new(&team, number);
        let filter = |number| format!("{prefix}/{number}");
        let numbers = team.share(rank, clients);
        let mut arrivals = Arrivals::new(&team, &mut crew.links, QoS::AtMostOnce, numbers, identity, filter);
        crew.work(&mut arrivals)?;
        let all_in = team.agree(rank)?;
        let after = team.broker.cpu();
        arrivals.stay(all_in + options.idle.as_nanos() as u64);
        crew.work(&mut arrivals)?;
        let end = team.agree(rank)?;
        let times = Times {
            connecting: all_in - start,
            cpu: after.since(&before),
            idle: end - all_in,
            idle_cpu: team.broker.cpu().since(&after),
            resident: team.broker.resident(),
        };
        team.meeting.wait()?;
        crew.links.leave_all()?;
        Ok((arrivals, times))
    })?;
    team.broker.look_after();

    let mut report = Report::new("connect", &team, options);
    report.what = format!("{clients} clients, {} at once", options.at_once);
    let count = parts.iter().map(|(arrivals, _)| arrivals.subscribed).sum();
    report.latencies.push(("until_connack", Spread::sum(parts.iter().map(|(part, _)| &part.connack))));
    report.latencies.push(("until_suback", Spread::sum(parts.iter().map(|(part, _)| &part.suback))));
    // What the first thread has seen is as good as what another has.
    if let Some((_, times)) = parts.first() {
        times.tell(count, !options.idle.is_zero(), &mut report);
    }
    super::tell(&report, &options.output)
}

/// Nanoseconds and bytes.
struct Times {
    connecting: u64,
    cpu: Cpu,
    idle: u64,
    idle_cpu: Cpu,
    resident: u64,
}

impl Times {
    fn tell(&self, count: u64, was_idle: bool, report: &mut Report<'_>) {
        report.rates.push(Rate { name: "connections", count, seconds: self.connecting as f64 / 1e9 });
        report.costs.push(Cost { name: "connection", count, cpu: self.cpu });
        if !report.team.broker.is_known() || count == 0 {
            return;
        }
        let more = self.resident.saturating_sub(report.team.broker.memory().before);
        let value = more as f64 / 1024.0 / count as f64;
        let text = "the broker's memory for each open connection, KiB";
        report.figures.push(Figure { name: "memory_per_connection_kib", value, text });
        if was_idle {
            let value = self.idle_cpu.broker as f64 * 100.0 / self.idle.max(1) as f64;
            let text = "the broker's CPU time while all were idle, % of a core";
            report.figures.push(Figure { name: "idle_cpu_percent", value, text });
        }
    }
}
