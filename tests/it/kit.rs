//! The services keep what the other tests rely on.

use std::os::unix::process::ExitStatusExt;
use std::panic::catch_unwind;
use std::time::Duration;

use crate::services::*;

const SOON: Duration = Duration::from_secs(20);

#[test]
fn records_come_back_from_kafka_as_they_were_written() {
    let topic = unique("round-trip");
    create_topic(kafka(), &topic, 3);
    assert_eq!(read_all(kafka(), &topic), [], "nothing yet");

    let written = [("a", "one"), ("b", "two"), ("a", "three"), ("c", "")];
    let places = produce(kafka(), &topic, &written);

    let mut expected: Vec<_> = written.iter().zip(places).map(|((key, text), place)| (place, *key, *text)).collect();
    expected.sort_unstable();
    let records = read_all(kafka(), &topic);
    let read: Vec<_> = records
        .iter()
        .map(|r| ((r.partition, r.offset), std::str::from_utf8(r.key.as_deref().unwrap()).unwrap(), r.text()))
        .collect();
    assert_eq!(read, expected);
    assert_eq!(records[0].header("error-code"), None);
}

#[tokio::test]
async fn topics_can_be_made_and_read_from_within_a_runtime() {
    let topic = unique("runtime");
    create_topic(kafka(), &topic, 1);
    assert_eq!(produce(kafka(), &topic, &[("k", "v")]), [(0, 0)]);
    assert_eq!(read_all(kafka(), &topic).len(), 1);
}

#[test]
fn a_topic_that_nobody_made_is_an_error() {
    let brokers = kafka();
    let reason = catch_unwind(|| read_all(brokers, &unique("absent"))).unwrap_err();
    assert!(reason.downcast_ref::<String>().unwrap().contains("there is no topic absent-"));
}

#[test]
fn a_broker_that_was_killed_comes_back_with_its_data() {
    let mut broker = Broker::start();
    let brokers = broker.brokers();
    create_topic(&brokers, "kept", 1);
    produce(&brokers, "kept", &[("k", "before")]);

    broker.kill();
    assert!(std::net::TcpStream::connect(&brokers).is_err(), "nothing listens any more");
    broker.restart();

    produce(&brokers, "kept", &[("k", "after")]);
    let texts: Vec<_> = read_all(&brokers, "kept").into_iter().map(|record| record.text().to_owned()).collect();
    assert_eq!(texts, ["before", "after"]);
}

#[test]
fn redis_gives_back_what_was_set() {
    let mut connection = redis::Client::open(redis_url()).unwrap().get_connection().unwrap();
    let key = unique("key");
    redis::cmd("SET").arg(&key).arg("value").exec(&mut connection).unwrap();
    assert_eq!(redis::cmd("GET").arg(&key).query::<String>(&mut connection).unwrap(), "value");
}

#[test]
fn a_redis_that_was_killed_comes_back_empty_on_its_port() {
    let mut server = RedisServer::start();
    let url = server.url();
    redis::cmd("SET").arg("k").arg("v").exec(&mut server.connect()).unwrap();
    let policy: Vec<String> =
        redis::cmd("CONFIG").arg("GET").arg("maxmemory-policy").query(&mut server.connect()).unwrap();
    assert_eq!(policy[1], "noeviction");

    server.kill();
    assert!(redis::Client::open(url.as_str()).unwrap().get_connection().is_err(), "nothing listens any more");
    server.restart_empty();

    assert_eq!(server.url(), url);
    assert_eq!(redis::cmd("DBSIZE").query::<u64>(&mut server.connect()).unwrap(), 0);
}

#[test]
fn a_frozen_redis_answers_again_once_it_is_thawed() {
    let server = RedisServer::start();
    let mut connection = server.connect();
    connection.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    server.freeze();
    assert!(redis::cmd("PING").exec(&mut connection).is_err(), "it must not answer");
    server.thaw();
    redis::cmd("PING").exec(&mut server.connect()).unwrap();
}

#[test]
fn a_child_does_not_outlive_the_process_that_started_it() {
    let home = directory("leash");
    let inner = home.path().join("inner");
    std::fs::create_dir(&inner).unwrap();
    let mut child = Child::spawn(&inner, "sleep", &["600"], &[]);
    // What the kernel does to the pipe when this process ends, by whatever signal.
    child.abandon();
    assert_eq!(child.wait_exit(SOON).signal(), Some(9));
    wait_until(SOON, "the directory of an abandoned child is removed", || !inner.exists());
}

#[test]
fn a_process_ends_as_it_is_told_and_says_what_it_wrote() {
    let echo = r#"echo "out $STEPUP_TEST_WORD"; echo "err $*" >&2; exit 3"#;
    let mut process = StepupProcess::start_program("sh", &["-c", echo, "sh", "a b"], &[("STEPUP_TEST_WORD", "spoken")]);
    assert_eq!(process.wait_exit(SOON).code(), Some(3));
    assert_eq!((process.stdout().as_str(), process.stderr().as_str()), ("out spoken\n", "err a b\n"));

    for (signal, number) in [("TERM", 15), ("KILL", 9)] {
        let mut process = StepupProcess::start_program("sleep", &["600"], &[]);
        assert_eq!(process.exited(), None);
        if signal == "TERM" {
            process.sigterm()
        } else {
            process.kill9()
        }
        assert_eq!(process.wait_exit(SOON).signal(), Some(number), "{signal}");
        assert!(!std::path::Path::new(&format!("/proc/{}", process.pid())).exists());
    }
}

#[test]
fn the_built_binary_runs() {
    let mut process = StepupProcess::start(&["--help"], &[]);
    assert!(process.directory().is_dir());
    assert!(process.wait_exit(SOON).success(), "{}", process.stderr());
}

#[test]
fn waiting_in_vain_says_what_for() {
    let reason = catch_unwind(|| wait_until(Duration::ZERO, "pigs fly", || false)).unwrap_err();
    assert!(reason.downcast_ref::<String>().unwrap().contains("until pigs fly (1 attempts)"));
    assert_eq!(wait_for(SOON, "the third attempt", three_times()), 3);
}

fn three_times() -> impl FnMut() -> Result<u32, String> {
    let mut attempts = 0;
    move || {
        attempts += 1;
        if attempts == 3 { Ok(attempts) } else { Err("not yet".to_owned()) }
    }
}
