//! The log on stderr, one line per event.

use crate::environment::Environment;
use std::fmt;
use std::io::IsTerminal as _;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::{FormatEvent, FormatFields, Writer};
use tracing_subscriber::fmt::time::{FormatTime as _, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormattedFields};
use tracing_subscriber::registry::LookupSpan;

/// Installs the subscriber, with the filter of `BATCHAI_LOG` or else `default`.
pub fn start(default: &str, environment: &Environment) {
    let filter = environment.log.as_deref().unwrap_or(default);
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::builder().parse_lossy(filter))
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal() && !environment.no_color)
        .event_format(Brief)
        .init();
}

/// One line per event. Warnings and errors also show their spans, which hold the request id.
struct Brief;

impl<S, N> FormatEvent<S, N> for Brief
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
        SystemTime.format_time(&mut writer)?;
        let level = *event.metadata().level();
        match (level, writer.has_ansi_escapes()) {
            (Level::ERROR, true) => write!(writer, " \x1b[31m{level:5}\x1b[0m ")?,
            (Level::WARN, true) => write!(writer, " \x1b[33m{level:5}\x1b[0m ")?,
            _ => write!(writer, " {level:5} ")?,
        }
        context.field_format().format_fields(writer.by_ref(), event)?;
        if level <= Level::WARN {
            for span in context.event_scope().into_iter().flatten() {
                write!(writer, " in {}", span.name())?;
                if let Some(fields) = span.extensions().get::<FormattedFields<N>>() {
                    write!(writer, "{{{fields}}}")?;
                }
            }
        }
        writeln!(writer)
    }
}
