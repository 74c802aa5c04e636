//! The answer as tables, for people and for spreadsheets.

use crate::domain::decide::Decision;
use crate::domain::trigger::Trigger;
use crate::roles::report::{Align, Column, Table};
use crate::wire::whatif::{Answer, Compared, Figures, Spread, Sweep};

/// Every table of the answer that has anything to tell, in order.
pub(super) fn tables(answer: &Answer) -> Vec<Table> {
    let mut tables = Vec::new();
    if let Some(sweep) = &answer.sweep {
        tables.push(sweep_table(sweep));
        return tables;
    }
    let rows = rows(answer);
    // Triggers that ask nobody stand among the decisions only.
    let asking: Vec<(&'static str, &Compared)> = rows.iter().copied().filter(|(name, one)| asks(name, one)).collect();
    if answer.total.against.is_some() {
        tables.push(changes(&asking));
    }
    tables.push(people(&asking));
    tables.push(spread(&answer.total));
    if !answer.most_affected.is_empty() {
        tables.push(most_affected(answer));
    }
    tables.push(decisions(&rows));
    if !answer.rejected.is_empty() {
        tables.push(rejected(answer));
    }
    tables
}

/// The triggers that were tested, in the order in which they are always told, and all of them together.
fn rows(answer: &Answer) -> Vec<(&'static str, &Compared)> {
    let tested = |compared: &Compared| {
        let against = compared.against.as_ref();
        !compared.figures.decisions.is_empty() || against.is_some_and(|one| !one.figures.decisions.is_empty())
    };
    let of = |trigger: &Trigger| answer.triggers.get_key_value(trigger.name()).map(|(name, one)| (*name, one));
    let triggers = Trigger::ALL.iter().filter_map(of).filter(|(_, one)| tested(one));
    triggers.chain([("total", &answer.total)]).collect()
}

fn asks(name: &str, compared: &Compared) -> bool {
    let against = compared.against.as_ref().map_or(0, |against| against.figures.required);
    name == "total" || compared.figures.required + against > 0
}

fn table(caption: &str, columns: &[&str], rows: Vec<Vec<String>>) -> Table {
    // The first column names the row, and the rest are numbers.
    let align = |place: usize| if place == 0 { Align::Left } else { Align::Right };
    let column = |(place, name): (usize, &&str)| Column { name: (*name).to_owned(), align: align(place) };
    Table { caption: caption.to_owned(), columns: columns.iter().enumerate().map(column).collect(), rows }
}

fn changes(rows: &[(&'static str, &Compared)]) -> Table {
    let row = |(name, compared): &(&'static str, &Compared)| {
        let against = compared.against.clone().unwrap_or_default();
        let (base, other, changes) = (&compared.figures, &against.figures, against.changes);
        let numbers = [
            base.required,
            other.required,
            changes.newly,
            changes.no_longer,
            base.customers,
            other.customers,
            changes.customers_newly,
            changes.customers_no_longer,
        ];
        std::iter::once((*name).to_owned()).chain(numbers.map(grouped)).collect()
    };
    let columns =
        ["trigger", "required", "against", "newly", "no longer", "customers", "against", "newly", "no longer"];
    table("What would change: events interrupted, and customers", &columns, rows.iter().map(row).collect())
}

fn people(rows: &[(&'static str, &Compared)]) -> Table {
    let mut lines = Vec::new();
    for (name, compared) in rows {
        lines.push(people_row((*name).to_owned(), &compared.figures));
        if let Some(against) = &compared.against {
            lines.push(people_row(format!("{name}, against"), &against.figures));
        }
    }
    with_cost("Whom it interrupts", "trigger", lines, &rows.iter().map(|(_, one)| &one.figures).collect::<Vec<_>>())
}

/// Prompts, customers, repeat prompts and the peak, with the cost where it is told.
fn people_row(name: String, figures: &Figures) -> Vec<String> {
    let (at, sessions) = figures.peak_minute.as_ref().map_or(("", 0), |peak| (minute(&peak.at), peak.sessions));
    let mut row = vec![name];
    row.extend([figures.prompts, figures.customers, figures.repeat_prompts, sessions].map(grouped));
    row.push(at.to_owned());
    row.extend(figures.cost.clone());
    row
}

fn with_cost(caption: &str, first: &str, rows: Vec<Vec<String>>, figures: &[&Figures]) -> Table {
    let mut columns = vec![first, "prompts", "customers", "repeat prompts", "peak minute", "at"];
    if figures.iter().any(|figures| figures.cost.is_some()) {
        columns.push("cost");
    }
    table(caption, &columns, rows)
}

/// A minute's beginning without its seconds.
fn minute(at: &str) -> &str {
    at.get(..16).unwrap_or(at)
}

fn spread(total: &Compared) -> Table {
    let against = total.against.as_ref().map(|against| against.figures.prompts_per_customer);
    let row = |(place, name): (usize, &&str)| {
        let mut row = vec![(*name).to_owned(), grouped(total.figures.prompts_per_customer.0[place])];
        row.extend(against.map(|Spread(counts)| grouped(counts[place])));
        row
    };
    let columns: &[&str] =
        if against.is_some() { &["prompts", "customers", "against"] } else { &["prompts", "customers"] };
    table("Customers by how often they are prompted", columns, Spread::NAMES.iter().enumerate().map(row).collect())
}

fn most_affected(answer: &Answer) -> Table {
    let compared = answer.most_affected.iter().any(|one| one.prompts_against.is_some());
    let rows = answer.most_affected.iter().map(|one| {
        let mut row = vec![one.tenant_id.clone(), one.customer_id.clone(), grouped(one.prompts)];
        row.extend(one.prompts_against.map(grouped));
        row
    });
    let columns: &[&str] =
        if compared { &["tenant", "customer", "prompts", "against"] } else { &["tenant", "customer", "prompts"] };
    let mut table = table("Customers most affected", columns, rows.collect());
    if let Some(customer) = table.columns.get_mut(1) {
        customer.align = Align::Left;
    }
    table
}

fn decisions(rows: &[(&'static str, &Compared)]) -> Table {
    let compared = rows.iter().any(|(_, one)| one.against.is_some());
    let mut lines = Vec::new();
    for (trigger, one) in rows {
        for name in Decision::NAMES {
            let base = one.figures.decisions.get(name).copied();
            let against = one.against.as_ref().and_then(|against| against.figures.decisions.get(name).copied());
            if base.or(against).is_some() {
                let mut line = vec![(*trigger).to_owned(), name.to_owned(), grouped(base.unwrap_or_default())];
                line.extend(compared.then(|| grouped(against.unwrap_or_default())));
                lines.push(line);
            }
        }
    }
    let columns: &[&str] =
        if compared { &["trigger", "decision", "events", "against"] } else { &["trigger", "decision", "events"] };
    let mut table = table("Decisions", columns, lines);
    if let Some(decision) = table.columns.get_mut(1) {
        decision.align = Align::Left;
    }
    table
}

fn rejected(answer: &Answer) -> Table {
    let rows = answer.rejected.iter().map(|(code, lines)| vec![(*code).to_owned(), grouped(*lines)]);
    table("Lines that cannot be processed", &["code", "lines"], rows.collect())
}

fn sweep_table(sweep: &Sweep) -> Table {
    let rows = sweep.steps.iter().map(|step| {
        let mut row = people_row(step.value.clone(), &step.figures);
        row.push(grouped(step.total.prompts));
        row.push(grouped(step.total.customers));
        row
    });
    let figures: Vec<&Figures> = sweep.steps.iter().map(|step| &step.figures).collect();
    let caption = format!("{} prompts by {}", sweep.trigger, sweep.term);
    let mut table = with_cost(&caption, &sweep.term, rows.collect(), &figures);
    if let Some(value) = table.columns.first_mut() {
        value.align = Align::Right;
    }
    for name in ["prompts of all", "customers of all"] {
        table.columns.push(Column { name: name.to_owned(), align: Align::Right });
    }
    table
}

/// Digits in groups of three: `1,234,567`.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let groups = digits.as_bytes().rchunks(3).rev().map(|group| String::from_utf8_lossy(group).into_owned());
    groups.collect::<Vec<String>>().join(",")
}

/// What a row for spreadsheets tells of figures, in this order.
const FIGURES: [&str; 7] =
    ["required", "prompts", "repeat_prompts", "customers", "peak_sessions", "peak_minute", "cost"];

fn figures_row(figures: &Figures) -> Vec<String> {
    let peak = figures.peak_minute.as_ref();
    let mut row: Vec<String> =
        [figures.required, figures.prompts, figures.repeat_prompts, figures.customers].map(|n| n.to_string()).into();
    row.push(peak.map_or(0, |peak| peak.sessions).to_string());
    row.push(peak.map(|peak| peak.at.clone()).unwrap_or_default());
    row.push(figures.cost.clone().unwrap_or_default());
    row
}

fn names_with(suffix: &str) -> impl Iterator<Item = String> {
    FIGURES.into_iter().map(move |name| format!("{name}{suffix}"))
}

/// The answer as CSV: a row for each trigger tested and one for all, or one for each step of a sweep.
pub(super) fn csv(answer: &Answer) -> Result<Vec<u8>, csv::Error> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    if let Some(sweep) = &answer.sweep {
        let head = ["term".to_owned(), "value".to_owned()];
        writer.write_record(head.into_iter().chain(names_with("")).chain(names_with("_total")))?;
        for step in &sweep.steps {
            let head = vec![sweep.term.clone(), step.value.clone()];
            writer.write_record([head, figures_row(&step.figures), figures_row(&step.total)].concat())?;
        }
    } else {
        let compared = answer.total.against.is_some();
        let mut head: Vec<String> = std::iter::once("trigger".to_owned()).chain(names_with("")).collect();
        if compared {
            head.extend(names_with("_against"));
            head.extend(["newly", "no_longer", "customers_newly", "customers_no_longer"].map(str::to_owned));
        }
        writer.write_record(head)?;
        for (name, one) in rows(answer) {
            let mut row = [vec![name.to_owned()], figures_row(&one.figures)].concat();
            if let Some(against) = &one.against {
                let changes = against.changes;
                row.extend(figures_row(&against.figures));
                row.extend(
                    [changes.newly, changes.no_longer, changes.customers_newly, changes.customers_no_longer]
                        .map(|number| number.to_string()),
                );
            }
            writer.write_record(row)?;
        }
    }
    writer.into_inner().map_err(|error| error.into_error().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_stand_in_groups_of_three() {
        for (number, want) in [(0, "0"), (999, "999"), (1_000, "1,000"), (1_234_567, "1,234,567"), (12_345, "12,345")] {
            assert_eq!(grouped(number), want);
        }
    }
}
