//! What tools ask the brokers, where those refuse or are not there.

use std::time::Duration;

use rdkafka::mocking::MockCluster;
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};
use stepup::domain::ids::Source;
use stepup::domain::time::Timestamp;
use stepup::edge::kafka::Connection;
use stepup::edge::kafka::find::Finder;
use stepup::edge::kafka::tail::{self, TailError};

use crate::services::{free_port, produce_to};
use crate::stack::PATIENCE;

#[test]
fn brokers_that_refuse_an_answer_for_a_moment_are_asked_again_and_others_are_not() {
    use RDKafkaRespErr::{
        RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION as MOVES, RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED as REFUSED,
    };
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic("busy", 2, 1).unwrap();
    let connection = Connection { brokers: cluster.bootstrap_servers(), ..Connection::default() };
    produce_to(&connection.brokers, "busy", &[(0, "a"), (1, "b"), (1, "c")]);
    let refuse = |errors: &[RDKafkaRespErr]| cluster.request_errors(RDKafkaApiKey::ListOffsets, errors);

    refuse(&[MOVES; 3]);
    let ends = tail::ends(&connection, &["busy".to_owned()], PATIENCE).unwrap();
    assert_eq!(ends.iter().map(|end| (end.partition, end.offset)).collect::<Vec<_>>(), [(0, 1), (1, 2)]);

    refuse(&[MOVES; 3]);
    let finder = Finder::new(&connection, "unused", PATIENCE).unwrap();
    let place = Source { topic: "busy".into(), partition: 1, offset: 1 };
    assert_eq!(finder.at(&place, |seen| seen.payload.map(<[u8]>::to_vec)).unwrap().as_deref(), Some(&b"c"[..]));

    // There is one refusal only: another try would have its answer.
    refuse(&[REFUSED]);
    let error = tail::ends(&connection, &["busy".to_owned()], PATIENCE).unwrap_err();
    assert!(matches!(&error, TailError::NoEnd { topic, .. } if topic == "busy"), "{error:?}");
}

#[test]
fn brokers_that_are_not_there_are_told_with_the_reason() {
    let connection = Connection { brokers: format!("127.0.0.1:{}", free_port()), ..Connection::default() };
    let hasty = Duration::from_secs(1);
    let finder = Finder::new(&connection, "unused", hasty).unwrap();
    for error in [
        anyhow::Error::from(tail::ends(&connection, &["gone".to_owned()], hasty).unwrap_err()),
        finder.committed("gone", 0).unwrap_err().into(),
        finder.stretch("gone", Timestamp(0)).unwrap_err().into(),
    ] {
        let told = format!("{error:#}");
        assert!(told.contains("the brokers do not answer: ") && told.contains("Connection refused"), "{told}");
    }
}
