//! Positions that the brokers do not hold: nothing is taken for done, and nothing is jumped over.

use crate::services::{Broker, create_topic, delete_records, delete_topic, redis_url, wait_until};
use crate::stack::{PATIENCE, Processor, Stack, event, just_now, one_outcome_each};

const ON: &str = r#"{"is_reuse_kyc_enabled":true,"reuse_kyc_triggers":{"password_change":true}}"#;

/// Events of customers of their own, each of which is a command.
fn changes(of: &str, number: usize) -> Vec<(String, String)> {
    let change = |n| event("acme", &format!("{of}-{n}"), &format!("{of}-{n}"), "password_change", &just_now(), "");
    (0..number).map(change).collect()
}

/// A stack of which fifty events are decided, and who decided them.
fn with_fifty_done(name: &str) -> (Stack, Processor) {
    let stack = Stack::new(name, 1, &[("acme", ON)]);
    let processor = decide_fifty(&stack, "earliest");
    (stack, processor)
}

fn decide_fifty(stack: &Stack, start: &str) -> Processor {
    let processor = stack.run_with("evaluate", &[("STEPUP__KAFKA__START", start)]);
    processor.until_ready();
    stack.produce(&changes("first", 50));
    until_commanded(stack, 50);
    processor
}

#[track_caller]
fn until_commanded(stack: &Stack, commands: usize) {
    wait_until(PATIENCE, "all are commanded", || stack.read("commands").len() == commands);
}

fn make_again(stack: &Stack, topic: &str) {
    delete_topic(&stack.brokers, &stack.topic(topic));
    create_topic(&stack.brokers, &stack.topic(topic), 1);
}

/// Fifty records were read of the one that is no more.
#[track_caller]
fn until_noticed(processor: &Processor, topic: &str) {
    let position = format!("{topic}[0]@50 (held: 0 to 0)");
    wait_until(PATIENCE, "it is noticed", || processor.process.stderr().contains(&position));
}

#[track_caller]
fn until_it_stands(processor: &Processor, why: &str) {
    wait_until(PATIENCE, "it says so", || processor.page("/readyz").is_err_and(|page| page.contains(why)));
    assert_eq!(processor.metric("stepup_held", &["kafka_input"]), 1.0);
}

#[test]
fn a_topic_that_was_made_again_while_it_was_read_is_read_from_its_beginning() {
    let (stack, mut processor) = with_fifty_done("again");
    make_again(&stack, "activity");
    until_noticed(&processor, "activity");
    // More than were read of the old one.
    stack.produce(&changes("second", 200));
    until_commanded(&stack, 250);
    processor.until_ready();
    processor.stop();
    let mut processor = stack.run("evaluate");
    stack.produce(&changes("third", 1));
    until_commanded(&stack, 251);
    processor.stop();
}

/// A partition's leader is counted with every restart of its broker, and a topic that is made again begins to count anew. The
/// client takes that for old news and fetches nothing, and no broker refuses anything.
#[test]
fn a_topic_that_was_made_again_on_brokers_that_were_restarted_is_read_from_its_beginning() {
    let mut broker = Broker::start();
    let on = |name| Stack::on(name, 1, &[("acme", ON)], &broker.brokers(), redis_url());
    let (shorter, longer) = (on("shorter"), on("longer"));
    broker.restart();
    let stacks = [(&shorter, 20, "earliest"), (&longer, 200, "latest")]
        .map(|(stack, events, start)| (stack, events, decide_fifty(stack, start)));
    for (stack, events, _) in &stacks {
        make_again(stack, "activity");
        stack.produce(&changes("second", *events));
    }
    for (stack, events, mut processor) in stacks {
        until_commanded(stack, 50 + events);
        processor.until_ready();
        let said = processor.process.stderr();
        assert!(said.contains("made again"), "{said}");
        processor.stop();
        let mut processor = stack.run("evaluate");
        stack.produce(&changes("third", 1));
        until_commanded(stack, 51 + events);
        processor.stop();
    }
}

#[test]
fn a_topic_that_was_made_again_while_nobody_read_it_is_read_from_its_beginning() {
    let (stack, mut processor) = with_fifty_done("meanwhile");
    processor.stop();
    make_again(&stack, "activity");
    stack.produce(&changes("second", 200));
    let processor = stack.run("evaluate");
    until_commanded(&stack, 250);
    processor.until_ready();
}

#[test]
fn commands_on_a_topic_that_was_made_again_have_their_outcomes() {
    let stack = Stack::new("commands", 1, &[("acme", ON)]);
    let mut processor = stack.run("evaluate,dispatch");
    stack.produce(&changes("first", 50));
    stack.outcomes(50);
    make_again(&stack, "commands");
    until_noticed(&processor, "commands");
    stack.produce(&changes("second", 60));
    assert_eq!(one_outcome_each(&stack.outcomes(110)).len(), 110);
    processor.until_ready();
    processor.stop();
}

#[test]
fn a_partition_whose_next_records_were_deleted_stands_however_often_it_is_started() {
    let (stack, mut processor) = with_fifty_done("deleted");
    processor.stop();
    stack.produce(&changes("second", 50));
    delete_records(&stack.brokers, &stack.topic("activity"), 0, 80);
    for _ in 0..2 {
        let mut processor = stack.run("evaluate");
        until_it_stands(&processor, "activity[0]@50 (held: 80 to 100)");
        processor.stop();
    }
    assert_eq!(stack.read("commands").len(), 50, "it does not jump by itself");
}
