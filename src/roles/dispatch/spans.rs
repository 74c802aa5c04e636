//! The spans of commands: one from a command being taken to its outcome being acknowledged, or to its being parked, and
//! within it one for each call.

use std::borrow::Cow;
use std::time::SystemTime;

use super::Dispatch;
use crate::domain::command::Command;
use crate::domain::delivery::Answer;
use crate::edge::clock;
use crate::edge::kafka::records::Record;
use crate::roles::spans::of_record;
use crate::traces::{Attributes, Kind, Place, Span, Traces};
use crate::wire::trace::TraceContext;

/// How the session API is called in spans.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// The path that is called, as it is configured.
    pub path: String,
    pub host: String,
    pub port: Option<u16>,
}

/// The span of a command at hand, open.
#[derive(Debug, Clone)]
pub(super) struct Open {
    pub(super) place: Place,
    began: SystemTime,
    /// Empty where the trace is not sampled.
    attributes: Attributes,
}

impl Open {
    /// Opens the span of a command whose record has a context.
    pub(super) fn of(traces: &Traces, record: &Record<'_>, command: &Command, began: SystemTime) -> Option<Box<Self>> {
        if !traces.are_on() {
            return None;
        }
        let headers = record.headers.iter().map(|(name, value)| (name.as_str(), value.as_slice()));
        let place = traces.follow(TraceContext::decode(headers)?);
        let mut attributes = Attributes::new();
        if place.is_sampled() {
            attributes = of_record(record.position, "dispatch");
            attributes.push(("stepup.tenant", command.tenant.to_string().into()));
            attributes.push(("stepup.trigger", command.trigger.name().into()));
            attributes.push(("stepup.command_id", command.id.to_string().into()));
        }
        Some(Box::new(Self { place, began, attributes }))
    }

    /// What an outcome's record says of the trace.
    pub(super) fn headers(&self) -> Vec<(&'static str, Vec<u8>)> {
        self.place.context.record_headers()
    }

    /// What a parked command's record says of the trace: the same as the record that was taken, whose span it goes on in.
    pub(super) fn origin(&self) -> Vec<(&'static str, Vec<u8>)> {
        self.place.origin().map(|context| context.record_headers()).unwrap_or_default()
    }

    /// The command has left our hands.
    pub(super) fn end(&self, traces: &Traces, status: &'static str, ended: Ended) {
        traces.end(&self.place, || {
            let mut attributes = self.attributes.clone();
            attributes.push(("stepup.status", status.into()));
            let error = (ended == Ended::Failed).then_some(Cow::Borrowed(status));
            let (name, kind) = ("dispatch".into(), Kind::Consumer);
            Span { name, kind, began: self.began, attributes, events: Vec::new(), error }
        });
    }
}

/// Whether somebody should look at how a command left our hands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    Well,
    Failed,
}

/// A call that is under way.
pub(super) struct Calling {
    pub(super) place: Place,
    began: SystemTime,
}

impl Calling {
    pub(super) fn of(work: &Place) -> Self {
        Self { place: work.part(), began: clock::precisely() }
    }

    /// The call is answered, or given up. `resent` is how often it was made before.
    pub(super) fn end<O, X, K>(self, role: &Dispatch<O, X, K>, answer: &Answer, status: Option<u16>, resent: u32) {
        role.traces.end(&self.place, || {
            let Route { path, host, port } = &role.route;
            let mut attributes: Attributes = vec![
                ("http.request.method", "POST".into()),
                ("url.template", path.clone().into()),
                ("server.address", host.clone().into()),
            ];
            attributes.extend(port.map(|port| ("server.port", i64::from(port).into())));
            attributes.extend(status.map(|status| ("http.response.status_code", i64::from(status).into())));
            if resent > 0 {
                attributes.push(("http.request.resend_count", i64::from(resent).into()));
            }
            let (name, error) = (format!("POST {path}").into(), error_of(answer));
            Span { name, kind: Kind::Client, began: self.began, attributes, events: Vec::new(), error }
        });
    }
}

/// The kind of failure: the status, or that there was none.
fn error_of(answer: &Answer) -> Option<Cow<'static, str>> {
    match answer {
        Answer::Created(_) | Answer::NotRequired { .. } => None,
        Answer::Status { code, .. } => Some(code.to_string().into()),
        Answer::NotSent { .. } => Some("not_sent".into()),
        Answer::NoCredential { .. } => Some("no_credential".into()),
        Answer::Lost { .. } => Some("answer_lost".into()),
    }
}
