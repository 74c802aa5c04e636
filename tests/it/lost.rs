//! A Redis that lost what it kept: nobody is asked twice for it, and nobody is missed.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::Value;
use stepup::edge::clock;

use crate::services::{self, RedisServer, kafka, wait_for, wait_until};
use crate::stack::{PATIENCE, Processor, Stack, event, just_now, one_outcome_each};

const WATCHED: &str = r#"{"is_reuse_kyc_enabled":true,"reuse_kyc_triggers":{"password_change":true,
    "high_frequency_betting":{"enabled":true,"count":4,"window_minutes":10}}}"#;

fn bet(customer: &str, number: u32) -> (String, String) {
    let at = clock::now().minus(Duration::from_secs(60)).plus(Duration::from_secs(number.into())).to_string();
    event("acme", customer, &format!("{customer}-bet-{number}"), "bet", &at, r#","amount":"5""#)
}

fn change(customer: &str, id: &str) -> (String, String) {
    event("acme", customer, id, "password_change", &just_now(), "")
}

fn decided(processor: &Processor) -> f64 {
    processor.metric("stepup_events_total", &["result=\"decided\""])
}

fn refills(processor: &Processor) -> f64 {
    processor.metric("stepup_refills_total", &["role=\"evaluate\""])
}

fn flush(redis: &RedisServer) {
    redis::cmd("FLUSHALL").exec(&mut redis.connect()).unwrap();
}

fn commanded(stack: &Stack, trigger: &str) -> Vec<Value> {
    stack.json("commands").into_iter().filter(|command| command["event"] == trigger).collect()
}

#[test]
fn windows_and_cool_downs_outlive_a_redis_that_was_emptied() {
    let redis = RedisServer::start();
    let stack = Stack::on("emptied", 3, &[("acme", WATCHED)], kafka(), &redis.url());
    let processor = stack.run("evaluate,dispatch");
    for customer in ["ann", "bob", "cy"] {
        stack.produce(&[bet(customer, 1), bet(customer, 2), change(customer, &format!("{customer}-first"))]);
    }
    stack.outcomes(3);
    wait_until(PATIENCE, "all is decided", || decided(&processor) == 9.0);
    let at_first = refills(&processor);
    flush(&redis);
    for customer in ["ann", "bob", "cy"] {
        stack.produce(&[bet(customer, 3), bet(customer, 4), change(customer, &format!("{customer}-second"))]);
    }
    wait_until(PATIENCE, "all is decided", || decided(&processor) == 18.0);
    assert!(refills(&processor) > at_first, "it was filled again");
    assert_eq!(commanded(&stack, "high_frequency_betting").len(), 3, "the fourth bet of each is seen as the fourth");
    assert_eq!(commanded(&stack, "password_change").len(), 3, "and nobody is asked again within the cool-down");
    processor.until_ready();
    assert_eq!(one_outcome_each(&stack.outcomes(6)).len(), 6);
}

#[test]
fn a_bet_that_was_rejected_does_not_count_when_windows_are_filled_again() {
    let redis = RedisServer::start();
    let stack = Stack::on("rejected-bets", 1, &[("acme", WATCHED)], kafka(), &redis.url())
        .with("evaluate: { max_clock_skew: 1s }");
    let processor = stack.run("evaluate");
    let soon = clock::now().plus(Duration::from_secs(8));
    let ahead = |id: &str, at: &str| event("acme", "ann", id, "bet", at, r#","amount":"5""#);
    stack.produce(&[bet("ann", 1), bet("ann", 2)]);
    stack.produce(&[ahead("soon", &soon.to_string()), ahead("far", "2099-01-01T00:00:00Z")]);
    wait_until(PATIENCE, "two are rejected", || stack.read("dead-letters").len() == 2);
    wait_until(PATIENCE, "two are decided", || decided(&processor) == 2.0);
    wait_until(PATIENCE, "one would not be rejected any more", || clock::now() > soon);
    let at_first = refills(&processor);
    flush(&redis);
    stack.produce(&[bet("ann", 3)]);
    wait_until(PATIENCE, "the third is decided", || decided(&processor) == 3.0);
    assert!(refills(&processor) > at_first, "it was filled again");
    assert!(stack.read("commands").is_empty(), "what was rejected is no bet");
    stack.produce(&[bet("ann", 4)]);
    wait_until(PATIENCE, "the fourth is decided", || decided(&processor) == 4.0);
    assert_eq!(commanded(&stack, "high_frequency_betting").len(), 1, "the window's newest bet is none from 2099");
}

#[test]
fn a_command_that_ended_before_redis_was_emptied_does_not_end_again_otherwise() {
    let redis = RedisServer::start();
    let stack = Stack::on("ended", 1, &[("acme", WATCHED)], kafka(), &redis.url());
    let processor = stack.run("evaluate,dispatch");
    stack.produce(&[change("ann", "ann-first")]);
    let first = stack.outcomes(1);
    flush(&redis);
    // The same command once more, as after a crash before the commit.
    let record = &stack.read("commands")[0];
    let text = String::from_utf8(record.payload.clone()).unwrap();
    services::produce(&stack.brokers, &stack.topic("commands"), &[("acme/ann", text.as_str())]);
    let all = wait_for(PATIENCE, "its outcome is published again", || {
        let all = stack.json("outcomes");
        if all.len() >= 2 { Ok(all) } else { Err(format!("{}", all.len())) }
    });
    assert_eq!(all[1], first[0]);
    assert_eq!(stack.simulator("/sim/stats")["created"], 1, "no second session is made");
    processor.until_ready();
}

#[test]
fn two_replicas_fill_it_once_and_a_new_start_after_a_loss_knows_it() {
    let redis = RedisServer::start();
    let stack = Stack::on("twice", 4, &[("acme", WATCHED)], kafka(), &redis.url());
    let (first, second) = (stack.run("evaluate"), stack.run("evaluate"));
    let both = |what: fn(&Processor) -> f64| what(&first) + what(&second);
    let customers: Vec<String> = (0..30).map(|number| format!("c{number}")).collect();
    for customer in &customers {
        stack.produce(&[bet(customer, 1), bet(customer, 2), bet(customer, 3)]);
    }
    wait_until(PATIENCE, "all is decided", || both(decided) >= 90.0);
    flush(&redis);
    for customer in &customers[..15] {
        stack.produce(&[bet(customer, 4)]);
    }
    wait_until(PATIENCE, "they are commanded", || commanded(&stack, "high_frequency_betting").len() >= 15);
    assert_eq!(both(refills), 1.0);
    drop((first, second));
    flush(&redis);
    let third = stack.run("evaluate");
    for customer in &customers[15..] {
        stack.produce(&[bet(customer, 4)]);
    }
    // What was not committed when they were killed is commanded again under the same ids.
    let different = || {
        let commands = commanded(&stack, "high_frequency_betting");
        commands.iter().map(|command| command["id"].to_string()).collect::<BTreeSet<_>>().len()
    };
    wait_until(PATIENCE, "they are commanded", || different() >= 30);
    assert_eq!(different(), 30);
    assert_eq!(refills(&third), 1.0);
}
