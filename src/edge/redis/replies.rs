//! What Redis answers, in the few forms that our commands have.

use redis::{RedisError, Value};

use super::failure::{Failure, not_understood};

/// A string, or nothing where the key is absent.
pub(super) fn bytes_or_nil(answer: Value) -> Result<Option<Vec<u8>>, Failure> {
    if answer == Value::Nil {
        return Ok(None);
    }
    let Value::BulkString(bytes) = answer else {
        return Err(not_understood());
    };
    Ok(Some(bytes))
}

pub(super) fn text_of(answer: &Value) -> Option<&str> {
    if let Value::BulkString(bytes) = answer {
        return std::str::from_utf8(bytes).ok();
    }
    if let Value::SimpleString(text) | Value::VerbatimString { text, .. } = answer {
        return Some(text);
    }
    None
}

/// The errors among the answers to a pipeline.
pub(super) fn server_errors(answers: &[Value]) -> impl Iterator<Item = RedisError> {
    answers.iter().filter_map(|answer| {
        let Value::ServerError(error) = answer else { return None };
        Some(RedisError::from(error.clone()))
    })
}

/// The answers of several nodes, by whichever name each goes; one node's stands alone.
pub(super) fn by_node(answer: Value) -> Vec<Value> {
    if let Value::Map(answers) = answer {
        return answers.into_iter().map(|(_, answer)| answer).collect();
    }
    vec![answer]
}

/// `redis_version` in the text of `INFO server`.
pub(super) fn version_in(information: &Value) -> Option<String> {
    let version = text_of(information)?.lines().find_map(|line| line.strip_prefix("redis_version:"))?;
    Some(version.trim().to_owned())
}

/// The value in the answer to `CONFIG GET` of one setting.
pub(super) fn setting_in(answer: &Value) -> Option<String> {
    if let Value::Array(pair) = answer {
        return pair.get(1).and_then(text_of).map(str::to_owned);
    }
    if let Value::Map(pairs) = answer {
        return pairs.first().and_then(|(_, value)| text_of(value)).map(str::to_owned);
    }
    None
}
