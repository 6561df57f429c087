//! The daemon's log: lines on standard error, whose level a reload changes.

use std::io::IsTerminal;

use tracing_subscriber::{
    EnvFilter, Registry, fmt, layer::SubscriberExt, reload, util::SubscriberInitExt,
};

use crate::model::{LogLevel, LogSettings};

/// Changes of one reading that are listed.
const LISTED: usize = 1_000;

/// Changes the level later.
#[derive(Debug)]
pub(super) struct Log {
    filter: reload::Handle<EnvFilter, Registry>,
    level: LogLevel,
}

impl Log {
    /// Starts logging. The format is that of the start; `LB_LOG` (in
    /// tracing-subscriber's syntax) takes precedence over the level.
    pub(super) fn start(settings: &LogSettings) -> Self {
        let (filter, handle) = reload::Layer::new(filter(settings.level));
        let registry = tracing_subscriber::registry().with(filter);
        let is_coloured = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        let lines =
            fmt::layer().with_writer(std::io::stderr).with_ansi(is_coloured).with_target(false);
        // A logger that a test has set before stays.
        let _set = if settings.json {
            registry.with(fmt::layer().json().with_writer(std::io::stderr)).try_init()
        } else {
            registry.with(lines).try_init()
        };
        Self { filter: handle, level: settings.level }
    }

    /// Takes over a changed level.
    pub(super) fn follow(&mut self, settings: &LogSettings) {
        if self.level != settings.level && self.filter.reload(filter(settings.level)).is_ok() {
            self.level = settings.level;
        }
    }
}

fn filter(level: LogLevel) -> EnvFilter {
    let level = match level {
        LogLevel::Trace => "trace",
        LogLevel::Debug => "debug",
        LogLevel::Info => "info",
        LogLevel::Warn => "warn",
        LogLevel::Error => "error",
    };
    EnvFilter::try_from_env("LB_LOG").unwrap_or_else(|_| EnvFilter::new(level))
}

/// Says what a reading changed: as much of it as somebody may want to read.
pub(super) fn changes(changes: &[String]) {
    changes.iter().take(LISTED).for_each(|change| tracing::info!("{change}"));
    if changes.len() > LISTED {
        tracing::info!("and {} more changes", changes.len() - LISTED);
    }
}
