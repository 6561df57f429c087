//! Bodies of `/api/shifts`.

use serde::{Deserialize, Serialize};

/// `POST /api/shifts/SERVICE`: traffic is to be moved.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ShiftOrder {
    /// A part of a weighted service, or servers with commas in between.
    pub from: String,
    /// As above.
    pub to: String,
    /// Percentages, rising.
    pub steps: Vec<u32>,
    /// How long each step is watched: `30s`.
    pub every: String,
    /// Largest share of answers from 500 on: `1%`.
    pub max_errors: String,
    /// Largest 99th percentile of durations, if any: `300ms`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_p99: Option<String>,
}

/// A shift in [`super::Status`], and the answer of `/api/shifts`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ShiftRow {
    /// `http/name@provider`.
    pub service: String,
    /// Whence.
    pub from: String,
    /// Whither.
    pub to: String,
    /// Percentages.
    pub steps: Vec<u32>,
    /// How much goes there now.
    pub percent: u32,
    /// `running`, `finished` or `rolled back`.
    pub state: String,
    /// Why it was rolled back.
    pub reason: Option<String>,
    /// Seconds since the epoch of its latest change.
    pub since: u64,
    /// Seconds until its next step.
    pub next_seconds: Option<u64>,
    /// What the latest step has seen of the old side.
    pub from_seen: ShiftGroup,
    /// What it has seen of the new one.
    pub to_seen: ShiftGroup,
}

/// One side of a [`ShiftRow`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ShiftGroup {
    /// Answers.
    pub requests: u64,
    /// Those from 500 on.
    pub errors: u64,
    /// Milliseconds; nothing without requests.
    pub p99_ms: Option<f64>,
}
