//! The list of sessions that the simulator of the session API has made, page by page.

use std::time::Duration;

use crate::wire::audit::{ListedSession, decode_page};

const PATIENCE: Duration = Duration::from_secs(60);
/// Sessions on a page.
const PAGE: usize = 50_000;
/// No page is larger, in bytes.
const LARGEST: usize = 256 << 20;
const PATH: &str = "/sim/sessions";

/// Why there is no list.
#[derive(Debug, thiserror::Error)]
pub enum ListError {
    #[error("the list of sessions cannot be asked for")]
    Unreachable(#[source] reqwest::Error),
    #[error("the list of sessions was answered with {0}")]
    Refused(u16),
    #[error("a page of the list of sessions is larger than {LARGEST} bytes")]
    TooLarge,
    #[error("the answer is no list of sessions")]
    Unreadable(#[source] serde_json::Error),
}

/// Every session of the simulator at `url`. Tokens are not asked for, only their fingerprints.
pub async fn list(url: &str) -> Result<Vec<ListedSession>, ListError> {
    let client = reqwest::Client::builder().timeout(PATIENCE).build().map_err(ListError::Unreachable)?;
    let base = url.trim_end_matches('/').trim_end_matches(PATH);
    let mut sessions = Vec::new();
    let mut after = None;
    loop {
        let mut page = format!("{base}{PATH}?limit={PAGE}");
        if let Some(after) = after {
            page.push_str(&format!("&after={after}"));
        }
        let answer = client.get(page).send().await.map_err(|error| ListError::Unreachable(error.without_url()))?;
        if !answer.status().is_success() {
            return Err(ListError::Refused(answer.status().as_u16()));
        }
        let bytes = answer.bytes().await.map_err(|error| ListError::Unreachable(error.without_url()))?;
        if bytes.len() > LARGEST {
            return Err(ListError::TooLarge);
        }
        let page = decode_page(&bytes).map_err(ListError::Unreadable)?;
        sessions.extend(page.sessions);
        after = page.next;
        if after.is_none() {
            return Ok(sessions);
        }
    }
}
