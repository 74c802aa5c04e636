//! The figures against each other and against what was aimed at.

use crate::figures::{Figures, grouped};
use crate::processes::cores;

/// What was measured for the same work on an idle machine of this kind, where no peer ran in this run.
const PEER: &str = "evaluate, every event a bet: of Kafka Streams 4.1 on an idle machine (73,000 to 87,000/s)";

struct Row {
    what: String,
    value: String,
    target: &'static str,
    met: Option<bool>,
}

pub fn print(figures: &Figures) {
    let mut rows = Vec::new();
    for (name, words) in [("bets", "every event a bet"), ("mixed", "mixed events")] {
        rows.extend(against_limits(figures, name, words).into_iter().flatten());
    }
    rows.extend(per_event(figures));
    rows.extend(latencies(figures));
    rows.extend(peaks(figures));
    rows.extend(sessions(figures));
    if rows.is_empty() {
        return;
    }
    let width = rows.iter().map(|row| row.what.chars().count()).max().unwrap_or(0);
    println!("\n{:<width$} {:>16}   {:<10}", "", "", "target");
    for row in rows {
        let met = row.met.map_or("", |met| if met { "ok" } else { "SHORT" });
        println!("{:<width$} {:>16}   {:<10} {met}", row.what, row.value, row.target);
    }
}

/// The rate of evaluate as a share of each of its limits: what one core can read and decode, and what Redis's core can do
/// for windows. By CPU time tells the same of a machine that has other things to do as well.
fn against_limits(figures: &Figures, name: &str, words: &str) -> Option<Vec<Row>> {
    let of = |figure: &str| figures.get(&format!("{name}.{figure}"));
    let (rate, bets) = (of("per_second")?, of("bet_share").unwrap_or(1.0));
    let reading = figures.get("reading_limit.per_second")?;
    let redis = figures.get("window_limit.per_second")? / bets;
    let slower = reading.min(redis);
    let by_cpu = 1e6 / of("cpu_ours")?.max(of("cpu_redis")?);
    let parts = 1e6 / reading + figures.get("consume_decode.cpu_broker")? + 1e6 / redis;
    let all = cores() as f64 * 1e6 / parts;
    let row = |what: String, rate: f64, limit: f64| {
        plain(format!("evaluate, {words}: {what}"), format!("{:.0} %", 100.0 * rate / limit))
    };
    let target = |row| Row { target: ">= 80 %", met: Some(rate >= 0.8 * slower), ..row };
    Some(vec![
        row(format!("of reading and decoding on one core ({}/s)", grouped(reading)), rate, reading),
        row(format!("of the window step on Redis's core ({}/s)", grouped(redis)), rate, redis),
        target(row("of the slower of the two".to_owned(), rate, slower)),
        row(format!("by CPU time, a core for each ({}/s): of the slower", grouped(by_cpu)), by_cpu, slower),
        row(format!("of {} cores that do this alone, with the broker's part ({}/s)", cores(), grouped(all)), rate, all),
    ])
}

fn per_event(figures: &Figures) -> Vec<Row> {
    let mut rows = Vec::new();
    for (name, words) in [("bets", "every event a bet"), ("mixed", "mixed events")] {
        let cpu = |part: &str| figures.get(&format!("{name}.{part}"));
        let (Some(ours), Some(redis)) = (cpu("cpu_ours"), cpu("cpu_redis")) else { continue };
        rows.push(plain(
            format!("CPU an event, {words}: ours {ours:.2} + Redis {redis:.2}"),
            format!("{:.2} us", ours + redis),
        ));
    }
    for (name, words) in [("peer", "the peer's"), ("peer_warm", "the peer's second half's")] {
        rows.extend(against_peer(figures, name, words).into_iter().flatten());
    }
    if let (Some(rate), None) = (figures.get("bets.per_second"), figures.get("peer.per_second")) {
        rows.push(plain(PEER.to_owned(), format!("{:.1} to {:.1} x", rate / 87_000.0, rate / 73_000.0)));
    }
    rows
}

/// Against a job that does the same work on the same topic in the same run.
fn against_peer(figures: &Figures, name: &str, words: &str) -> Option<[Row; 2]> {
    let bets = |figure: &str| figures.get(&format!("bets.{figure}"));
    let times = bets("per_second")? / figures.get(&format!("{name}.per_second"))?;
    let share = (bets("cpu_ours")? + bets("cpu_redis")?) / figures.get(&format!("{name}.cpu_ours"))?;
    let row = |what: String, value, target, met| Row { what, value, target, met: Some(met) };
    Some([
        row(
            format!("evaluate, every event a bet: times {words} rate"),
            format!("{times:.1} x"),
            ">= 3 x",
            times >= 3.0,
        ),
        row(
            format!("evaluate, every event a bet: CPU an event, with Redis's, of {words}"),
            format!("{:.0} %", 100.0 * share),
            "<= 30 %",
            share <= 0.3,
        ),
    ])
}

fn latencies(figures: &Figures) -> Vec<Row> {
    let row = |quantile: &str, bound: f64, target| {
        let value = figures.get(&format!("latency_10k.append_{quantile}_ms"))?;
        let what = format!("event acknowledged to command readable at 10,000/s, {quantile}");
        Some(Row { what, value: format!("{value:.1} ms"), target, met: Some(value < bound) })
    };
    [row("p50", 5.0, "< 5 ms"), row("p99", 15.0, "< 15 ms")].into_iter().flatten().collect()
}

fn peaks(figures: &Figures) -> Vec<Row> {
    let of = |name: &str| figures.get(&format!("{name}.peak_mib"));
    let peak = ["bets", "mixed", "dispatch"].into_iter().filter_map(of).reduce(f64::max);
    let row = |mib: f64| Row {
        what: "peak memory of a processor".to_owned(),
        value: format!("{mib:.0} MiB"),
        target: "< 150 MiB",
        met: Some(mib < 150.0),
    };
    peak.map(row).into_iter().collect()
}

fn sessions(figures: &Figures) -> Option<Row> {
    let per_core = 1e6 / figures.get("dispatch.cpu_ours")?;
    Some(Row {
        what: "dispatch: sessions a second for each core that it uses itself".to_owned(),
        value: grouped(per_core),
        target: ">= 5,000",
        met: Some(per_core >= 5_000.0),
    })
}

fn plain(what: String, value: String) -> Row {
    Row { what, value, target: "", met: None }
}
