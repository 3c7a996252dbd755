//! The log on stderr: plain lines for people, `<N>` priorities without time and colour under systemd's journal.

use std::fmt;
use std::io::{IsTerminal, Write};
use std::os::fd::AsFd;

use tracing::{Event, Level, Subscriber};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::format::{FormatEvent, FormatFields, Writer};
use tracing_subscriber::fmt::{FmtContext, time::FormatTime, time::SystemTime};
use tracing_subscriber::prelude::*;
use tracing_subscriber::registry::LookupSpan;

/// The environment variable with the log's filter, like `debug` or `info,micropayd::scanner=debug`.
pub const FILTER: &str = "MICROPAYD_LOG";

/// Starts the log, once. A filter that is not understood is said and replaced by `info`.
pub fn log_to_stderr() {
    let wanted = std::env::var(FILTER).unwrap_or_default();
    let wanted = if wanted.trim().is_empty() { "info".to_owned() } else { wanted };
    let (filter, wrong) = match wanted.parse::<Targets>() {
        Ok(filter) => (filter, None),
        Err(error) => (Targets::new().with_default(LevelFilter::INFO), Some(error)),
    };
    let style = if to_journal() {
        Style::Journal
    } else if std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none() {
        Style::Colour
    } else {
        Style::Plain
    };
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(style == Style::Colour)
        .event_format(Lines(style))
        .with_filter(filter);
    // A second start, in a test, keeps the first.
    let _ = tracing_subscriber::registry().with(lines).try_init();
    if let Some(error) = wrong {
        tracing::warn!(
            "{FILTER} is not understood: {error}; expected a form like info,micropayd::scanner=debug"
        );
    }
}

/// Says on stderr why the process ends: to people as it is, to systemd's journal as errors, or `journalctl -p err` would
/// not show them.
pub fn say_failure(text: &str) {
    let text = if to_journal() { as_errors(text) } else { format!("{text}\n") };
    let _ = std::io::stderr().write_all(text.as_bytes());
}

/// Each line with the priority of an error; the journal takes every line for itself.
fn as_errors(text: &str) -> String {
    text.lines().map(|line| format!("<{}>{line}\n", priority(Level::ERROR))).collect()
}

/// Makes panics say where they are and only texts that stand in the program: a formatted one could hold anything.
pub fn guard_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let at = panic.location().map(ToString::to_string).unwrap_or_default();
        let what = panic.payload().downcast_ref::<&'static str>().copied().unwrap_or("see the place");
        let line = format!(
            "error: program is at fault at {at}: {what}\nhelp: report this line; open payments are kept"
        );
        say_failure(&line);
    }));
}

/// Whether stderr is the stream that systemd connected to its journal: `$JOURNAL_STREAM` names device and inode.
fn to_journal() -> bool {
    let Ok(stream) = std::env::var("JOURNAL_STREAM") else { return false };
    let Ok(about) = rustix::fs::fstat(std::io::stderr().as_fd()) else { return false };
    stream == format!("{}:{}", about.st_dev, about.st_ino)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Style {
    Journal,
    Colour,
    Plain,
}

/// One event a line.
struct Lines(Style);

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let level = *event.metadata().level();
        match self.0 {
            // sd-daemon(3): the journal takes the priority from this prefix, and adds the time itself.
            Style::Journal => write!(writer, "<{}>", priority(level))?,
            Style::Colour | Style::Plain => {
                SystemTime.format_time(&mut writer)?;
                let colour = match level {
                    Level::ERROR => "31",
                    Level::WARN => "33",
                    Level::INFO => "32",
                    Level::DEBUG | Level::TRACE => "2",
                };
                if self.0 == Style::Colour {
                    write!(writer, " \x1b[{colour}m{level:>5}\x1b[0m ")?;
                } else {
                    write!(writer, " {level:>5} ")?;
                }
            }
        }
        let mut text = String::new();
        context.field_format().format_fields(Writer::new(&mut text), event)?;
        // The journal would take the second line for an event of its own, with no priority.
        writeln!(writer, "{}", text.replace('\n', "; "))
    }
}

fn priority(level: Level) -> u8 {
    match level {
        Level::ERROR => 3,
        Level::WARN => 4,
        Level::INFO => 6,
        Level::DEBUG | Level::TRACE => 7,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);

    impl Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    /// What is logged in `style`.
    fn logged(style: Style, say: impl FnOnce()) -> String {
        let sink = Sink::default();
        let writer = sink.clone();
        let log = tracing_subscriber::fmt()
            .with_writer(move || writer.clone())
            .with_ansi(style == Style::Colour)
            .event_format(Lines(style))
            .finish();
        tracing::subscriber::with_default(log, say);
        let bytes = sink.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn the_journal_gets_priorities_and_one_line_for_each_event() {
        let text = logged(Style::Journal, || {
            tracing::error!("disk is full\nhelp: free some space");
            tracing::warn!(order = "T01", "slow");
            tracing::info!("ready");
        });
        assert_eq!(text, "<3>disk is full; help: free some space\n<4>slow order=\"T01\"\n<6>ready\n");
    }

    #[test]
    fn every_line_of_a_failure_is_an_error_to_the_journal() {
        assert_eq!(
            as_errors("error: disk is full\nhelp: free some"),
            "<3>error: disk is full\n<3>help: free some\n"
        );
    }

    #[test]
    fn people_get_the_time_and_the_level() {
        let text = logged(Style::Plain, || tracing::info!("ready"));
        assert!(text.ends_with("Z  INFO ready\n"), "{text:?}");
        assert!(!text.contains('\x1b'));
    }
}
