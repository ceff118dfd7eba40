//! The server's own log, on stderr: human on a terminal, JSON otherwise.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

use crate::settings::{LogFormat, LogLevel, Settings};

/// Begins logging. A second call in one process changes nothing.
pub fn begin(settings: &Settings, verbose: u8, quiet: bool) {
    let level = match (quiet, verbose) {
        (true, _) => LogLevel::Error,
        (_, 0) => settings.log_level,
        (_, 1) => LogLevel::Debug,
        _ => LogLevel::Trace,
    };
    let human = match settings.log_format {
        LogFormat::Auto => std::io::stderr().is_terminal(),
        LogFormat::Human => true,
        LogFormat::Json => false,
    };
    let builder = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(directives(level)))
        .with_writer(std::io::stderr);
    // An error means that somebody in this process has begun already.
    let _begun = if human {
        builder.with_ansi(std::io::stderr().is_terminal()).try_init()
    } else {
        builder.json().flatten_event(true).with_current_span(false).with_span_list(false).try_init()
    };
}

/// The level for our own crates; libraries speak up from `info`, and only when something is wrong below that.
fn directives(level: LogLevel) -> &'static str {
    match level {
        LogLevel::Error => "error",
        LogLevel::Warn => "warn",
        LogLevel::Info => "warn,hop3=info,hop3_proxy=info,hop3_runtimes=info,access=info,waf=info",
        LogLevel::Debug => "info,hop3=debug,hop3_proxy=debug,hop3_runtimes=debug",
        LogLevel::Trace => "debug,hop3=trace,hop3_proxy=trace,hop3_runtimes=trace",
    }
}
