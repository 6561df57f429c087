//! `accessLog`: which requests are logged where, and what of each.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

/// `accessLog`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessLog {
    /// `filePath`; `None` for standard output.
    pub file: Option<PathBuf>,
    /// `format: json` rather than `common`, the default.
    pub json: bool,
    /// `bufferingSize`: lines that wait to be written; those beyond are counted and left out.
    /// Default 4,096.
    pub buffering: u32,
    /// `filters.statusCodes`: first and last of each range; empty for all.
    pub status_codes: Vec<(u16, u16)>,
    /// `filters.retryAttempts`: logged if tried again, whatever the other filters say.
    pub retry_attempts: bool,
    /// `filters.minDuration`: logged from this duration on; 0 for no bound.
    pub min_duration: Duration,
    /// `addInternals`: whether requests to lb's own services are logged. Default false.
    pub internals: bool,
    /// `fields`: `false` leaves it out. By name, case as configured.
    pub fields: Chosen<bool>,
    /// `fields.headers`, by name in lower case.
    pub headers: Chosen<HeaderMode>,
}

impl Default for AccessLog {
    fn default() -> Self {
        Self {
            file: None,
            json: false,
            buffering: 4096,
            status_codes: Vec::new(),
            retry_attempts: false,
            min_duration: Duration::ZERO,
            internals: false,
            fields: Chosen { default: true, names: BTreeMap::new() },
            headers: Chosen { default: HeaderMode::Drop, names: BTreeMap::new() },
        }
    }
}

/// `defaultMode` and `names`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Chosen<T> {
    /// What holds where no name says otherwise.
    pub default: T,
    /// By name.
    pub names: BTreeMap<String, T>,
}

impl<T: Copy> Chosen<T> {
    /// What holds for `name`.
    pub fn of(&self, name: &str) -> T {
        self.names.get(name).copied().unwrap_or(self.default)
    }
}

/// What becomes of a header in the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HeaderMode {
    /// Logged.
    Keep,
    /// Left out. The default.
    #[default]
    Drop,
    /// Logged as `REDACTED`.
    Redact,
}
