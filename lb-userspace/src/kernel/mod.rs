//! The kernel side as seen from the daemon: the only place of lb-userspace
//! that loads, attaches, pins and maps.
//!
//! What the daemon does, in its order (the instance's lock first, for all of it):
//!
//! ```text
//! InstanceLock::take(&paths)?                         // KernelError::Running { pid }
//! Datapath::is_pinned(&paths)                         // something to adopt, whatever the configuration says
//! let mut datapath = Datapath::open(&paths, &settings.datapath)?;
//!                                                     // fresh, adopted or carried over: datapath.origin()
//! datapath.read_view()?                               // what the maps hold: what the first plan starts from
//! Plan::between(&old, &new).apply(datapath.sink())?
//! datapath.attach(&[Attachment])?                     // idempotent; again when an interface comes back
//! let reader = datapath.reader();                     // flows, counters and settings, for any thread
//! Sweeper::new(reader).step()?                        // a slice of the table; at the end of a pass, what it found
//! poke::reset_flows(&reader, &ids)?                   // once backends are marked with RESET
//! Explainer::load(&datapath)?.explain(&Question { … })?
//! datapath.take_log()                                 // trace lines, where `datapath.trace` is on
//! detach(&paths)?                                     // with or without a daemon
//! ```
//!
//! Pinned under `/sys/fs/bpf/lb/NAME`: `links/`, whatever the layout, and for each
//! layout of the maps `v<hash>/{maps,rings,programs}/`, of which one is in force.
//! `maps/LAYOUT` describes the others and is pinned last: without it they don't
//! count. Tables of another layout are read by that description (`carry`, `decode`).

mod attach;
mod carry;
mod clock;
mod datapath;
mod decode;
mod detach;
mod error;
mod explain;
mod flows;
mod layout;
mod load;
mod lock;
mod log;
mod maps;
mod mmap;
pub mod net;
pub mod object;
mod old_table;
mod packet;
mod paths;
mod peers;
mod pins;
pub mod poke;
mod preflight;
pub mod rights;
mod rings;
mod stats;
mod sweep;
mod sys;
mod table;
mod view;

pub use attach::{AttachStatus, Attachment};
pub use clock::PROGRAM as CLOCK_PROGRAM;
pub use datapath::{Datapath, Origin};
pub use detach::{Detached, detach};
pub use error::{KernelError, Result};
pub use explain::{Answer, Explainer, Question};
pub use flows::{FlowFilter, FlowRecord, Reader};
pub use layout::{Layout, MapShape, Table, TypeShape};
pub use lock::InstanceLock;
pub use log::KernelLog;
pub use maps::KernelMaps;
pub use paths::{BPFFS, Paths};
pub use preflight::{check_host, mount_bpffs};
pub use stats::{BackendCounters, Stats};
pub use sweep::{Pass, Sweeper};
