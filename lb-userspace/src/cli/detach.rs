//! `lb detach`.

use std::time::{Duration, Instant};

use hyper::Method;

use super::{Context, Failure, Run};
use crate::{daemon, kernel::InstanceLock};

#[derive(Debug, clap::Args)]
pub(super) struct Args {}

/// How long a daemon may take to end.
const PATIENCE: Duration = Duration::from_secs(10);

impl Run for Args {
    fn run(self, context: &Context) -> Result<(), Failure> {
        let mut removed = match context.client().send(Method::POST, "/api/detach", &()) {
            Ok(removed) => removed,
            Err(Failure::NoDaemon(_)) => Vec::new(),
            Err(other) => return Err(other),
        };
        let _lock = lock(context)?;
        removed.extend(rest(context)?);
        context.output.print(&removed, |lines| match lines.as_slice() {
            [] => "nothing was attached\n".to_owned(),
            lines => lines.iter().map(|line| format!("{line}\n")).collect(),
        })
    }
}

/// Waits until a daemon that was told to end has ended.
fn lock(context: &Context) -> Result<InstanceLock, Failure> {
    let patience = Instant::now() + PATIENCE;
    loop {
        match InstanceLock::take(&context.instance) {
            Ok(lock) => return Ok(lock),
            Err(e) if Instant::now() > patience => return Err(Failure::Refused(e.to_string())),
            Err(_) => std::thread::sleep(Duration::from_millis(20)),
        }
    }
}

/// What is there without a daemon.
fn rest(context: &Context) -> Result<Vec<String>, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| Failure::Refused(e.to_string()))?;
    runtime.block_on(daemon::detach(&context.instance)).map_err(|e| Failure::Refused(e.to_string()))
}
