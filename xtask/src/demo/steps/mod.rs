//! The steps of the demo, one file each. What a step says it has measured; what
//! does not hold ends the demo with an error.

mod counters;
mod crash;
mod drain;
mod kill;
mod spread;
mod start;

use anyhow::Result;

use super::stage::Stage;

pub(super) struct Step {
    pub(super) title: &'static str,
    pub(super) play: fn(&mut Stage<'_>) -> Result<()>,
}

/// In their order.
pub(super) const STEPS: &[Step] = &[
    Step { title: "lb starts", play: start::play },
    Step { title: "Connections spread by weight", play: spread::play },
    Step { title: "A backend is killed while clients go on", play: kill::play },
    Step { title: "A backend is drained", play: drain::play },
    Step { title: "lb itself is killed", play: crash::play },
    Step { title: "What the kernel counted", play: counters::play },
];
