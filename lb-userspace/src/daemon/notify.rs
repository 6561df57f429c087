//! What systemd is told (`Type=notify`); nothing outside of systemd.

use sd_notify::NotifyState;

use crate::model::Snapshot;

/// The first snapshot, or a reloaded one, is in force; or the earlier one
/// still, where the reload was refused.
pub(super) fn ready(snapshot: &Snapshot, is_refused: bool) {
    let refused = if is_refused { "; the files are at fault, see `lb status`" } else { "" };
    let status = format!(
        "generation {}, {} routers, {} services{refused}",
        snapshot.generation,
        snapshot.routers.len(),
        snapshot.services.len()
    );
    tell(&[NotifyState::Ready, NotifyState::Status(&status)]);
}

/// A reload has begun; [`ready`] ends it.
pub(super) fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(e) => tracing::warn!("systemd can't be told of the reload: {e}"),
    }
}

/// Another process is the daemon from now on.
pub(super) fn succeeded(pid: u32) {
    tell(&[NotifyState::MainPid(pid)]);
}

/// The daemon ends.
pub(super) fn stopping(why: &str) {
    tell(&[NotifyState::Stopping, NotifyState::Status(why)]);
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(e) = sd_notify::notify(states) {
        tracing::warn!("systemd can't be told: {e}");
    }
}
