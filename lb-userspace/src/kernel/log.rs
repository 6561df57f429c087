//! Trace lines of the programs, through aya-log to the daemon's own log.

use aya::Ebpf;
use aya_log::EbpfLogger;
use log::{Level, Log, Metadata, Record};
use tokio::io::{Interest, unix::AsyncFd};

use super::error::{KernelError as E, Result};

/// Where the programs' lines arrive.
pub struct KernelLog {
    logger: EbpfLogger<ToTracing>,
}

impl std::fmt::Debug for KernelLog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("KernelLog")
    }
}

impl KernelLog {
    pub(super) fn new(ebpf: &mut Ebpf) -> Result<Self> {
        let logger = EbpfLogger::init_with_logger(ebpf, ToTracing)
            .map_err(|e| E::Internal(format!("the programs' log can't be read: {e}")))?;
        Ok(Self { logger })
    }

    /// Passes lines on as they come, until dropped. They have the target `lb::kernel`.
    ///
    /// # Errors
    /// The ring buffer can't be waited for.
    pub async fn run(self) -> std::io::Result<()> {
        // SAFETY: the logger owns its descriptor and keeps it open and the same until dropped.
        let mut logger =
            unsafe { AsyncFd::register_with_interest(self.logger, Interest::READABLE) }?;
        loop {
            let mut guard = logger.readable_mut().await?;
            guard.get_inner_mut().flush();
            guard.clear_ready();
        }
    }
}

/// aya-log speaks to the `log` crate.
struct ToTracing;

impl Log for ToTracing {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        let line = record.args();
        match record.level() {
            Level::Error => tracing::error!(target: "lb::kernel", "{line}"),
            Level::Warn => tracing::warn!(target: "lb::kernel", "{line}"),
            Level::Info => tracing::info!(target: "lb::kernel", "{line}"),
            Level::Debug => tracing::debug!(target: "lb::kernel", "{line}"),
            Level::Trace => tracing::trace!(target: "lb::kernel", "{line}"),
        }
    }

    fn flush(&self) {}
}
