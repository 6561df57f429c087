//! From raw to validated: defaults are filled in and what contradicts itself is found. What one
//! file can't know (objects of other files) is left to [`super::resolve`].

mod health;
mod router;
mod service;
mod settings;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::Arc,
};

pub(crate) use router::RouterDraft;
pub(crate) use settings::Instance;

use super::{
    HostPorts,
    decode::{At, ByName, Cx, Decode, Field, Spot},
    raw, syntax,
};
use crate::model::{Fault, Id, Protocol, Service};

/// One file, as far as it could be read.
#[derive(Clone, Debug, Default)]
pub(crate) struct Document {
    /// The static part, of a main file.
    pub(crate) instance: Option<Instance>,
    /// In the order of the file.
    pub(crate) routers: Vec<RouterDraft>,
    /// In the order of the file.
    pub(crate) services: Vec<At<Service>>,
    /// Services whose fault is reported already: references to them are not at fault.
    pub(crate) faulty: BTreeSet<Id>,
    /// Whether services may be missing here because something couldn't be read at all.
    pub(crate) unknown: bool,
    /// Worth knowing, nothing refused.
    pub(crate) warnings: Vec<Fault>,
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
    let (instance, mut document) = match main {
        Some(main) => {
            let instance = settings::build(&main, file, &origin, host, &mut faults);
            (instance, dynamic(main.tcp, main.udp, provider, &mut faults))
        }
        None => {
            let instance = Instance { unknown: true, ..Instance::default() };
            (instance, Document { unknown: true, ..Document::default() })
        }
    };
    document.instance = Some(instance);
    Parsed { document, faults }
}

/// Reads the bytes of a file under `providers.file`.
pub(crate) fn provider_file(file: &Path, bytes: &[u8], provider: &str) -> Parsed {
    let (raw, mut faults) = decode::<raw::Dynamic>(file, bytes);
    let document = match raw {
        Some(raw) => dynamic(raw.tcp, raw.udp, provider, &mut faults),
        None => Document { unknown: true, ..Document::default() },
    };
    Parsed { document, faults }
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

fn dynamic(
    tcp: Field<raw::Transport<raw::Router>>,
    udp: Field<raw::Transport<raw::UdpRouter>>,
    provider: &str,
    faults: &mut Vec<Fault>,
) -> Document {
    let mut document =
        Document { unknown: tcp.is_faulty() || udp.is_faulty(), ..Document::default() };
    if let Some(tcp) = tcp.into_value() {
        document.add_services(Protocol::Tcp, tcp.services, provider, faults);
        for (name, at) in tcp.routers.into_value().unwrap_or_default().objects {
            object_name(&name, &at.spot, faults);
            document.routers.extend(router::tcp(&name, provider, &at, faults));
        }
    }
    if let Some(udp) = udp.into_value() {
        document.add_services(Protocol::Udp, udp.services, provider, faults);
        for (name, at) in udp.routers.into_value().unwrap_or_default().objects {
            object_name(&name, &at.spot, faults);
            document.routers.extend(router::udp(&name, provider, &at, faults));
        }
    }
    document
}

impl Document {
    fn add_services(
        &mut self,
        protocol: Protocol,
        services: Field<ByName<raw::Service>>,
        provider: &str,
        faults: &mut Vec<Fault>,
    ) {
        self.unknown |= services.is_faulty();
        let services = services.into_value().unwrap_or_default();
        let faulty = services.faulty.into_iter();
        self.faulty.extend(faulty.map(|name| Id::new(protocol, name, provider)));
        for (name, at) in services.objects {
            object_name(&name, &at.spot, faults);
            let spot = at.spot.clone();
            let service = service::build(protocol, &name, provider, at, faults, &mut self.warnings);
            self.services.push(At { value: service, spot });
        }
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
