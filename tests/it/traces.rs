//! One trace from an event to its outcome, as a collector and the session API see it.

use std::collections::BTreeSet;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value};
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;
use rdkafka::ClientConfig;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{FutureProducer, FutureRecord};
use serde_json::Value;

use crate::services::{self, Record, wait_for, wait_until};
use crate::stack::{PATIENCE, Stack, event, free_port, just_now};

const PREFERENCES: &str = r#"{"is_reuse_kyc_enabled":true,"reuse_kyc_triggers":{"password_change":true,
    "withdrawal":{"enabled":true,"threshold":100}}}"#;
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CAUSE: &str = "00f067aa0ba902b7";
const STATE: &str = "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE";
const TOKEN: &str = "a-token-nobody-may-see";

/// A collector and a session API in one. The first call of the sampled trace fails.
#[derive(Clone, Default)]
struct Seen(Arc<Mutex<(Vec<Bytes>, Vec<Call>)>>);

/// A call of the session API.
#[derive(Clone)]
struct Call {
    customer: String,
    parent: Option<String>,
    state: Option<String>,
}

async fn export(State(seen): State<Seen>, headers: HeaderMap, body: Bytes) -> StatusCode {
    assert_eq!(headers["content-type"], "application/x-protobuf");
    seen.0.lock().unwrap().0.push(body);
    StatusCode::OK
}

async fn session(State(seen): State<Seen>, headers: HeaderMap, body: Bytes) -> Response {
    let header = |name: &str| headers.get(name).map(|value| value.to_str().unwrap().to_owned());
    let request: Value = serde_json::from_slice(&body).unwrap();
    let customer = request["customer_id"].as_str().unwrap().to_owned();
    let call = Call { customer, parent: header("traceparent"), state: header("tracestate") };
    let calls = &mut seen.0.lock().unwrap().1;
    let of_trace = |call: &Call| call.parent.as_ref().is_some_and(|parent| parent.contains(TRACE));
    let fails = of_trace(&call) && !calls.iter().any(of_trace);
    calls.push(call);
    if fails {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    let answer =
        serde_json::json!({"reference": request["reference"], "token": TOKEN, "is_required": true, "reason": ""});
    ([("content-type", "application/json")], answer.to_string()).into_response()
}

struct Outside {
    seen: Seen,
    address: SocketAddr,
    runtime: Option<tokio::runtime::Runtime>,
}

impl Drop for Outside {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Outside {
    fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let (seen, address) = (Seen::default(), listener.local_addr().unwrap());
        let sessions = Router::new().route("/base/api/v1/kyc/face/session", post(session));
        let routes = sessions.route("/v1/traces", post(export)).with_state(seen.clone());
        runtime.spawn(async move { axum::serve(listener, routes).await });
        Self { seen, address, runtime: Some(runtime) }
    }

    /// The lines of a configuration that exports to it.
    fn traced(&self, sample: &str) -> String {
        format!("traces: {{ endpoint: \"http://{}/\", sample: {sample} }}", self.address)
    }

    fn calls_of(&self, customer: &str) -> Vec<Call> {
        let calls = self.seen.0.lock().unwrap().1.clone();
        calls.into_iter().filter(|call| call.customer == customer).collect()
    }

    fn requests(&self) -> Vec<Bytes> {
        self.seen.0.lock().unwrap().0.clone()
    }

    /// Every span that was exported, each with what is said of the process that it comes from.
    fn spans(&self) -> Vec<(Vec<KeyValue>, Span)> {
        let resources = self
            .requests()
            .into_iter()
            .flat_map(|body| ExportTraceServiceRequest::decode(body).unwrap().resource_spans);
        let of = |spans: opentelemetry_proto::tonic::trace::v1::ResourceSpans| {
            let attributes = spans.resource.unwrap().attributes;
            spans.scope_spans.into_iter().flat_map(|scope| scope.spans).map(move |span| (attributes.clone(), span))
        };
        resources.flat_map(of).collect()
    }

    fn named(&self, name: &str) -> Vec<Span> {
        self.spans().into_iter().map(|(_, span)| span).filter(|span| span.name == name).collect()
    }
}

fn hex(id: &[u8]) -> String {
    id.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The value of an attribute as text.
fn attribute(attributes: &[KeyValue], name: &str) -> Option<String> {
    let value = attributes.iter().find(|attribute| attribute.key == name)?.value.as_ref()?.value.as_ref()?;
    if let any_value::Value::IntValue(number) = value {
        return Some(number.to_string());
    }
    let any_value::Value::StringValue(text) = value else { panic!("{name} is {value:?}") };
    Some(text.clone())
}

/// Writes an event with these headers.
fn produce(stack: &Stack, (key, payload): &(String, String), headers: &[(&str, &str)]) {
    let producer: FutureProducer = ClientConfig::new().set("bootstrap.servers", &stack.brokers).create().unwrap();
    let all =
        headers.iter().fold(OwnedHeaders::new(), |all, (key, value)| all.insert(Header { key, value: Some(*value) }));
    let topic = stack.topic("activity");
    let record = FutureRecord::to(&topic).key(key).payload(payload).headers(all);
    services::block_on(async { producer.send(record, PATIENCE).await.map(|_| ()).map_err(|(error, _)| error) })
        .unwrap();
}

/// The one record of a topic that is about this customer.
#[track_caller]
fn of_customer(records: &[Record], customer: &str) -> Record {
    let found: Vec<&Record> = records.iter().filter(|record| record.text().contains(customer)).collect();
    assert_eq!(found.len(), 1, "{customer}");
    found[0].clone()
}

#[test]
fn a_trace_goes_on_from_the_event_to_the_outcome_and_others_are_let_alone() {
    let outside = Outside::start();
    let stack = Stack::new("traced", 1, &[("acme", PREFERENCES)])
        .with(&outside.traced("0"))
        .with("dispatch: { park_after: 0s }");
    let api = format!("http://{}/base", outside.address);
    let env = [("STEPUP__SESSION_API__URL", api.as_str()), ("HOSTNAME", "pod-1")];
    let mut processor = stack.run_with("evaluate,dispatch", &env);
    let (sampled, unsampled) = (format!("00-{TRACE}-{CAUSE}-01"), format!("00-{}-{CAUSE}-00", TRACE.replace('4', "5")));
    let more = r#","amount":"123456.78""#;
    let withdrawal =
        |customer: &str| event("acme", customer, &format!("e-{customer}"), "withdrawal", &just_now(), more);
    produce(&stack, &withdrawal("customer-seven"), &[("traceparent", &sampled), ("tracestate", STATE), ("other", "x")]);
    produce(&stack, &withdrawal("customer-eight"), &[("traceparent", &unsampled)]);
    produce(&stack, &withdrawal("customer-nine"), &[("traceparent", "00-nonsense")]);
    let outcomes = stack.outcomes(3);
    assert!(outcomes.iter().all(|outcome| outcome["status"] == "session_created"), "{outcomes:?}");
    processor.stop();

    only_the_sampled_trace_is_exported(&outside);
    let evaluated = the_event_is_evaluated(&outside, &stack);
    the_command_is_dispatched(&outside, &stack, &evaluated);
    // What is not sampled is passed on as it came, and what has no trace gets none.
    for (customer, parent) in [("customer-eight", Some(unsampled.as_str())), ("customer-nine", None)] {
        for topic in ["commands", "outcomes"] {
            assert_eq!(of_customer(&stack.read(topic), customer).header("traceparent"), parent, "{customer}");
        }
        let heard: Vec<_> = outside.calls_of(customer).into_iter().map(|call| call.parent).collect();
        assert_eq!(heard, [parent.map(str::to_owned)], "{customer}");
    }
}

#[track_caller]
fn only_the_sampled_trace_is_exported(outside: &Outside) {
    let names: Vec<String> = outside.spans().into_iter().map(|(_, span)| span.name).collect();
    assert_eq!(names.len(), 5, "{names:?}");
    for (resource, span) in outside.spans() {
        assert_eq!((hex(&span.trace_id).as_str(), span.trace_state.as_str()), (TRACE, STATE));
        assert!(span.start_time_unix_nano <= span.end_time_unix_nano);
        assert_eq!(attribute(&resource, "service.name").as_deref(), Some("stepup"));
        assert_eq!(attribute(&resource, "service.version").as_deref(), Some(env!("CARGO_PKG_VERSION")));
        assert_eq!(attribute(&resource, "service.instance.id").as_deref(), Some("pod-1"));
    }
    let exported: Vec<u8> = outside.requests().concat();
    let holds = |text: &str| exported.windows(text.len()).any(|bytes| bytes == text.as_bytes());
    assert!(holds("acme"));
    for secret in ["customer-", TOKEN, "123456"] {
        assert!(!holds(secret), "{secret} is exported");
    }
}

#[track_caller]
fn the_event_is_evaluated(outside: &Outside, stack: &Stack) -> Span {
    let evaluated = outside.named("evaluate");
    let [evaluated] = evaluated.as_slice() else { panic!("{evaluated:?}") };
    assert_eq!(hex(&evaluated.parent_span_id), CAUSE);
    let said = |name: &str| attribute(&evaluated.attributes, name);
    assert_eq!(said("stepup.tenant").as_deref(), Some("acme"));
    assert_eq!(said("stepup.event_type").as_deref(), Some("withdrawal"));
    assert_eq!(said("messaging.destination.name"), Some(stack.topic("activity")));
    let [decision] = evaluated.events.as_slice() else { panic!("{:?}", evaluated.events) };
    assert_eq!(attribute(&decision.attributes, "stepup.trigger").as_deref(), Some("withdrawal"));
    assert_eq!(attribute(&decision.attributes, "stepup.decision").as_deref(), Some("required"));
    evaluated.clone()
}

/// The first call fails, so that the command is parked and taken a second time.
#[track_caller]
fn the_command_is_dispatched(outside: &Outside, stack: &Stack, evaluated: &Span) {
    let command = of_customer(&stack.read("commands"), "customer-seven");
    let context = |span: &Span| format!("00-{TRACE}-{}-01", hex(&span.span_id));
    assert_eq!(command.header("traceparent"), Some(context(evaluated).as_str()));
    assert_eq!(command.header("tracestate"), Some(STATE));
    let parked = of_customer(&stack.read("retries"), "customer-seven");
    assert_eq!(parked.header("traceparent"), command.header("traceparent"));
    let taken = outside.named("dispatch");
    let status = |status: &str| {
        let of = |span: &&Span| attribute(&span.attributes, "stepup.status").as_deref() == Some(status);
        taken.iter().find(of).unwrap_or_else(|| panic!("{status}: {taken:?}"))
    };
    let (first, second) = (status("parked"), status("session_created"));
    let command_id = serde_json::from_slice::<Value>(&command.payload).unwrap()["id"].clone();
    let calls = outside.named("POST /base/api/v1/kyc/face/session");
    for (taken, code, error) in [(first, "503", Some("503")), (second, "200", None)] {
        assert_eq!(taken.parent_span_id, evaluated.span_id);
        assert_eq!(attribute(&taken.attributes, "stepup.command_id").as_deref(), command_id.as_str());
        let called: Vec<&Span> = calls.iter().filter(|call| call.parent_span_id == taken.span_id).collect();
        let [called] = called.as_slice() else { panic!("{calls:?}") };
        assert_eq!(attribute(&called.attributes, "http.response.status_code").as_deref(), Some(code));
        assert_eq!(attribute(&called.attributes, "error.type").as_deref(), error);
        assert_eq!(attribute(&called.attributes, "server.address").as_deref(), Some("127.0.0.1"));
    }
    let heard = outside.calls_of("customer-seven");
    let parents: BTreeSet<Option<String>> = heard.iter().map(|call| call.parent.clone()).collect();
    assert_eq!(parents, calls.iter().map(|call| Some(context(call))).collect());
    assert!(heard.iter().all(|call| call.state.as_deref() == Some(STATE)));
    let outcome = of_customer(&stack.read("outcomes"), "customer-seven");
    assert_eq!(outcome.header("traceparent"), Some(context(second).as_str()));
}

#[test]
fn an_event_that_is_read_again_is_seen_in_the_same_trace() {
    let outside = Outside::start();
    let stack = Stack::new("again-traced", 1, &[("acme", PREFERENCES)]).with(&outside.traced("1"));
    let now = just_now();
    stack
        .produce(&[event("acme", "a", "e1", "password_change", &now, ""), event("acme", "b", "e2", "login", &now, "")]);
    for (group, spans) in [("first", 2), ("second", 4)] {
        let _evaluate = stack.run_with("evaluate", &[("STEPUP__KAFKA__GROUP_ID", &format!("{}-{group}", stack.name))]);
        wait_for(PATIENCE, "the spans are exported", || {
            let found = outside.named("evaluate").len();
            if found == spans { Ok(()) } else { Err(format!("{found} spans")) }
        });
    }
    let found = outside.named("evaluate");
    assert!(found.iter().all(|span| span.parent_span_id.is_empty()), "{found:?}");
    let ids = |of: fn(&Span) -> &Vec<u8>| found.iter().map(|span| of(span).clone()).collect::<BTreeSet<_>>().len();
    assert_eq!((ids(|span| &span.trace_id), ids(|span| &span.span_id)), (2, 4));
}

#[test]
fn a_collector_that_is_away_or_silent_holds_nobody_up() {
    // A port that nobody listens on, and one where connections are taken and never answered.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    for (name, port) in [("away", free_port()), ("silent", silent.local_addr().unwrap().port())] {
        let endpoint = format!("traces: {{ endpoint: \"http://127.0.0.1:{port}\", sample: 1 }}");
        let stack = Stack::new(name, 1, &[("acme", PREFERENCES)]).with(&endpoint);
        let mut processor = stack.run("evaluate,dispatch");
        let change = |number: usize| {
            event("acme", &format!("c{number}"), &format!("e{number}"), "password_change", &just_now(), "")
        };
        stack.produce(&(0..20).map(change).collect::<Vec<_>>());
        assert_eq!(stack.outcomes(20).len(), 20, "{name}");
        wait_until(PATIENCE, "what is dropped is counted", || {
            processor.metric("stepup_trace_spans_dropped_total", &[]) > 0.0
        });
        stack.produce(&(20..40).map(change).collect::<Vec<_>>());
        assert_eq!(stack.outcomes(40).len(), 40, "{name}");
        let asked = now();
        processor.stop();
        assert!(asked.elapsed() < Duration::from_secs(15), "{name}: the stop took {:?}", asked.elapsed());
    }
}

#[allow(clippy::disallowed_methods, reason = "a process stops on the real clock")]
fn now() -> Instant {
    Instant::now()
}
