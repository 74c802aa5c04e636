//! A session API that answers by a script, for tests of those who call it.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::domain::delivery::Answer;
use crate::domain::ids::TenantId;
use crate::edge::sessions::Sessions;
use crate::wire::trace::TraceContext;

/// One call as it was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    pub tenant: TenantId,
    pub body: Vec<u8>,
    pub limit: Duration,
    /// The first call is number 1.
    pub number: usize,
}

/// What the script has for a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    Now(Answer),
    /// The answer comes after a wait, or a lost one at the caller's limit where that is sooner.
    After(Duration, Answer),
}

impl From<Answer> for Reply {
    fn from(answer: Answer) -> Self {
        Self::Now(answer)
    }
}

/// Answers every call by a closure and remembers it.
pub struct ScriptedSessions<F> {
    script: F,
    calls: Mutex<Vec<Call>>,
}

impl<F, R> ScriptedSessions<F>
where
    F: Fn(&Call) -> R + Send + Sync,
    R: Into<Reply>,
{
    pub fn new(script: F) -> Self {
        Self { script, calls: Mutex::default() }
    }

    /// The calls so far, in the order in which they were made.
    pub fn calls(&self) -> Vec<Call> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn note(&self, tenant: &TenantId, body: Vec<u8>, limit: Duration) -> Call {
        let mut calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        let call = Call { tenant: tenant.clone(), body, limit, number: calls.len() + 1 };
        calls.push(call.clone());
        call
    }
}

impl<F, R> Sessions for ScriptedSessions<F>
where
    F: Fn(&Call) -> R + Send + Sync,
    R: Into<Reply>,
{
    async fn create(&self, tenant: &TenantId, body: Vec<u8>, _trace: Option<&TraceContext>, limit: Duration) -> Answer {
        let call = self.note(tenant, body, limit);
        let reply = (self.script)(&call).into();
        match reply {
            Reply::Now(answer) => answer,
            Reply::After(wait, answer) => {
                tokio::time::sleep(wait.min(limit)).await;
                if wait <= limit { answer } else { Answer::Lost { reason: "no answer in time".to_owned() } }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "current_thread")]
    async fn it_answers_by_its_script_and_remembers_the_calls() {
        let sessions = ScriptedSessions::new(|call: &Call| match call.number {
            1 => Answer::NotSent { reason: "down".to_owned() },
            _ => Answer::NotRequired { reason: "fine".to_owned() },
        });
        let tenant = TenantId::new("acme").unwrap();
        let limit = Duration::from_secs(1);
        let first = sessions.create(&tenant, b"a".to_vec(), None, limit).await;
        let second = sessions.create(&tenant, b"b".to_vec(), None, limit).await;
        assert_eq!(first, Answer::NotSent { reason: "down".to_owned() });
        assert_eq!(second, Answer::NotRequired { reason: "fine".to_owned() });
        let bodies: Vec<_> = sessions.calls().into_iter().map(|call| call.body).collect();
        assert_eq!(bodies, [b"a".to_vec(), b"b".to_vec()]);
    }
}
