//! What text is written for: how wide it may be, and whether colours are seen.

use std::borrow::Cow;
use std::fmt::Display;
use std::io::IsTerminal;
use std::os::fd::AsFd;

use unicode_width::UnicodeWidthStr as _;

use crate::telemetry::Colour;

/// Where there is no terminal, and where it does not say how wide it is.
const USUAL_WIDTH: usize = 80;

/// Longer lines are hard to read.
const GREATEST_WIDTH: usize = 120;

/// Narrower text would say nothing.
const LEAST_WIDTH: usize = 20;

/// How wide text may be, in columns, and whether it may be coloured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terminal {
    pub width: usize,
    pub colour: Colour,
}

impl Terminal {
    /// What the standard output is.
    pub fn stdout() -> Self {
        Self::of(&std::io::stdout())
    }

    /// What the standard error is.
    pub fn stderr() -> Self {
        Self::of(&std::io::stderr())
    }

    #[allow(clippy::disallowed_methods, reason = "a convention of terminals, and no setting of ours")]
    fn of(stream: &(impl IsTerminal + AsFd)) -> Self {
        let declined = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let width = terminal_size::terminal_size_of(stream).map(|(width, _)| usize::from(width.0));
        Self::with(stream.is_terminal(), width, declined)
    }

    fn with(seen: bool, width: Option<usize>, declined: bool) -> Self {
        let width = width.filter(|width| seen && *width > 0).unwrap_or(USUAL_WIDTH);
        let colour = if seen && !declined { Colour::On } else { Colour::Off };
        Self { width: width.clamp(LEAST_WIDTH, GREATEST_WIDTH), colour }
    }

    /// Text that stands out.
    pub fn bold(self, text: impl Display) -> String {
        self.painted("1", text)
    }

    /// Text that steps back.
    pub fn dim(self, text: impl Display) -> String {
        self.painted("2", text)
    }

    /// Text that says that all is well.
    pub fn good(self, text: impl Display) -> String {
        self.painted("32", text)
    }

    /// Text that says that something is not.
    pub fn bad(self, text: impl Display) -> String {
        self.painted("31", text)
    }

    fn painted(self, code: &str, text: impl Display) -> String {
        match self.colour {
            Colour::On => format!("\x1b[{code}m{text}\x1b[0m"),
            Colour::Off => text.to_string(),
        }
    }
}

/// How large a terminal is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    pub columns: usize,
    pub rows: usize,
}

impl Size {
    /// What a terminal is taken for that does not say.
    pub const USUAL: Self = Self { columns: USUAL_WIDTH, rows: 24 };

    /// That of the terminal on the standard error at this moment; `None` where it is no terminal.
    pub fn of_stderr() -> Option<Self> {
        let stderr = std::io::stderr();
        let told = terminal_size::terminal_size_of(&stderr)
            .map(|(columns, rows)| Self { columns: usize::from(columns.0), rows: usize::from(rows.0) });
        stderr.is_terminal().then(|| told.unwrap_or(Self::USUAL))
    }
}

/// The text itself, or its beginning and an ellipsis, in at most so many columns.
pub fn cut(text: &str, columns: usize) -> Cow<'_, str> {
    if text.width() <= columns {
        return Cow::Borrowed(text);
    }
    let beginnings = text.char_indices().filter_map(|(end, _)| text.get(..end));
    match beginnings.take_while(|beginning| beginning.width() < columns).last() {
        Some(beginning) => Cow::Owned(format!("{beginning}…")),
        None => Cow::Borrowed(""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_as_wide_as_it_says_within_reason_and_coloured_where_that_is_wanted() {
        for (seen, width, declined, want, colour) in [
            (true, Some(100), false, 100, Colour::On),
            (true, Some(100), true, 100, Colour::Off),
            (true, Some(300), false, 120, Colour::On),
            (true, Some(3), false, 20, Colour::On),
            (true, Some(0), false, 80, Colour::On),
            (true, None, false, 80, Colour::On),
            (false, Some(100), false, 80, Colour::Off),
            (false, None, true, 80, Colour::Off),
        ] {
            let terminal = Terminal::with(seen, width, declined);
            assert_eq!(terminal, Terminal { width: want, colour }, "{seen} {width:?} {declined}");
        }
    }

    #[test]
    fn colours_are_left_out_where_they_are_not_seen() {
        let seen = Terminal { width: 80, colour: Colour::On };
        assert_eq!(seen.good("ok"), "\x1b[32mok\x1b[0m");
        assert_eq!(Terminal { colour: Colour::Off, ..seen }.good("ok"), "ok");
    }

    #[test]
    fn text_is_cut_by_columns_and_not_by_characters() {
        for (text, columns, want) in [
            ("customer", 8, "customer"),
            ("customer", 7, "custom…"),
            ("customer", 1, "…"),
            ("customer", 0, ""),
            ("顧客番号", 7, "顧客番…"),
            ("顧客番号", 6, "顧客…"),
            ("Cafe\u{301}s", 5, "Cafe\u{301}s"),
            ("Cafe\u{301}s", 4, "Caf…"),
        ] {
            assert_eq!(cut(text, columns), want, "{text} in {columns}");
        }
    }
}
