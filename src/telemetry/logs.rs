//! Logs: one line for each event on standard error, as text or as JSON.

use std::io;

use anstream::{AutoStream, ColorChoice};
use clap::ValueEnum;
use tracing_subscriber::{
    EnvFilter,
    filter::ParseError,
    fmt,
    layer::SubscriberExt,
    util::{SubscriberInitExt, TryInitError},
};

/// How a line of the log looks.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, ValueEnum)]
pub enum LogFormat {
    /// Text for people.
    #[default]
    Text,
    /// One JSON object per line.
    Json,
}

/// Reads a log filter: a level (`info`), or directives such as `info,elb_doctor=debug,kube=warn`.
///
/// # Errors
///
/// When a directive or a level is not one.
pub fn parse_filter(text: &str) -> Result<EnvFilter, ParseError> {
    // The client logs every failed request as an error, retries included; whoever made the request says so once and in context. And
    // it logs the whole text of an answer that it cannot read as a warning: megabytes of other people's objects. What is said of
    // certificates is worth reading. What the text says of these goes before.
    EnvFilter::builder().parse(format!(
        "kube_client::client=error,kube_client::client::tls=warn,kube_client::client::builder=off,{text}"
    ))
}

/// Sets the process's log up. Colours only where the terminal and `NO_COLOR` allow them.
///
/// # Errors
///
/// When the process has a log already.
pub fn init(format: LogFormat, filter: EnvFilter) -> Result<(), TryInitError> {
    let colours = AutoStream::choice(&io::stderr()) != ColorChoice::Never;
    let lines = fmt::layer().with_writer(io::stderr).with_ansi(colours);
    let registry = tracing_subscriber::registry().with(filter);
    match format {
        LogFormat::Text => registry.with(lines).try_init(),
        LogFormat::Json => registry
            .with(
                lines
                    .json()
                    .flatten_event(true)
                    .with_current_span(false)
                    .with_span_list(false),
            )
            .try_init(),
    }
}

#[cfg(test)]
mod tests {
    use super::parse_filter;

    #[test]
    fn filters_are_levels_or_directives() {
        for good in [
            "info",
            "WARN",
            "off",
            "info,elb_doctor=debug",
            "elb_doctor::controller=trace",
        ] {
            assert!(parse_filter(good).is_ok(), "{good}");
        }
        for bad in ["elb_doctor=loud", "info,=", "a=b=c"] {
            assert!(parse_filter(bad).is_err(), "{bad}");
        }
    }
}
