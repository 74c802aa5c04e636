//! From the roles to the collector: a bounded queue, and a thread that sends what is in it as OTLP over HTTP.

use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::time::{Duration, SystemTime};

use opentelemetry::trace::{self as otel, SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState};
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_otlp::{Protocol, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanExporter as _, SpanLinks};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::{Attributes, Cause, Event, Kind, Place, Settings, Span, Value};
use crate::edge::tls::install_tls_provider;
use crate::metrics::Metrics;

/// The most spans that wait; beyond it they are dropped.
const CAPACITY: usize = 4_096;
/// The most spans of one request.
const BATCH: usize = 512;
/// How long a span waits for others to go with it.
const LINGER: Duration = Duration::from_secs(1);
/// For one request as a whole.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Why nothing can be exported.
#[derive(Debug, thiserror::Error)]
pub enum TracesError {
    #[error("the thread that exports traces does not start")]
    Thread(#[source] std::io::Error),
}

/// What waits to be exported.
pub(super) struct Queue {
    sender: SyncSender<Message>,
    metrics: Metrics,
}

#[derive(Debug)]
enum Message {
    Span(Box<Finished>),
    /// Nothing comes after it. It is answered when all before it is exported.
    Stop(oneshot::Sender<()>),
}

#[derive(Debug)]
struct Finished {
    place: Place,
    span: Span,
    ended: SystemTime,
}

impl Queue {
    pub(super) fn start(settings: &Settings, metrics: Metrics) -> Result<Self, TracesError> {
        let (sender, receiver) = sync_channel(CAPACITY);
        let (settings, counted) = (settings.clone(), metrics.clone());
        // A thread of its own: the client blocks, and may not even be made on a thread of the runtime.
        std::thread::Builder::new()
            .name("traces".to_owned())
            .spawn(move || work(&receiver, &settings, &counted))
            .map_err(TracesError::Thread)?;
        Ok(Self { sender, metrics })
    }

    /// Never waits: a span that finds the queue full is dropped.
    pub(super) fn give(&self, place: Place, span: Span, ended: SystemTime) {
        let message = Message::Span(Box::new(Finished { place, span, ended }));
        if let Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) = self.sender.try_send(message) {
            self.metrics.trace_spans_dropped(1);
        }
    }

    pub(super) async fn stop(&self, within: Duration) {
        let (done, finished) = oneshot::channel();
        let sender = self.sender.clone();
        // A full queue may have to be waited for.
        tokio::task::spawn_blocking(move || sender.send(Message::Stop(done)));
        if tokio::time::timeout(within, finished).await.is_err() {
            tracing::warn!("the last spans were not exported in time and are dropped");
        }
    }
}

/// Takes spans until it is told to stop, a batch at a time.
fn work(receiver: &Receiver<Message>, settings: &Settings, metrics: &Metrics) {
    let mut exporter = Exporter::new(settings, metrics);
    while let Ok(first) = receiver.recv() {
        let mut stop = None;
        let mut batch = Vec::new();
        let due = Instant::now() + LINGER;
        let mut next = Ok(first);
        loop {
            match next {
                Ok(Message::Span(finished)) => batch.push(data(*finished, &exporter.scope)),
                Ok(Message::Stop(done)) => stop = Some(done),
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => break,
            }
            if batch.len() >= BATCH || stop.is_some() {
                break;
            }
            next = receiver.recv_timeout(due.saturating_duration_since(Instant::now()));
        }
        exporter.export(batch);
        if let Some(done) = stop {
            // Whoever asked may have given up waiting.
            let _ = done.send(());
            return;
        }
    }
}

/// The way to the collector, and whether it is open.
struct Exporter<'a> {
    client: Option<opentelemetry_otlp::SpanExporter>,
    scope: InstrumentationScope,
    metrics: &'a Metrics,
    fails: bool,
}

impl<'a> Exporter<'a> {
    fn new(settings: &Settings, metrics: &'a Metrics) -> Self {
        let client = client(settings);
        if let Err(error) = &client {
            tracing::error!(error, "traces cannot be exported; they are dropped");
        }
        let scope = InstrumentationScope::builder("stepup").with_version(env!("CARGO_PKG_VERSION")).build();
        Self { client: client.ok(), scope, metrics, fails: false }
    }

    fn export(&mut self, batch: Vec<SpanData>) {
        let spans = batch.len();
        if spans == 0 {
            return;
        }
        let exported = self.client.as_ref().map(|client| futures_executor::block_on(client.export(batch)));
        let failure = match exported {
            Some(Ok(())) => None,
            Some(Err(error)) => Some(error.to_string()),
            None => Some("there is no client".to_owned()),
        };
        self.tell(failure.as_deref());
        if failure.is_some() {
            self.metrics.trace_spans_dropped(spans as u64);
        }
    }

    /// Says when it begins to fail and when it works again.
    fn tell(&mut self, failure: Option<&str>) {
        match (failure, self.fails) {
            (Some(reason), false) => tracing::warn!(reason, "the collector takes no traces; they are dropped"),
            (None, true) => tracing::info!("the collector takes traces again"),
            (Some(_), true) | (None, false) => {}
        }
        self.fails = failure.is_some();
    }
}

fn client(settings: &Settings) -> Result<opentelemetry_otlp::SpanExporter, String> {
    install_tls_provider();
    let http = reqwest::blocking::Client::builder()
        .user_agent(concat!("stepup/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .timeout(TIMEOUT)
        .build()
        .map_err(|error| error.to_string())?;
    let mut client = opentelemetry_otlp::SpanExporter::builder()
        .with_http()
        .with_http_client(http)
        .with_protocol(Protocol::HttpBinary)
        .with_endpoint(format!("{}/v1/traces", settings.endpoint.trim_end_matches('/')))
        .with_timeout(TIMEOUT)
        .build()
        .map_err(|error| error.to_string())?;
    client.set_resource(&resource(settings));
    Ok(client)
}

fn resource(settings: &Settings) -> Resource {
    let instance = settings.instance.clone().map(|name| KeyValue::new("service.instance.id", name));
    let version = KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
    Resource::builder_empty().with_service_name("stepup").with_attributes(instance.into_iter().chain([version])).build()
}

fn data(finished: Finished, scope: &InstrumentationScope) -> SpanData {
    let Finished { place, span, ended } = finished;
    let mut attributes = key_values(span.attributes);
    let status = match span.error {
        Some(kind) => {
            attributes.push(KeyValue::new("error.type", kind.into_owned()));
            Status::error("")
        }
        None => Status::Unset,
    };
    let mut events = SpanEvents::default();
    events.events = span.events.into_iter().map(event).collect();
    SpanData {
        span_context: span_context(&place),
        parent_span_id: place.parent.map_or(SpanId::INVALID, |id| SpanId::from_bytes(id.to_be_bytes())),
        parent_span_is_remote: place.parent.is_some() && place.cause == Cause::Elsewhere,
        span_kind: match span.kind {
            Kind::Consumer => SpanKind::Consumer,
            Kind::Client => SpanKind::Client,
        },
        name: span.name,
        start_time: span.began,
        // The wall clock may have been set back meanwhile.
        end_time: ended.max(span.began),
        attributes,
        dropped_attributes_count: 0,
        events,
        links: SpanLinks::default(),
        status,
        instrumentation_scope: scope.clone(),
    }
}

fn span_context(place: &Place) -> SpanContext {
    let context = &place.context;
    let state = context.state.as_deref().and_then(|state| state.parse::<TraceState>().ok()).unwrap_or_default();
    SpanContext::new(
        TraceId::from_bytes(context.trace_id.to_be_bytes()),
        SpanId::from_bytes(context.span_id.to_be_bytes()),
        TraceFlags::SAMPLED,
        false,
        state,
    )
}

fn event(event: Event) -> otel::Event {
    otel::Event::new(event.name, event.at, key_values(event.attributes), 0)
}

fn key_values(attributes: Attributes) -> Vec<KeyValue> {
    let one = |(name, value)| match value {
        Value::Text(text) => KeyValue::new(name, text.into_owned()),
        Value::Whole(number) => KeyValue::new(name, number),
    };
    attributes.into_iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::traces::Traces;
    use crate::wire::trace::TraceContext;

    #[tokio::test]
    async fn a_full_queue_drops_and_counts_and_a_stop_does_not_wait_for_it() {
        let metrics = Metrics::new(0).unwrap();
        // Nobody takes anything out.
        let (sender, receiver) = sync_channel(2);
        let queue = Queue { sender, metrics: metrics.clone() };
        let place = Traces::off().follow(TraceContext { trace_id: 1, span_id: 2, sampled: true, state: None });
        let span = Span {
            name: "evaluate".into(),
            kind: Kind::Consumer,
            began: SystemTime::UNIX_EPOCH,
            attributes: Attributes::new(),
            events: Vec::new(),
            error: None,
        };
        for _ in 0..5 {
            queue.give(place.clone(), span.clone(), SystemTime::UNIX_EPOCH);
        }
        assert!(metrics.render().contains("stepup_trace_spans_dropped_total 3\n"), "{}", metrics.render());
        queue.stop(Duration::from_millis(20)).await;
        drop(receiver);
    }
}
