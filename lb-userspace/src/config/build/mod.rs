//! From raw to validated: defaults are filled in and what contradicts itself is found. What one
//! file can't know (objects of other files) is left to [`super::resolve`].

mod access_log;
mod composed;
mod consul;
mod dns;
mod entry;
mod events;
mod health;
mod http;
mod l4;
mod providers;
mod reference;
mod registry;
mod router;
mod settings;
mod tls;
mod tracing;
mod transport;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::Arc,
    thread,
};

pub(crate) use reference::{Kind, Reference};
pub(crate) use router::RouterDraft;
pub(crate) use settings::Instance;
pub(crate) use tls::TlsDraft;

use super::{
    HostPorts,
    decode::{At, ByName, Cx, Decode, Field, MANY, Spot},
    flat::Tree,
    raw, syntax,
};
use crate::{
    middleware::{self, Settings},
    model::{Fault, Id, Name, Protocol, Service, Shared, Transport},
};

/// One file, as far as it could be read.
#[derive(Clone, Debug, Default)]
pub(crate) struct Document {
    /// The static part, of a main file.
    pub(crate) instance: Option<Instance>,
    /// In the order of the file, as all that follows.
    pub(crate) routers: Vec<Shared<RouterDraft>>,
    pub(crate) services: Vec<Shared<ServiceDraft>>,
    pub(crate) middlewares: Vec<Shared<MiddlewareDraft>>,
    pub(crate) transports: Vec<At<Transport>>,
    pub(crate) tls: TlsDraft,
    /// Objects whose fault is reported already: references to them are not at fault.
    pub(crate) faulty: BTreeSet<(Kind, Id)>,
    /// Whether objects may be missing here because something couldn't be read at all.
    pub(crate) unknown: bool,
    /// Worth knowing, nothing refused.
    pub(crate) warnings: Vec<Fault>,
}

impl Document {
    /// Every object that has a name, but for what stands under `tls`.
    pub(crate) fn objects(&self) -> impl Iterator<Item = (Kind, &Id)> {
        let services = self.services.iter().map(|draft| (Kind::Service, &draft.service.id));
        let routers = self.routers.iter().map(|draft| (Kind::Router, &draft.config.id));
        let middlewares = self.middlewares.iter().map(|draft| (Kind::Middleware, &draft.id));
        let transports = self.transports.iter().map(|at| (Kind::Transport, &at.value.id));
        services.chain(routers).chain(middlewares).chain(transports)
    }

    /// Takes the objects of another one that names nothing of the same, but for what stands under
    /// `tls`.
    pub(crate) fn append(&mut self, other: Self) {
        self.routers.extend(other.routers);
        self.services.extend(other.services);
        self.middlewares.extend(other.middlewares);
        self.transports.extend(other.transports);
        self.faulty.extend(other.faulty);
        self.warnings.extend(other.warnings);
        self.unknown |= other.unknown;
    }

    /// Whether it has this object.
    pub(crate) fn has(&self, kind: Kind, id: &Id) -> bool {
        match kind {
            Kind::Router => self.routers.iter().any(|draft| draft.config.id == *id),
            Kind::Service => self.services.iter().any(|draft| draft.service.id == *id),
            Kind::Middleware => self.middlewares.iter().any(|draft| draft.id == *id),
            Kind::Transport => self.transports.iter().any(|at| at.value.id == *id),
            Kind::TlsOptions => self.tls.options.iter().any(|(name, _)| *name == id.name),
        }
    }
}

/// A service whose references are not resolved yet.
#[derive(Clone, Debug)]
pub(crate) struct ServiceDraft {
    pub(crate) service: Shared<Service>,
    pub(crate) spot: Spot,
    /// Parts of a composed one; the servers transport.
    pub(crate) references: Vec<Reference>,
}

/// A middleware whose references are not resolved yet.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct MiddlewareDraft {
    pub(crate) id: Id,
    pub(crate) spot: Spot,
    /// Or why it doesn't build.
    pub(crate) settings: Result<Arc<Settings>, Vec<Fault>>,
    pub(crate) references: Vec<Reference>,
}

/// A file and the faults for which it is refused whole, if any.
#[derive(Clone, Debug, Default)]
pub(crate) struct Parsed {
    pub(crate) document: Document,
    pub(crate) faults: Vec<Fault>,
}

/// Reads the main file's bytes.
pub(crate) fn main_file(file: &Path, bytes: &[u8], provider: &str, host: &HostPorts) -> Parsed {
    let (main, mut faults) = decode::<raw::Main>(file, bytes);
    let origin = Spot { file: name(file), ..Spot::default() };
    let Some(main) = main else {
        let instance = Some(Instance { unknown: true, ..Instance::default() });
        return Parsed {
            document: Document { instance, unknown: true, ..Document::default() },
            faults,
        };
    };
    let instance = settings::build(&main, file, &origin, provider, host, &mut faults);
    let mut builder = Builder::new(file, provider, faults);
    builder.dynamic(main.http, main.tcp, main.udp, main.tls);
    builder.document.instance = Some(instance);
    Parsed { document: builder.document, faults: builder.faults }
}

/// Reads the bytes of a file under `providers.file`.
pub(crate) fn provider_file(file: &Path, bytes: &[u8], provider: &str) -> Parsed {
    let (raw, faults) = decode::<raw::Dynamic>(file, bytes);
    let Some(raw) = raw else {
        return Parsed { document: Document { unknown: true, ..Document::default() }, faults };
    };
    let mut builder = Builder::new(file, provider, faults);
    builder.dynamic(raw.http, raw.tcp, raw.udp, raw.tls);
    Parsed { document: builder.document, faults: builder.faults }
}

/// Reads what labels say of one instance.
pub(crate) fn labels(tree: &Tree, provider: &str) -> Parsed {
    let mut cx = tree.cx();
    let raw = raw::Labels::decode(&tree.root, &mut cx);
    let raw = raw.map(|raw| raw::Dynamic {
        http: raw.http,
        tcp: raw.tcp,
        udp: raw.udp,
        ..raw::Dynamic::default()
    });
    flat(raw, cx.faults, provider)
}

/// Reads what a key-value store says.
pub(crate) fn keys(tree: &Tree, provider: &str) -> Parsed {
    let mut cx = tree.cx();
    let raw = raw::Dynamic::decode(&tree.root, &mut cx);
    flat(raw, cx.faults, provider)
}

fn flat(raw: Option<raw::Dynamic>, faults: Vec<Fault>, provider: &str) -> Parsed {
    let mut builder = Builder::new(Path::new(""), provider, faults);
    match raw {
        Some(raw) => builder.dynamic(raw.http, raw.tcp, raw.udp, raw.tls),
        None => builder.document.unknown = true,
    }
    Parsed { document: builder.document, faults: builder.faults }
}

fn name(file: &Path) -> Arc<str> {
    file.display().to_string().into()
}

fn decode<T: Decode>(file: &Path, bytes: &[u8]) -> (Option<T>, Vec<Fault>) {
    let name = name(file);
    match syntax::parse(file, bytes) {
        Ok(node) => {
            let mut cx = Cx::new(&name);
            (T::decode(&node, &mut cx), cx.faults)
        }
        Err(errors) => {
            let spot = |pos| Spot { file: Arc::clone(&name), pos, ..Spot::default() };
            let faults = errors.into_iter().map(|error| spot(error.pos).fault(error.message));
            (None, faults.collect())
        }
    }
}

/// Builds the document of one file.
struct Builder<'f> {
    /// Where relative paths start.
    folder: &'f Path,
    provider: Name,
    document: Document,
    faults: Vec<Fault>,
}

impl<'f> Builder<'f> {
    fn new(file: &'f Path, provider: &'f str, faults: Vec<Fault>) -> Self {
        let folder = file.parent().unwrap_or(Path::new(""));
        Self { folder, provider: provider.into(), document: Document::default(), faults }
    }

    fn dynamic(
        &mut self,
        http: Field<raw::Http>,
        tcp: Field<raw::Tcp>,
        udp: Field<raw::Udp>,
        tls: Field<raw::Tls>,
    ) {
        let unknown = [http.is_faulty(), tcp.is_faulty(), udp.is_faulty(), tls.is_faulty()];
        self.document.unknown |= unknown.contains(&true);
        if let Some(http) = http.into_value() {
            self.named(Kind::Middleware, Protocol::Http, http.middlewares, Self::middleware);
            self.named(Kind::Transport, Protocol::Http, http.transports, Self::http_transport);
            self.named(Kind::Service, Protocol::Http, http.services, Self::http_service);
            self.named(Kind::Router, Protocol::Http, http.routers, Self::http_router);
        }
        if let Some(tcp) = tcp.into_value() {
            self.named(Kind::Middleware, Protocol::Tcp, tcp.middlewares, Self::tcp_middleware);
            self.named(Kind::Transport, Protocol::Tcp, tcp.transports, Self::tcp_transport);
            self.named(Kind::Service, Protocol::Tcp, tcp.services, Self::l4_service);
            self.named(Kind::Router, Protocol::Tcp, tcp.routers, Self::tcp_router);
        }
        if let Some(udp) = udp.into_value() {
            self.named(Kind::Service, Protocol::Udp, udp.services, Self::l4_service);
            self.named(Kind::Router, Protocol::Udp, udp.routers, Self::udp_router);
        }
        if let Some(tls) = tls.into_value() {
            self.tls(tls);
        }
    }

    /// Builds objects by name.
    fn named<T: Send>(
        &mut self,
        kind: Kind,
        protocol: Protocol,
        field: Field<ByName<T>>,
        build: fn(&mut Self, Id, At<T>),
    ) {
        self.document.unknown |= field.is_faulty();
        let ByName { objects, faulty } = field.into_value().unwrap_or_default();
        for name in faulty {
            self.document.faulty.insert((kind, Id::new(protocol, name, &self.provider)));
        }
        let mut objects = objects;
        let others = match objects.len() {
            MANY.. => objects.split_off(objects.len() / 2),
            _ => Vec::new(),
        };
        let all = |builder: &mut Self, objects: Vec<(String, At<T>)>| {
            for (name, at) in objects {
                object_name(&name, &at.spot, &mut builder.faults);
                build(builder, Id::new(protocol, name, &builder.provider), at);
            }
        };
        if others.is_empty() {
            return all(self, objects);
        }
        let mut beside = self.beside();
        thread::scope(|scope| {
            scope.spawn(|| all(&mut beside, others));
            all(self, objects);
        });
        self.append(beside);
    }

    /// One for a part of the objects.
    fn beside(&self) -> Self {
        let (folder, provider) = (self.folder, self.provider.clone());
        Self { folder, provider, document: Document::default(), faults: Vec::new() }
    }

    /// Takes what that one has built.
    fn append(&mut self, beside: Self) {
        self.document.append(beside.document);
        self.faults.extend(beside.faults);
    }

    fn middleware(&mut self, id: Id, raw: At<middleware::Raw>) {
        let mut faults = Vec::new();
        let settings = raw.value.check(&mut faults).filter(|_| faults.is_empty()).map(Arc::new);
        let refers = settings.as_ref().map(|settings| settings.refers()).unwrap_or_default();
        let references = refers.iter().map(|refers| match refers {
            middleware::Reference::Middleware(written) => {
                Reference::at(Kind::Middleware, written, &raw.spot, &id)
            }
            middleware::Reference::Service(written) => {
                Reference::at(Kind::Service, written, &raw.spot, &id)
            }
        });
        let references = references.collect();
        let settings = settings.ok_or(faults);
        let draft = MiddlewareDraft { id, spot: raw.spot, settings, references };
        self.document.middlewares.push(draft.into());
    }

    fn tcp_middleware(&mut self, id: Id, raw: At<middleware::tcp::Raw>) {
        let mut faults = Vec::new();
        let settings = raw.value.check(&mut faults).filter(|_| faults.is_empty());
        let settings = settings.map(|settings| Arc::new(Settings::Tcp(settings))).ok_or(faults);
        let (spot, references) = (raw.spot, Vec::new());
        let draft = MiddlewareDraft { id, spot, settings, references };
        self.document.middlewares.push(draft.into());
    }
}

/// Commands write `tcp/NAME@PROVIDER` and the API `/api/tcp/services/NAME`: a name holds none of
/// that.
fn object_name(name: &str, spot: &Spot, faults: &mut Vec<Fault>) {
    let bad = |c: char| matches!(c, '@' | '/') || c.is_whitespace() || c.is_control();
    if name.is_empty() {
        faults.push(spot.fault("a name can't be empty"));
    } else if let Some(c) = name.chars().find(|&c| bad(c)) {
        faults.push(spot.fault(format!("a name can't hold {c:?}")));
    }
}

/// What stands where, for objects by name.
pub(crate) type Spots = BTreeMap<String, Spot>;
