//! `providers.dns`: names of DNS, each of which is a service: its addresses, or the servers that its SRV
//! records name. What answered last stays while a name can't be resolved.

mod follow;
mod read;

use std::{collections::BTreeMap, net::IpAddr};

use serde::{Deserialize, Serialize};

use super::{
    Asked,
    discovery::{Assembler, Rules},
    link::{Following, Link, Outlet, Reader, Source},
};
use crate::model::{DnsProvider, Settings};

/// What stands behind the `@`.
const NAME: &str = "dns";

/// The provider, where `settings` asks for it.
pub(super) fn asked_for(settings: &Settings) -> Option<Asked> {
    let dns = settings.dns.clone()?;
    let key = (NAME, dns.clone(), settings.throttle);
    Some(Asked::new(&key, move |around| Link::provider(Dns(dns), around)))
}

struct Dns(DnsProvider);

/// By the service's key.
type State = BTreeMap<String, Told>;

/// What DNS says of one name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Told {
    /// What was asked, so that an answer to another question isn't taken for one to this.
    question: String,
    /// Sorted.
    servers: Vec<Server>,
    /// Why the latest look-up gave nothing: `servers` are of the one before.
    failed: Option<String>,
}

/// One address.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Server {
    /// Lower ones first; 0 for all where it isn't by SRV.
    priority: u16,
    ip: IpAddr,
    port: u16,
    /// SRV's.
    weight: Option<u16>,
}

impl Source for Dns {
    type State = State;

    fn name(&self) -> &'static str {
        NAME
    }

    fn endpoint(&self) -> String {
        let servers: Vec<String> = self.0.resolvers.iter().map(ToString::to_string).collect();
        if servers.is_empty() { "the host's resolver".to_owned() } else { servers.join(", ") }
    }

    fn follow<'a>(&'a self, outlet: &'a Outlet<State>) -> Following<'a> {
        Box::pin(follow::follow(&self.0, outlet))
    }

    fn reader(&self) -> Reader<State> {
        let mut assembler = Assembler::new(Rules::new(NAME, &self.0.exposure));
        let services = self.0.services.clone();
        Box::new(move |state| read::read(&services, state, &mut assembler))
    }
}
