//! `lb shift`: traffic moves from one part of a service to another, step by step, and back when the
//! numbers say so. What is here is arithmetic; the writer reads the numbers and sets the weights.

mod judge;
mod weights;

use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use judge::{Bounds, Reading, judge};
pub use weights::weights;

/// A shift from its order to its end.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Shift {
    /// `http/name@provider`.
    pub service: String,
    /// Members, whence: parts as the service is written, servers by their addresses.
    pub from: Vec<String>,
    /// Members, whither.
    pub to: Vec<String>,
    /// As they were named.
    pub words: (String, String),
    /// Percentages, rising.
    pub steps: Vec<u32>,
    /// How long each is watched.
    pub every: Duration,
    /// What must hold meanwhile.
    pub bounds: Bounds,
    /// Runtime weights before it, of all members that it changes.
    pub before: Vec<(String, Option<u32>)>,
    /// The step that it is at.
    pub at: usize,
    /// How it is.
    pub state: State,
    /// Seconds since the epoch of its latest change.
    pub since: u64,
}

/// How a shift is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum State {
    /// A step is being watched.
    Running,
    /// All steps went well.
    Finished,
    /// It was taken back, and why.
    RolledBack(String),
}

impl State {
    /// The name shown.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Finished => "finished",
            Self::RolledBack(_) => "rolled back",
        }
    }
}

impl Shift {
    /// How much goes to the new members now.
    pub fn percent(&self) -> u32 {
        self.steps.get(self.at).copied().unwrap_or_default()
    }

    /// Whether a step is being watched.
    pub fn is_running(&self) -> bool {
        self.state == State::Running
    }
}

/// Whether steps make sense: 1 to 100, rising.
///
/// # Errors
/// Why not.
pub fn check_steps(steps: &[u32]) -> Result<(), String> {
    let in_bounds = steps.iter().all(|step| (1..=100).contains(step));
    let rise = steps.windows(2).all(|two| two[0] < two[1]);
    match !steps.is_empty() && in_bounds && rise {
        true => Ok(()),
        false => Err("steps: expected rising percentages from 1 to 100, such as 10,50,100".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    macro_rules! steps {
        ($($test:ident: $steps:expr => $ok:expr;)+) => {
            $(#[test]
            fn $test() {
                assert_eq!(check_steps(&$steps).is_ok(), $ok);
            })+
        };
    }

    steps! {
        rising_steps: [10, 50, 100] => true;
        one_step: [100] => true;
        steps_that_end_below_all: [5, 10] => true;
        no_steps: [] => false;
        falling_steps: [50, 10] => false;
        equal_steps: [10, 10] => false;
        step_of_nothing: [0, 10] => false;
        step_beyond_all: [10, 101] => false;
    }
}
