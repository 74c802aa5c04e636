//! How logs are written: one line an event, to stderr, as JSON for machines or as text for people.

use std::io::IsTerminal;
use std::panic::PanicHookInfo;

use tracing::Subscriber;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

/// How a log line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// One flat JSON object a line, its `timestamp` RFC 3339 in UTC.
    Json,
    /// One line of text, coloured where somebody looks at it.
    Pretty,
}

/// Whether text is coloured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Colour {
    On,
    Off,
}

/// Why logging cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    #[error(transparent)]
    Level(#[from] InvalidLevel),
    #[error("logging was set up already")]
    Twice(#[from] tracing::subscriber::SetGlobalDefaultError),
}

/// A level that says nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no log level: use off, error, warn, info, debug or trace, or a list like info,stepup=debug")]
pub struct InvalidLevel(String);

/// Begins to log to `out`, and turns a panic into one error line. `level` is one level, or a list of levels, each but
/// one with its target: `info,stepup=debug`.
pub fn init<W>(format: Format, level: &str, colour: Colour, out: W) -> Result<(), TelemetryError>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    tracing::subscriber::set_global_default(subscriber(format, level, colour, out)?)?;
    std::panic::set_hook(Box::new(log_panic));
    Ok(())
}

/// Whether stderr is looked at by somebody who did not ask for no colours (<https://no-color.org>).
#[allow(clippy::disallowed_methods, reason = "a convention of terminals, and no setting of ours")]
pub fn stderr_colour() -> Colour {
    let declined = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    if std::io::stderr().is_terminal() && !declined { Colour::On } else { Colour::Off }
}

/// The same of stdout.
#[allow(clippy::disallowed_methods, reason = "a convention of terminals, and no setting of ours")]
pub fn stdout_colour() -> Colour {
    let declined = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    if std::io::stdout().is_terminal() && !declined { Colour::On } else { Colour::Off }
}

/// The name of the machine, where the environment tells it: in a container it is that of the pod.
#[allow(clippy::disallowed_methods, reason = "a convention of containers, and no setting of ours")]
pub fn hostname() -> Option<String> {
    std::env::var_os("HOSTNAME")?.into_string().ok().filter(|name| !name.is_empty())
}

/// Tells whether a level means something. Checked by itself, for a filter takes a misspelt level for the name of a
/// target, and then logs nothing.
pub fn check_level(level: &str) -> Result<(), InvalidLevel> {
    filter(level).map(|_| ())
}

fn filter(level: &str) -> Result<EnvFilter, InvalidLevel> {
    const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
    let invalid = || InvalidLevel(level.chars().take(100).collect());
    let directives: Vec<&str> = level.split(',').map(str::trim).collect();
    for directive in &directives {
        let name = directive.rsplit_once('=').map_or(*directive, |(_, name)| name);
        if !LEVELS.iter().any(|level| level.eq_ignore_ascii_case(name)) {
            return Err(invalid());
        }
    }
    EnvFilter::builder().parse(directives.join(",")).map_err(|_| invalid())
}

fn subscriber<W>(
    format: Format,
    level: &str,
    colour: Colour,
    out: W,
) -> Result<Box<dyn Subscriber + Send + Sync>, InvalidLevel>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let lines = tracing_subscriber::fmt().with_env_filter(filter(level)?).with_writer(out);
    Ok(match format {
        Format::Json => {
            Box::new(lines.json().flatten_event(true).with_current_span(false).with_span_list(false).finish())
        }
        Format::Pretty => Box::new(lines.with_ansi(colour == Colour::On).with_target(false).finish()),
    })
}

/// A panic's message may hold what the program was working on, so only `debug` shows it; its place is enough to find it.
fn log_panic(panic: &PanicHookInfo<'_>) {
    let location = panic.location().map(ToString::to_string).unwrap_or_default();
    let thread = std::thread::current();
    let thread = thread.name().unwrap_or("unnamed");
    tracing::error!(%location, thread, "a part of the program panicked; please report this");
    tracing::debug!(%location, message_of_panic = panic.payload_as_str().unwrap_or("none"), "what the panic said");
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::domain::time::Timestamp;

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// The lines that `work` leaves behind.
    fn lines(format: Format, level: &str, colour: Colour, work: impl FnOnce()) -> Vec<String> {
        let written = Written::default();
        let out = written.clone();
        let subscriber = subscriber(format, level, colour, move || out.clone()).unwrap();
        tracing::subscriber::with_default(subscriber, work);
        let bytes = written.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap().lines().map(str::to_owned).collect()
    }

    #[test]
    fn a_json_line_is_flat_and_its_time_is_rfc_3339_in_utc() {
        let lines = lines(Format::Json, "info", Colour::On, || {
            let span = tracing::info_span!("batch", secret = 1);
            let _entered = span.enter();
            tracing::info!(role = "evaluate", "two\nlines");
            tracing::debug!("not at this level");
        });
        let [line] = lines.as_slice() else { panic!("{lines:?}") };
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        let fields: Vec<&str> = line.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(fields, ["level", "message", "role", "target", "timestamp"]);
        assert_eq!((&line["level"], &line["message"]), (&"INFO".into(), &"two\nlines".into()));
        let timestamp = line["timestamp"].as_str().unwrap();
        assert!(timestamp.ends_with('Z'), "{timestamp}");
        assert!(Timestamp::parse(timestamp).unwrap() > Timestamp(1_700_000_000_000), "{timestamp}");
    }

    #[test]
    fn a_text_line_is_coloured_only_where_it_is_wanted() {
        for (colour, escapes) in [(Colour::On, true), (Colour::Off, false)] {
            let lines = lines(Format::Pretty, "info", colour, || tracing::warn!(role = "dispatch", "waits"));
            let [line] = lines.as_slice() else { panic!("{lines:?}") };
            assert!(line.contains("WARN") && line.contains("waits"), "{line}");
            assert_eq!(line.contains('\u{1b}'), escapes, "{line}");
        }
    }

    #[test]
    fn a_level_that_means_nothing_is_refused_and_never_taken_for_a_target() {
        for (level, ok) in [
            ("info", true),
            ("DEBUG", true),
            ("off", true),
            ("info,stepup=debug", true),
            ("warn, stepup::edge=trace", true),
            ("", false),
            ("inof", false),
            ("stepup", false),
            ("stepup=", false),
            ("info,", false),
            ("3", false),
            ("stepup=loud", false),
            ("=", false),
        ] {
            assert_eq!(check_level(level).is_ok(), ok, "{level:?}");
        }
    }

    #[test]
    fn a_panic_is_one_error_line_with_its_place_and_not_what_it_said() {
        let panic_with = |level| {
            lines(Format::Json, level, Colour::Off, || {
                let before = std::panic::take_hook();
                std::panic::set_hook(Box::new(log_panic));
                let unwound = std::panic::catch_unwind(|| panic!("customer-7"));
                std::panic::set_hook(before);
                assert!(unwound.is_err());
            })
        };
        let lines = panic_with("info");
        let [line] = lines.as_slice() else { panic!("{lines:?}") };
        assert!(line.contains(r#""level":"ERROR""#) && line.contains("src/telemetry.rs:"), "{line}");
        assert!(!line.contains("customer-7"), "{line}");
        assert!(panic_with("debug").iter().any(|line| line.contains("customer-7")));
    }
}
