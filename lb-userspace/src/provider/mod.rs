//! Where routers and services come from. A provider is one file (or folder) here and one line of
//! [`registered`]. Those over a network are a [`link::Source`]; those that find instances with labels
//! make their documents by [`discovery`].

pub(crate) mod backoff;
mod changes;
pub(crate) mod client;
pub(crate) mod consul;
pub(crate) mod discovery;
mod dns;
mod docker;
mod file;
mod fingerprint;
mod http;
mod link;
mod nats;
pub(crate) mod registry;
mod settle;
mod sources;
mod status;
mod swarm;
mod watch;

use std::{future::Future, path::PathBuf, pin::Pin, sync::Arc, time::Duration};

pub use sources::{Checked, Reload, Scope, Sources, check};
pub(crate) use status::Seen;
pub use status::Status;

use crate::{
    model::{Fault, Settings},
    nats::Agreed,
};

/// The providers that `settings` asks for.
fn registered(settings: &Settings) -> Vec<Asked> {
    let asked = [
        file::asked_for(settings),
        dns::asked_for(settings),
        docker::asked_for(settings),
        http::asked_for(settings),
        nats::asked_for(settings),
        consul::catalog(settings),
        consul::kv(settings),
        registry::asked_for(settings),
        swarm::asked_for(settings),
    ];
    asked.into_iter().flatten().collect()
}

/// Makes a provider.
type Make = Box<dyn FnOnce(&Around) -> Box<dyn Provider>>;

/// A provider that is asked for.
pub(crate) struct Asked {
    /// Its settings in words: one that is as it was goes on.
    key: String,
    make: Make,
}

impl Asked {
    pub(crate) fn new(
        settings: &impl std::fmt::Debug,
        make: impl FnOnce(&Around) -> Box<dyn Provider> + 'static,
    ) -> Self {
        Self { key: format!("{settings:?}"), make: Box::new(make) }
    }
}

/// What a provider may need of what is around it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Around {
    /// Whether it is to tell of changes; `lb check` asks nobody.
    pub(crate) follows: bool,
    /// `providersThrottleDuration`.
    pub(crate) throttle: Duration,
    /// The instance's state folder, where there is an instance.
    pub(crate) state: Option<PathBuf>,
    /// lb's own registry, once it runs.
    pub(crate) registry: registry::Slot,
    /// Where the secret of a shared bucket goes.
    pub(crate) agreed: Agreed,
}

/// A source of routers and services.
pub(crate) trait Provider: Send {
    /// What stands behind the `@` of its objects, and its key under `providers`.
    fn name(&self) -> &'static str;

    /// Reads what there is now; with `all` also what is still being written.
    fn read(&mut self, all: bool) -> Reading;

    /// Resolves when something has changed and come to rest, so that reading it makes sense.
    /// Dropping the future loses nothing.
    fn changed(&mut self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>>;

    /// Writes what it said last for the next start, where it hasn't yet.
    fn keep(&self) {}

    /// How its source is doing, where that is over a network.
    fn status(&self) -> Option<Arc<Status>> {
        None
    }
}

/// What a provider read.
#[derive(Debug, Default)]
pub(crate) struct Reading {
    /// Its texts, each to be validated by itself.
    pub(crate) texts: Vec<Text>,
    /// Why it couldn't be read at all: what it said before stays.
    pub(crate) failed: Option<Fault>,
}

/// One text of a provider.
#[derive(Debug)]
pub(crate) struct Text {
    /// Its name in faults; the suffix tells the format.
    pub(crate) file: PathBuf,
    /// What it says.
    pub(crate) content: Content,
}

/// What a text says.
#[derive(Debug)]
pub(crate) enum Content {
    /// All of it.
    Bytes(Vec<u8>),
    /// A document that was read already.
    Read(Arc<link::Part>),
    /// Why it can't be read.
    Unreadable(Fault),
    /// It is still being written: its last state stays for now.
    Unsettled,
}
