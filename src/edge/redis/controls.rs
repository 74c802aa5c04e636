//! The controls: one hash without an end, for what is switched must stay so until somebody switches it back.

use redis::Value;

use super::failure::{Failure, not_understood};
use super::keys::Keys;
use super::pipelines::Answer;
use super::scripts::SET_CONTROL;
use super::{Operation, RedisStore};
use crate::domain::control::{Control, OFF_KEPT};
use crate::edge::controls::{Standing, Switchboard, Written};
use crate::edge::{StoreError, clock};
use crate::wire::control::{decode, encode, name};

const READ: Operation = Operation { name: "controls", action: "read the controls" };
const SET: Operation = Operation { name: "set_controls", action: "set controls" };

impl Switchboard for RedisStore {
    async fn standing(&self) -> Result<Standing, StoreError> {
        let key = Keys::controls(&self.prefix);
        let mut read = redis::cmd("HGETALL");
        read.arg(&key.name);
        let mut pipelines = self.pipelines();
        pipelines.add(key.bucket, read, Answer::Wanted(0));
        let answer = self.call(READ, pipelines).await?.pop().unwrap_or(Value::Nil);
        standing_in(answer).map_err(|failure| failure.into_store_error(READ.action))
    }

    async fn set(&self, controls: &[Control]) -> Result<Vec<Written>, StoreError> {
        let key = Keys::controls(&self.prefix);
        let oldest = clock::now().minus(OFF_KEPT);
        let mut pipelines = self.pipelines();
        for (place, control) in controls.iter().enumerate() {
            let mut command = SET_CONTROL.on(&key);
            command
                .arg(name(control.kind, &control.target))
                .arg(encode(control))
                .arg(control.at.0)
                .arg(control.state as u8)
                .arg(control.kind.most())
                .arg(oldest.0);
            pipelines.add(key.bucket, command, Answer::Wanted(place));
        }
        let answers = self.call(SET, pipelines).await?;
        let written: Result<Vec<_>, Failure> = answers.iter().map(written_of).collect();
        written.map_err(|failure| failure.into_store_error(SET.action))
    }
}

fn standing_in(answer: Value) -> Result<Standing, Failure> {
    let fields = if let Value::Map(fields) = answer {
        fields
    } else if let Value::Array(words) = answer {
        // Names and values in turn.
        let (pairs, _) = words.as_chunks::<2>();
        pairs.iter().map(|[name, value]| (name.clone(), value.clone())).collect()
    } else {
        return Err(not_understood());
    };
    let mut standing = Standing::default();
    for (name, value) in fields {
        let (Value::BulkString(name), Value::BulkString(value)) = (name, value) else {
            return Err(not_understood());
        };
        match decode(&name, &value) {
            Ok(control) => standing.controls.push(control),
            Err(_) => standing.unreadable += 1,
        }
    }
    Ok(standing)
}

fn written_of(answer: &Value) -> Result<Written, Failure> {
    let Value::Int(answer) = answer else {
        return Err(not_understood());
    };
    match answer {
        1 => Ok(Written::Set),
        0 => Ok(Written::Outdated),
        -1 => Ok(Written::NoRoom),
        _ => Err(not_understood()),
    }
}
