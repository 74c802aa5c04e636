//! Pages of the processes.

use std::time::Duration;

use serde_json::Value;

fn client() -> reqwest::blocking::Client {
    reqwest::blocking::Client::builder().no_proxy().timeout(Duration::from_secs(10)).build().unwrap()
}

/// The text of a page that answers with success; else what went wrong.
pub fn get(url: &str) -> Result<String, String> {
    text(client().get(url).send())
}

pub fn put(url: &str, body: &str) -> Result<String, String> {
    text(client().put(url).header("content-type", "application/json").body(body.to_owned()).send())
}

pub fn json(url: &str) -> Result<Value, String> {
    serde_json::from_str(&get(url)?).map_err(|error| error.to_string())
}

fn text(answer: Result<reqwest::blocking::Response, reqwest::Error>) -> Result<String, String> {
    let answer = answer.map_err(|error| format!("{error:?}"))?;
    let status = answer.status();
    let text = answer.text().map_err(|error| error.to_string())?;
    if status.is_success() { Ok(text) } else { Err(format!("{status}: {text}")) }
}
