//! Traces: what became of one event, across roles and services, for a sample of the events.
//!
//! Off by default. A span is made once its work is done, and only where its trace is sampled, so that the others cost
//! next to nothing. Spans go through a bounded queue to a thread that exports them; a collector that is away or slow costs
//! spans and nothing else. No customer's name, token, amount or payload is ever put into a span.

mod export;

use std::borrow::Cow;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::edge::clock;
use crate::metrics::Metrics;
use crate::wire::trace::TraceContext;
use export::Queue;
pub use export::TracesError;

/// Where spans go, and which traces are kept.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The URL of an OTLP/HTTP collector, without the path of the traces.
    pub endpoint: String,
    /// Of the traces that begin here, the share that is kept: 0 to 1.
    pub sample: f64,
    /// Tells this process from the others of the service, where its name is known.
    pub instance: Option<String>,
}

/// What waits to be exported holds no more than this, in bytes: a span is a few names and numbers.
pub const MEMORY: usize = 10 * 1024 * 1024;

/// A handle that is cheap to clone; all clones share one queue.
#[derive(Clone)]
pub struct Traces(Option<Arc<On>>);

struct On {
    sample: f64,
    queue: Queue,
}

/// Where a piece of work stands in its trace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// What is passed on to all that the work causes: its own span, or, where the trace is not sampled, what came.
    pub context: TraceContext,
    /// The span that caused the work; none where the trace begins with it.
    parent: Option<u64>,
    cause: Cause,
}

/// Where the cause of a piece of work lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cause {
    /// In what a record says of itself.
    Elsewhere,
    /// In this process.
    Here,
}

/// One finished piece of work, but for its end.
#[derive(Debug, Clone, PartialEq)]
pub struct Span {
    pub name: Cow<'static, str>,
    pub kind: Kind,
    pub began: SystemTime,
    pub attributes: Attributes,
    pub events: Vec<Event>,
    /// The kind of failure in a word, where it failed.
    pub error: Option<Cow<'static, str>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Works on a record that was read.
    Consumer,
    /// Waits for the answer of another service.
    Client,
}

/// Something that was found on the way.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    pub name: &'static str,
    pub at: SystemTime,
    pub attributes: Attributes,
}

pub type Attributes = Vec<(&'static str, Value)>;

#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    Text(Cow<'static, str>),
    Whole(i64),
}

impl Traces {
    /// Keeps no trace.
    pub fn off() -> Self {
        Self(None)
    }

    /// Begins to export. Dropped spans are counted in `metrics`.
    pub fn start(settings: &Settings, metrics: Metrics) -> Result<Self, TracesError> {
        Ok(Self(Some(Arc::new(On { sample: settings.sample, queue: Queue::start(settings, metrics)? }))))
    }

    pub fn are_on(&self) -> bool {
        self.0.is_some()
    }

    /// The place of work that begins the trace of this id, where that is one of the sample.
    pub fn begin(&self, trace_id: u128) -> Option<Place> {
        let on = self.0.as_ref()?;
        let context = TraceContext { trace_id, span_id: new_span(), sampled: true, state: None };
        is_kept(trace_id, on.sample).then_some(Place { context, parent: None, cause: Cause::Here })
    }

    /// The place of work that a record with this context causes.
    pub fn follow(&self, context: TraceContext) -> Place {
        let parent = Some(context.span_id);
        let span_id = if context.sampled { new_span() } else { context.span_id };
        Place { context: TraceContext { span_id, ..context }, parent, cause: Cause::Elsewhere }
    }

    /// Ends the span of this place now. It is made where its trace is sampled, and only there.
    pub fn end(&self, place: &Place, span: impl FnOnce() -> Span) {
        if let Some(on) = &self.0
            && place.is_sampled()
        {
            on.queue.give(place.clone(), span(), clock::precisely());
        }
    }

    /// Exports what is left, for as long as that takes, and no longer than `within`.
    pub async fn stop(&self, within: Duration) {
        if let Some(on) = &self.0 {
            on.queue.stop(within).await;
        }
    }
}

impl Place {
    pub fn is_sampled(&self) -> bool {
        self.context.sampled
    }

    /// The place of a part of this work.
    #[must_use]
    pub fn part(&self) -> Self {
        let span_id = if self.is_sampled() { new_span() } else { self.context.span_id };
        let context = TraceContext { span_id, ..self.context.clone() };
        Self { context, parent: Some(self.context.span_id), cause: Cause::Here }
    }

    /// The context that the work came with, for whoever takes it up again.
    pub fn origin(&self) -> Option<TraceContext> {
        self.parent.map(|span_id| TraceContext { span_id, ..self.context.clone() })
    }
}

fn new_span() -> u64 {
    rand::random::<NonZeroU64>().get()
}

/// Whether a trace is one of the share, by the lowest 56 bits of its id: those are the ones that a sender has to choose
/// at random, and other samplers go by them too (<https://opentelemetry.io/docs/specs/otel/trace/tracestate-probability-sampling/>).
fn is_kept(trace_id: u128, share: f64) -> bool {
    const RANGE: u64 = 1 << 56;
    let place = u64::try_from(trace_id & u128::from(RANGE - 1)).unwrap_or(0);
    let rejected = ((1.0 - share) * RANGE as f64) as u64;
    place >= rejected
}

impl From<&'static str> for Value {
    fn from(text: &'static str) -> Self {
        Self::Text(text.into())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text.into())
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Whole(number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn context(sampled: bool) -> TraceContext {
        TraceContext { trace_id: 7, span_id: 8, sampled, state: Some("a=b".to_owned()) }
    }

    #[test]
    fn the_sample_is_the_share_of_the_ids() {
        let low = |id: u64| u128::from(id) | 0xffff << 56;
        for (share, id, want) in [
            (0.0, low((1 << 56) - 1), false),
            (1.0, 1 << 60, true),
            (0.5, low(1 << 55), true),
            (0.5, low((1 << 55) - 1), false),
        ] {
            assert_eq!(is_kept(id, share), want, "{share} {id:x}");
        }
        let ids = (0..100_000).map(|offset| crate::wire::trace::id_of("activity", 0, offset, None));
        let kept = ids.filter(|id| is_kept(*id, 0.01)).count();
        assert!((900..1_100).contains(&kept), "{kept} of 100,000 at 1 %");
    }

    #[test]
    fn a_sampled_context_gets_a_span_of_its_own_and_any_other_is_passed_on_as_it_came() {
        let traces = Traces::off();
        let place = traces.follow(context(true));
        assert_ne!(place.context.span_id, 8);
        assert_eq!(TraceContext { span_id: 8, ..place.context.clone() }, context(true));
        assert_eq!((place.parent, place.origin()), (Some(8), Some(context(true))));
        let part = place.part();
        assert_ne!(part.context.span_id, place.context.span_id);
        assert_eq!((part.parent, part.cause), (Some(place.context.span_id), Cause::Here));

        let place = traces.follow(context(false));
        assert_eq!((&place.context, place.origin()), (&context(false), Some(context(false))));
        assert_eq!(place.part().context, context(false));
    }

    #[test]
    fn what_is_off_begins_nothing_and_makes_no_span() {
        let traces = Traces::off();
        assert_eq!(traces.begin(u128::MAX), None);
        traces.end(&traces.follow(context(true)), || panic!("a span is made"));
    }
}
