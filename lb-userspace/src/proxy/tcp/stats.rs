//! What is counted of TCP connections.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::{model::Id, proxy::relay::Meter};

/// Declares reasons with their labels.
macro_rules! refusals {
    ($($(#[$doc:meta])* $variant:ident = $label:literal,)+) => {
        /// Why a connection was ended by lb.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Refusal {
            $($(#[$doc])* $variant,)+
        }

        impl Refusal {
            /// All of them.
            pub(crate) const ALL: &[Self] = &[$(Self::$variant,)+];

            /// The metric's label.
            pub(crate) const fn label(self) -> &'static str {
                match self {
                    $(Self::$variant => $label,)+
                }
            }
        }
    };
}

refusals! {
    /// It is nobody's.
    NoRouter = "no_router",
    /// The client went away, or was too slow, before it had said what it wants.
    Silent = "silent",
    /// Its ClientHello is wrong.
    Malformed = "malformed_hello",
    /// The handshake failed; why is counted by the TLS options.
    Tls = "tls",
    /// A middleware didn't let it in.
    Gate = "middleware",
    /// No server is there for it.
    NoServer = "no_server",
    /// None of those that were tried could be reached.
    Unreachable = "unreachable",
    /// A datagram's: there are as many sessions as there may be.
    TooMany = "too_many_sessions",
    /// A datagram's: the server's socket has no room for it.
    Overrun = "overrun",
    /// The client broke off in the middle.
    ClientBroke = "client_broke_off",
    /// The server broke off in the middle.
    ServerBroke = "server_broke_off",
}

/// Of one router at one entry point, or of those that got to no router.
#[derive(Debug, Default)]
pub(crate) struct Stats {
    /// Connections ever.
    pub(crate) connections: AtomicU64,
    /// Connections now.
    pub(crate) open: AtomicU64,
    /// Bytes from clients.
    pub(crate) received: AtomicU64,
    /// Bytes to clients.
    pub(crate) sent: AtomicU64,
    refusals: [AtomicU64; Refusal::ALL.len()],
}

impl Stats {
    /// One more that was ended.
    pub(crate) fn refuse(&self, refusal: Refusal) {
        self.refusals[refusal as usize].fetch_add(1, Relaxed);
    }

    /// Those that were ended, by label.
    pub(crate) fn refusals(&self) -> impl Iterator<Item = (&'static str, u64)> {
        Refusal::ALL.iter().map(|one| (one.label(), self.refusals[*one as usize].load(Relaxed)))
    }

    /// Counts one as open until this is dropped.
    pub(crate) fn open(&self) -> Open<'_> {
        self.connections.fetch_add(1, Relaxed);
        self.open.fetch_add(1, Relaxed);
        Open(self)
    }
}

/// What was counted so far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectionCounts {
    /// Name of the entry point.
    pub entry_point: String,
    /// `None` for connections that got to no router.
    pub router: Option<Id>,
    /// Connections, or sessions of UDP, ever.
    pub connections: u64,
    /// Those that are open.
    pub open: u64,
    /// Bytes from clients.
    pub received: u64,
    /// Bytes to clients.
    pub sent: u64,
    /// Those that lb ended, by reason; of UDP, datagrams that it dropped.
    pub refusals: Vec<(&'static str, u64)>,
}

impl ConnectionCounts {
    pub(crate) fn new(entry_point: &str, router: Option<&Id>, stats: &Stats) -> Self {
        let [connections, open, received, sent] =
            [&stats.connections, &stats.open, &stats.received, &stats.sent]
                .map(|count| count.load(Relaxed));
        Self {
            entry_point: entry_point.to_owned(),
            router: router.cloned(),
            connections,
            open,
            received,
            sent,
            refusals: stats.refusals().filter(|(_, count)| *count > 0).collect(),
        }
    }
}

pub(crate) struct Open<'a>(&'a Stats);

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Relaxed);
    }
}

impl Meter for Stats {
    fn passed(&self, from_client: u64, to_client: u64) {
        self.received.fetch_add(from_client, Relaxed);
        self.sent.fetch_add(to_client, Relaxed);
    }
}
