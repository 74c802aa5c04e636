//! How much of a record's headers is kept as it is read.

use rdkafka::message::{BorrowedMessage, Headers as _, Message as _};

/// The most headers of one record.
const MOST: usize = 64;

/// Whether records come with their headers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Headers {
    Kept,
    /// Those of these names.
    Named(&'static [&'static str]),
    Dropped,
}

/// A header's name and its value.
pub type Header = (String, Vec<u8>);

/// What is kept of a record's headers, at most 64 of them.
pub(super) fn headers(message: &BorrowedMessage<'_>, kept: Headers) -> Vec<Header> {
    let wanted = |name: &str| match kept {
        Headers::Kept => true,
        Headers::Named(names) => names.contains(&name),
        Headers::Dropped => false,
    };
    // To ask for them costs, also where there are none.
    let all = if kept == Headers::Dropped { None } else { message.headers() };
    all.map_or_else(Vec::new, |all| {
        let some = all.iter().take(MOST).filter(|header| wanted(header.key));
        some.map(|header| (header.key.to_owned(), header.value.unwrap_or_default().to_vec())).collect()
    })
}
