//! The figures against each other and against what was aimed at.

use crate::figures::{Figures, grouped};
use crate::processes::cores;

/// What was measured for the same work on an idle machine of this kind, where no peer ran in this run.
const PEER: &str = "Kafka Streams 4.1, idle machine: 73,000 to 87,000 events/s, 21 to 26 CPU s per million";

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
    println!("\n{:<66} {:>16}   {:<14}", "", "", "target");
    for row in rows {
        let met = row.met.map_or("", |met| if met { "ok" } else { "SHORT" });
        println!("{:<66} {:>16}   {:<14} {met}", row.what, row.value, row.target);
    }
}

/// The rate of evaluate as a share of each of its limits.
fn against_limits(figures: &Figures, name: &str, words: &str) -> Option<Vec<Row>> {
    let rate = figures.get(&format!("{name}.per_second"))?;
    let reading = figures.get("consume_decode.per_second")?;
    let bets = figures.get(&format!("{name}.bet_share")).unwrap_or(1.0);
    let redis = figures.get("window_limit.per_second")? / bets;
    let slower = reading.min(redis);
    let share = |limit: f64| format!("{:.0} %", 100.0 * rate / limit);
    let mut rows = vec![
        plain(format!("evaluate, {words}: of reading and decoding ({}/s)", grouped(reading)), share(reading)),
        plain(format!("evaluate, {words}: of the window step on Redis's core ({}/s)", grouped(redis)), share(redis)),
        Row {
            what: format!("evaluate, {words}: of the slower of the two"),
            value: share(slower),
            target: ">= 80 %",
            met: Some(rate >= 0.8 * slower),
        },
    ];
    let (bare, broker) = (figures.get("consume_decode.cpu_ours")?, figures.get("consume_decode.cpu_broker")?);
    let parts = bare + broker + figures.get("window_step.cpu_redis")? * bets;
    let all = cores() as f64 * 1e6 / parts;
    let what =
        format!("evaluate, {words}: of {} cores with nothing but the limits' work ({}/s)", cores(), grouped(all));
    rows.push(plain(what, share(all)));
    Some(rows)
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
    match (figures.get("bets.per_second"), figures.get("peer.per_second")) {
        (Some(rate), Some(peer)) => {
            rows.push(plain(
                "evaluate, every event a bet: times the peer's rate".to_owned(),
                format!("{:.1} x", rate / peer),
            ));
        }
        (Some(rate), None) => {
            rows.push(plain(PEER.to_owned(), format!("{:.1} x the upper", rate / 87_000.0)));
        }
        (None, _) => {}
    }
    rows
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
