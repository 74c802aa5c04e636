//! The spans of decided events: one for each whose trace is sampled, from its batch being taken to its effects being
//! acknowledged.

use std::time::SystemTime;

use super::Recorded;
use crate::edge::kafka::producer::Outgoing;
use crate::edge::kafka::records::Record;
use crate::roles::spans::of_record;
use crate::roles::walk::Tested;
use crate::traces::{Attributes, Event, Kind, Place, Span, Traces};
use crate::wire::trace::{TraceContext, id_of};

/// The place of each arrival of a batch in its trace, where there is one; nothing at all while traces are off.
pub(super) struct Places(Vec<Option<Place>>);

impl Places {
    pub(super) fn of(traces: &Traces, recorded: &Recorded) -> Self {
        if !traces.are_on() {
            return Self(Vec::new());
        }
        let place = |record: Record<'_>| {
            let headers = record.headers.iter().map(|(name, value)| (name.as_str(), value.as_slice()));
            match TraceContext::decode(headers) {
                Some(context) => Some(traces.follow(context)),
                None => {
                    let at = record.position;
                    traces.begin(id_of(at.topic, at.partition, at.offset, record.timestamp))
                }
            }
        };
        Self(recorded.records.iter().map(|record| recorded.batch.record(*record).and_then(place)).collect())
    }

    /// A record that an event has led to, with the event's context.
    pub(super) fn mark(&self, event: usize, mut record: Outgoing) -> Outgoing {
        if let Some(place) = self.0.get(event).and_then(Option::as_ref) {
            record.headers.extend(place.context.record_headers());
        }
        record
    }

    /// Ends the spans: all that follows from the batch is acknowledged.
    pub(super) fn end(&self, traces: &Traces, recorded: &Recorded, tested: &[Tested], decided: SystemTime) {
        let sampled = |place: &Option<Place>| place.clone().filter(Place::is_sampled);
        for (event, place) in self.0.iter().enumerate().filter_map(|(event, place)| Some((event, sampled(place)?))) {
            traces.end(&place, || {
                let arrival = &recorded.arrivals[event].event;
                let at = recorded.batch.position(recorded.records[event]);
                let mut attributes = at.map_or_else(Vec::new, |at| of_record(at, "evaluate"));
                attributes.push(("stepup.tenant", arrival.tenant.to_string().into()));
                attributes.push(("stepup.event_type", arrival.activity.kind().name().into()));
                // They stand in the order of the events.
                let first = tested.partition_point(|one| one.event < event);
                let of_event = tested[first..].iter().take_while(|one| one.event == event);
                let events = of_event.map(|one| decision(one, decided)).collect();
                let (name, kind) = ("evaluate".into(), Kind::Consumer);
                Span { name, kind, began: recorded.taken, attributes, events, error: None }
            });
        }
    }
}

fn decision(one: &Tested, at: SystemTime) -> Event {
    let attributes: Attributes =
        vec![("stepup.trigger", one.trigger.name().into()), ("stepup.decision", one.decision.name().into())];
    Event { name: "decision", at, attributes }
}
