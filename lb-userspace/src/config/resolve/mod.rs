//! References between objects, which may stand in several files of several providers.

mod again;
mod cycles;
mod names;
mod routers;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use super::{
    build::{Document, Instance, Kind, MiddlewareDraft, Reference, RouterDraft, ServiceDraft},
    decode::{At, Spot},
};
use crate::model::{Dynamic, Fault, Id, Middleware, Off, Protocol, Shared, Transport};
use names::Names;

/// What the files come to.
#[derive(Clone, Debug, Default)]
pub(crate) struct Resolved {
    /// What can apply, by provider; complete only where nothing is refused.
    pub(crate) dynamic: BTreeMap<&'static str, Dynamic>,
    /// Faults for which a whole file is refused.
    pub(crate) refused: Vec<Refusal>,
    /// Routers that are off alone, and why.
    pub(crate) off: Vec<Fault>,
    /// Worth knowing.
    pub(crate) warnings: Vec<Fault>,
}

/// A fault for which a whole file is refused, and who else may have brought it about.
#[derive(Clone, Debug)]
pub(crate) struct Refusal {
    pub(crate) fault: Fault,
    /// Index of the file where it stands.
    pub(crate) file: usize,
    pub(crate) cause: Cause,
}

/// What made a reference or a name wrong.
#[derive(Clone, Debug)]
pub(crate) enum Cause {
    /// The object is in no file.
    Missing(Kind, Id),
    /// The main file has no such entry point, or certificates resolver.
    NotInMain,
    /// The file of this index has the name already.
    Twice(usize),
    /// It is made of itself.
    Cycle,
}

/// A file of a provider.
pub(crate) type Source<'d> = (&'static str, &'d Document);

/// Puts files together, the main file first. Where `gaps` says that some file of these providers
/// couldn't be read and has no earlier state, a missing object puts routers off instead of
/// refusing the file that names it.
pub(crate) fn resolve(
    sources: &[Source<'_>],
    instance: &Instance,
    gaps: &BTreeSet<&'static str>,
) -> Resolved {
    let mut resolved = Resolved::default();
    let names = Names::of(sources, &mut resolved.refused);
    let mut resolver = Resolver {
        instance,
        gaps,
        names,
        broken: BTreeSet::new(),
        drafts: HashMap::new(),
        resolved,
    };
    resolver.resolved.warnings.extend(instance.warnings.iter().cloned());
    for (file, &(provider, document)) in sources.iter().enumerate() {
        resolver.resolved.dynamic.entry(provider).or_default();
        resolver.resolved.warnings.extend(document.warnings.iter().cloned());
        resolver.objects(file, provider, document);
    }
    resolver.broken_by_others(sources);
    resolver.main_file();
    for (file, &(provider, document)) in sources.iter().enumerate() {
        for draft in &document.routers {
            if resolver.names.is_first(Kind::Router, &draft.config.id, file, &draft.spot) {
                let again = draft.under(instance.rule_syntax);
                let draft = again.map_or_else(|| draft.clone(), Shared::from);
                resolver.router(file, provider, draft);
            }
        }
    }
    resolver.judge();
    resolver.resolved
}

struct Resolver<'d> {
    instance: &'d Instance,
    gaps: &'d BTreeSet<&'static str>,
    names: Names<'d>,
    /// Middlewares that don't build: routers with them are off.
    broken: BTreeSet<Id>,
    /// Of the routers that may apply.
    drafts: HashMap<Id, Shared<RouterDraft>>,
    resolved: Resolved,
}

impl<'d> Resolver<'d> {
    /// All but the routers.
    fn objects(&mut self, file: usize, provider: &'static str, document: &'d Document) {
        for draft in &document.services {
            let ServiceDraft { service, spot, references } = &**draft;
            if self.names.is_first(Kind::Service, &service.id, file, spot) {
                self.refer("service", file, references);
                self.cycle(Kind::Service, &service.id, references, file);
                self.dynamic(provider).services.push(service.clone());
            }
        }
        for draft in &document.middlewares {
            if self.names.is_first(Kind::Middleware, &draft.id, file, &draft.spot) {
                self.middleware(file, provider, draft);
            }
        }
        for At { value, spot } in &document.transports {
            if self.names.is_first(Kind::Transport, &value.id, file, spot) {
                let transport: &Transport = value;
                self.dynamic(provider).transports.push(transport.clone());
            }
        }
        let tls = &mut self.resolved.dynamic.entry(provider).or_default().tls;
        tls.certificates.extend(document.tls.certificates.iter().cloned());
        for (name, at) in &document.tls.options {
            tls.options.entry(name.clone()).or_insert_with(|| at.value.clone());
        }
        if let Some(at) = &document.tls.default_certificate {
            tls.default_certificate.get_or_insert_with(|| at.value.clone());
        }
    }

    fn dynamic(&mut self, provider: &'static str) -> &mut Dynamic {
        self.resolved.dynamic.entry(provider).or_default()
    }

    fn middleware(&mut self, file: usize, provider: &'static str, draft: &'d MiddlewareDraft) {
        let missing = self.refer("middleware", file, &draft.references);
        self.cycle(Kind::Middleware, &draft.id, &draft.references, file);
        let faults = match &draft.settings {
            Ok(settings) if missing.is_empty() => {
                let settings = Arc::clone(settings);
                self.dynamic(provider)
                    .middlewares
                    .push(Middleware { id: draft.id.clone(), settings });
                return;
            }
            Ok(_) => missing,
            Err(faults) => faults.clone(),
        };
        let middleware = || Off::Middleware(draft.id.clone());
        self.resolved.off.extend(faults.into_iter().map(|fault| fault.taking_off(middleware())));
        self.broken.insert(draft.id.clone());
    }

    /// Middlewares that are made of such as don't build.
    fn broken_by_others(&mut self, sources: &[Source<'d>]) {
        if self.broken.is_empty() {
            return;
        }
        let drafts: Vec<&MiddlewareDraft> = sources
            .iter()
            .flat_map(|(_, document)| &document.middlewares)
            .map(|one| &**one)
            .collect();
        loop {
            let is_new = |draft: &&&MiddlewareDraft| {
                let names =
                    |r: &Reference| r.kind == Kind::Middleware && self.broken.contains(&r.id);
                !self.broken.contains(&draft.id) && draft.references.iter().any(names)
            };
            let more: Vec<&MiddlewareDraft> = drafts.iter().filter(is_new).copied().collect();
            if more.is_empty() {
                break;
            }
            for draft in &more {
                let is_broken = |r: &&Reference| self.broken.contains(&r.id);
                let of = draft.references.iter().filter(is_broken);
                let faults = of.map(|r| r.spot.fault(doesnt_build(&r.id)));
                let middleware = || Off::Middleware(draft.id.clone());
                self.resolved.off.extend(faults.map(|fault| fault.taking_off(middleware())));
            }
            self.broken.extend(more.iter().map(|draft| draft.id.clone()));
        }
        for dynamic in self.resolved.dynamic.values_mut() {
            dynamic.middlewares.retain(|middleware| !self.broken.contains(&middleware.id));
        }
    }

    /// Checks that what `references` name exists: a fault for which the file is refused, or, where
    /// something couldn't be read, those that are returned.
    fn refer(&mut self, owner: &str, file: usize, references: &[Reference]) -> Vec<Fault> {
        let mut gaps = Vec::new();
        for reference in references {
            let whose = self.names.provider(file);
            let provider = reference.id.provider.as_str();
            if provider != whose && provider != Id::INTERNAL {
                // Another provider's: it may come, and its router waits.
                continue;
            }
            let Some(fault) = self.names.missing(owner, reference) else { continue };
            if self.gaps.contains(provider) || is_lenient(whose) {
                gaps.push(fault);
            } else {
                let cause = Cause::Missing(reference.kind, reference.id.clone());
                self.resolved.refused.push(Refusal { fault, file, cause });
            }
        }
        gaps
    }

    /// Refuses the file for what the main file lacks; of instances the router alone is off.
    fn refuse(&mut self, file: usize, fault: Fault) -> Option<Fault> {
        if is_lenient(self.names.provider(file)) {
            return Some(fault);
        }
        self.resolved.refused.push(Refusal { fault, file, cause: Cause::NotInMain });
        None
    }

    /// What entry points and other parts of the main file name.
    fn main_file(&mut self) {
        let instance = self.instance;
        let missing = self.refer("entry point", 0, &instance.references);
        self.resolved.off.extend(missing);
        for reference in &instance.references {
            if reference.kind == Kind::Middleware && self.broken.contains(&reference.id) {
                let what = doesnt_build(&reference.id);
                let message = format!("{what}: HTTP routers are off at this entry point");
                self.resolved.off.push(reference.spot.fault(message));
            }
        }
        for at in &instance.redirected {
            if let Some(fault) =
                routers::entry_point(at, Protocol::Tcp, "requests are", instance).err()
            {
                self.resolved.refused.extend(fault.map(|fault| Refusal {
                    fault,
                    file: 0,
                    cause: Cause::NotInMain,
                }));
            }
        }
        for at in &instance.resolved_by {
            if let Some(fault) = self.resolver(at) {
                let _ = self.refuse(0, fault);
            }
        }
    }
}

/// Whether a provider's parts come and go by themselves (containers, keys), so that what one of them
/// lacks puts that router off and refuses nothing else.
fn is_lenient(provider: &str) -> bool {
    provider != super::PROVIDER
}

fn doesnt_build(middleware: &Id) -> String {
    format!("middleware {:?} doesn't build", middleware.name)
}

/// As [`Spot::fault`], with a hint.
fn hinted(spot: &Spot, message: String, hint: Option<String>) -> Fault {
    Fault { hint, ..spot.fault(message) }
}
