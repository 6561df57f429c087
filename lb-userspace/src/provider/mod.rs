//! Where routers and services come from. A provider is one file of this folder and one line of
//! [`registered`].

mod changes;
mod file;
mod fingerprint;
mod settle;
mod sources;
mod watch;

use std::{future::Future, path::PathBuf, pin::Pin};

pub use sources::{Checked, Reload, Scope, Sources, check};

use crate::model::{Fault, Settings};

/// The providers that `settings` asks for; `follows` says whether they are to tell of changes.
fn registered(settings: &Settings, follows: bool) -> Vec<Box<dyn Provider>> {
    [file::FileProvider::asked_for(settings, follows)].into_iter().flatten().collect()
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
    /// Why it can't be read.
    Unreadable(Fault),
    /// It is still being written: its last state stays for now.
    Unsettled,
}
