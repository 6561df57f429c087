//! All configuration: the main file, and what the providers it names say.

use std::{
    collections::{BTreeMap, BTreeSet},
    future::poll_fn,
    path::{Path, PathBuf},
    sync::Arc,
    task::Poll,
};

use super::{
    Around, Asked, Content, Provider, Reading, Status, changes, registered,
    registry::Slot,
    settle::{Good, Key, Resolver, Set, Settled, settle},
};
use crate::{
    config::{HostPorts, PROVIDER, build, in_order, read, resolve::Resolved},
    model::{Dynamic, EntryPoint, Fault, Settings},
    nats::Agreed,
    reconcile::Event,
};

/// What a reading is to cover.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Everything, the main file included: `lb reload`, `SIGHUP`.
    All,
    /// What providers say; the main file stays as read last. For [`Sources::changed`].
    Providers,
}

/// What a reading came to.
#[derive(Debug, Default)]
pub struct Reload {
    /// For the one writer, in order; none where nothing has changed.
    pub events: Vec<Event>,
    /// What has changed, a line each, as `lb reload` prints it.
    pub changes: Vec<String>,
    /// Every fault. Files that have one keep their last good state, a router whose rule doesn't
    /// build is off; all else applies. `lb reload` exits 1 unless this is empty.
    pub faults: Vec<Fault>,
    /// Worth knowing, nothing is off.
    pub warnings: Vec<Fault>,
    /// Whether no file has one: what is wrong with a container, or a key elsewhere, is none of a
    /// reload's doing.
    pub files_are_sound: bool,
    /// Whether every byte is as it was at the last reading, so that there is nothing new to tell.
    pub is_again: bool,
}

/// What `lb check` finds.
#[derive(Debug, Default)]
pub struct Checked {
    /// Every fault; exit 1 unless empty.
    pub faults: Vec<Fault>,
    /// Worth knowing.
    pub warnings: Vec<Fault>,
}

/// The configuration's files and their last good states.
pub struct Sources {
    main: PathBuf,
    /// Whether changes are to be followed at all.
    follows: bool,
    state: Option<PathBuf>,
    /// lb's own registry, once it runs.
    registry: Slot,
    agreed: Agreed,
    /// Each with the key of its settings.
    providers: Vec<(String, Box<dyn Provider>)>,
    /// What is in force of each file.
    good: Set,
    resolver: Resolver,
    /// Put together.
    settings: Settings,
    entry_points: BTreeMap<String, EntryPoint>,
    dynamic: BTreeMap<&'static str, Dynamic>,
    /// As read last, faulty ones included.
    last_read: BTreeMap<Key, Arc<Vec<u8>>>,
}

impl Sources {
    /// Reads the main file and all that it names for the first time.
    ///
    /// # Errors
    /// Every fault, where the main file has one for which it is refused whole. A missing or faulty
    /// file of a provider is no error: it is among the faults of the [`Reload`].
    pub fn open(main: impl Into<PathBuf>) -> Result<(Self, Reload), Vec<Fault>> {
        Self::begin(main.into(), true, None)
    }

    /// As [`Self::open`], with what providers kept in the state folder by the last run.
    ///
    /// # Errors
    /// As there.
    pub fn open_with(
        main: impl Into<PathBuf>,
        state: PathBuf,
    ) -> Result<(Self, Reload), Vec<Fault>> {
        Self::begin(main.into(), true, Some(state))
    }

    fn begin(
        main: PathBuf,
        follows: bool,
        state: Option<PathBuf>,
    ) -> Result<(Self, Reload), Vec<Fault>> {
        let mut sources = Self {
            main,
            follows,
            state,
            registry: Slot::default(),
            agreed: Agreed::default(),
            providers: Vec::new(),
            good: Set::new(),
            resolver: Resolver::default(),
            settings: Settings::default(),
            entry_points: BTreeMap::new(),
            dynamic: BTreeMap::new(),
            last_read: BTreeMap::new(),
        };
        let reload = sources.read(Scope::All)?;
        Ok((sources, reload))
    }

    /// Reads now. The main file at fault keeps its last good state like any other.
    pub fn reload(&mut self, scope: Scope) -> Reload {
        match self.read(scope) {
            Ok(reload) => reload,
            Err(faults) => Reload { faults: in_order(faults), ..Reload::default() },
        }
    }

    /// Resolves when a provider has something new: time for a [`Scope::Providers`]. Dropping the
    /// future loses nothing.
    pub async fn changed(&mut self) {
        let mut waits: Vec<_> = self.providers.iter_mut().map(|(_, one)| one.changed()).collect();
        poll_fn(|context| {
            let ready = waits.iter_mut().any(|wait| wait.as_mut().poll(context).is_ready());
            if ready { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }

    fn read(&mut self, scope: Scope) -> Result<Reload, Vec<Fault>> {
        let mut read = Read::default();
        let main = Key { is_dynamic: false, provider: PROVIDER, file: self.main.clone() };
        match (scope, self.good.get(&main)) {
            (Scope::Providers, Some(good)) => {
                read.bytes.insert(main.clone(), Arc::clone(&good.bytes));
                read.take(main.clone(), Arc::clone(good));
            }
            _ => read.main(&main, &self.good),
        }
        let Some(settings) = read.settings(&main) else {
            return Err(in_order(read.faults));
        };
        self.ask_for(&settings);
        for (_, provider) in &mut self.providers {
            let reading = provider.read(scope == Scope::All);
            read.provider(provider.name(), reading, &self.good);
        }
        let known = read.report(&mut self.resolver);
        let Read { sound, gaps, faults, bytes, sources, .. } = read;
        if !sound.contains_key(&main) {
            return Err(in_order(faults));
        }
        let settled = match settle(sound, &self.good, gaps, known) {
            Ok(settled) => settled,
            Err(more) => return Err(in_order([faults, more].concat())),
        };
        let is_again = bytes == self.last_read;
        self.last_read = bytes;
        let mut reload = self.put_in_force(settled, &main);
        reload.faults = in_order([faults, reload.faults].concat());
        reload.files_are_sound =
            reload.faults.iter().all(|fault| sources.contains(&fault.place.file));
        reload.is_again = is_again;
        Ok(reload)
    }

    /// Where lb's own registry is to be told of.
    pub(crate) fn registry(&self) -> &Slot {
        &self.registry
    }

    /// What nodes that share a bucket have agreed on.
    pub(crate) fn agreed(&self) -> &Agreed {
        &self.agreed
    }

    /// Has all providers write what the next start begins with.
    pub(crate) fn keep(&self) {
        self.providers.iter().for_each(|(_, provider)| provider.keep());
    }

    /// How sources over a network are doing.
    pub fn statuses(&self) -> Vec<Arc<Status>> {
        self.providers.iter().filter_map(|(_, provider)| provider.status()).collect()
    }

    /// Makes the providers that are new or asked for otherwise; the others go on.
    fn ask_for(&mut self, settings: &Settings) {
        let throttle = settings.throttle;
        let around = Around {
            follows: self.follows,
            throttle,
            state: self.state.clone(),
            registry: self.registry.clone(),
            agreed: self.agreed.clone(),
        };
        let mut before: BTreeMap<String, Box<dyn Provider>> =
            std::mem::take(&mut self.providers).into_iter().collect();
        for Asked { key, make } in registered(settings) {
            let provider = before.remove(&key).unwrap_or_else(|| make(&around));
            self.providers.push((key, provider));
        }
    }

    /// Makes the events that lead from what is in force to what has been settled on.
    fn put_in_force(&mut self, settled: Settled, main: &Key) -> Reload {
        let Settled { set, resolved, faults } = settled;
        let instance = set.get(main).and_then(|good| good.document.instance.clone());
        let instance = instance.unwrap_or_default();
        let is_first = self.good.is_empty();
        let mut reload = Reload {
            faults: [faults, resolved.off].concat(),
            warnings: in_order(resolved.warnings),
            ..Reload::default()
        };
        if !is_first {
            changes::settings(&self.settings, &instance.settings, &mut reload.changes);
        }
        changes::entry_points(&self.entry_points, &instance.entry_points, &mut reload.changes);
        if is_first
            || self.settings != instance.settings
            || self.entry_points != instance.entry_points
        {
            reload.events.push(Event::Static {
                settings: Box::new(instance.settings.clone()),
                entry_points: instance.entry_points.clone(),
            });
        }
        let mut next = resolved.dynamic;
        for provider in self.dynamic.keys() {
            next.entry(provider).or_default();
        }
        let none = Dynamic::default();
        for (provider, dynamic) in &next {
            let before = self.dynamic.get(provider).unwrap_or(&none);
            changes::dynamic(before, dynamic, &mut reload.changes);
            if is_first || before != dynamic {
                let (provider, dynamic) = ((*provider).to_owned(), dynamic.clone());
                reload.events.push(Event::Update { provider, dynamic });
            }
        }
        self.good = set;
        self.settings = instance.settings;
        self.entry_points = instance.entry_points;
        self.dynamic = next;
        reload
    }
}

/// One reading under way.
#[derive(Default)]
struct Read {
    /// Files as they stand, faulty ones included: to find the faults of all.
    all: Set,
    /// Files as they may apply.
    sound: Set,
    /// Providers of which something can't be read and has no earlier state.
    gaps: BTreeSet<&'static str>,
    faults: Vec<Fault>,
    bytes: BTreeMap<Key, Arc<Vec<u8>>>,
    /// What faults of sources over a network call the place where they are.
    sources: BTreeSet<String>,
}

impl Read {
    fn take(&mut self, key: Key, good: Arc<Good>) {
        self.all.insert(key.clone(), Arc::clone(&good));
        self.sound.insert(key, good);
    }

    fn main(&mut self, key: &Key, good: &Set) {
        match read(&key.file) {
            Ok(bytes) => {
                let parsed = build::main_file(&key.file, &bytes, PROVIDER, &HostPorts::read());
                self.parsed(key.clone(), bytes, parsed, good);
            }
            Err(fault) => self.unreadable(key.clone(), fault, good),
        }
    }

    fn provider(&mut self, provider: &'static str, reading: Reading, good: &Set) {
        let is_ours = |key: &&Key| key.is_dynamic && key.provider == provider;
        if let Some(fault) = reading.failed {
            self.faults.push(fault);
            if !good.keys().any(|key| is_ours(&key)) {
                self.gaps.insert(provider);
            }
            for (key, last) in good.iter().filter(|(key, _)| is_ours(key)) {
                self.take(key.clone(), Arc::clone(last));
            }
        }
        for text in reading.texts {
            // The main file itself, named again so that it is watched.
            let is_file = !matches!(text.content, Content::Read(_));
            let mut known = self.sound.keys().chain(self.all.keys());
            if is_file && known.any(|key| same_file(&key.file, &text.file)) {
                continue;
            }
            let key = Key { is_dynamic: true, provider, file: text.file };
            match text.content {
                Content::Bytes(bytes) => {
                    let parsed = build::provider_file(&key.file, &bytes, provider);
                    self.parsed(key, bytes, parsed, good);
                }
                Content::Read(part) => {
                    let faults = part.out.iter().chain(&part.parsed.faults);
                    self.sources.extend(faults.map(|fault| fault.place.file.clone()));
                    self.sources.insert(provider.to_owned());
                    self.faults.extend(part.out.iter().cloned());
                    let bytes = part.stamp.to_be_bytes().to_vec();
                    self.parsed(key, bytes, part.parsed.clone(), good);
                }
                Content::Unreadable(fault) => self.unreadable(key, fault, good),
                Content::Unsettled => self.fall_back(key, good),
            }
        }
    }

    fn parsed(&mut self, key: Key, bytes: Vec<u8>, parsed: build::Parsed, good: &Set) {
        let bytes = Arc::new(bytes);
        self.bytes.insert(key.clone(), Arc::clone(&bytes));
        let file = Arc::new(Good { bytes, document: parsed.document });
        if parsed.faults.is_empty() {
            self.take(key, file);
        } else {
            self.faults.extend(parsed.faults);
            self.fall_back(key.clone(), good);
            self.all.insert(key, file);
        }
    }

    fn unreadable(&mut self, key: Key, fault: Fault, good: &Set) {
        self.faults.push(fault);
        self.fall_back(key, good);
    }

    /// The last good state of a file, or a gap.
    fn fall_back(&mut self, key: Key, good: &Set) {
        match good.get(&key) {
            Some(last) => self.take(key, Arc::clone(last)),
            None => {
                self.gaps.insert(key.provider);
            }
        }
    }

    /// The static part to go by, of a faulty main file too, so that the faults of all are found.
    fn settings(&self, main: &Key) -> Option<Settings> {
        let good = self.sound.get(main).or_else(|| self.all.get(main))?;
        Some(good.document.instance.as_ref()?.settings.clone())
    }

    /// Adds the faults that lie between files as they stand. What those come to that may apply, where
    /// they are the same.
    fn report(&mut self, resolver: &mut Resolver) -> Option<Resolved> {
        let resolved = resolver.resolved(&self.all, &self.gaps);
        self.faults.extend(resolved.refused.iter().map(|refusal| refusal.fault.clone()));
        self.faults.extend_from_slice(&resolved.off);
        let files = |set: &Set| -> Vec<_> { set.values().map(Arc::as_ptr).collect() };
        (files(&self.all) == files(&self.sound)).then_some(resolved)
    }
}

/// Whether two paths lead to the same file.
fn same_file(one: &Path, other: &Path) -> bool {
    one == other || matches!((one.canonicalize(), other.canonicalize()), (Ok(a), Ok(b)) if a == b)
}

/// Validates the main file and all that it names, without anything in force: `lb check`.
pub fn check(main: &Path) -> Checked {
    match Sources::begin(main.to_owned(), false, None) {
        Ok((_, reload)) => {
            let dynamics = reload.events.iter().filter_map(|event| match event {
                Event::Update { dynamic, .. } => Some(dynamic),
                _ => None,
            });
            let unusable: Vec<Fault> =
                dynamics.flat_map(|dynamic| material::faults(main, dynamic)).collect();
            let faults = reload.faults.into_iter().chain(unusable).collect();
            Checked { faults, warnings: reload.warnings }
        }
        Err(faults) => Checked { faults, warnings: Vec::new() },
    }
}

mod material;

#[cfg(test)]
mod http_tests;
#[cfg(test)]
mod tests;
