//! One look-up of a host name: `/etc/hosts` first, then the name servers of
//! `/etc/resolv.conf`. Both files are read again when they change.

use std::{
    collections::BTreeSet,
    fs, io,
    net::IpAddr,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant, SystemTime},
};

use hickory_resolver::{
    Hosts, TokioResolver,
    config::ResolveHosts,
    net::{DnsError, NetError, runtime::TokioRuntimeProvider},
    proto::{
        op::{Query, ResponseCode},
        rr::{Name, RecordType},
    },
    system_conf::parse_resolv_conf,
};

/// How soon `/etc/hosts` is looked at again; its entries have no TTL of their own.
const HOSTS_TTL: Duration = Duration::from_secs(5);

/// What a name resolved to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    /// Sorted, at least one.
    pub(crate) addresses: Vec<IpAddr>,
    /// How long it holds, as the zone says.
    pub(crate) ttl: Duration,
}

/// This host's resolver.
pub(crate) struct Dns {
    hosts: PathBuf,
    resolv: PathBuf,
    /// Port of the name servers.
    port: u16,
    loaded: Mutex<Option<Arc<Loaded>>>,
}

/// Both files, as they stood when read.
struct Loaded {
    stamps: [Stamp; 2],
    hosts: Hosts,
    resolver: Result<TokioResolver, String>,
}

/// Tells one state of a file from another.
type Stamp = Option<(SystemTime, u64)>;

impl Default for Dns {
    fn default() -> Self {
        Self::new("/etc/hosts".into(), "/etc/resolv.conf".into(), 53)
    }
}

impl Dns {
    pub(crate) fn new(hosts: PathBuf, resolv: PathBuf, port: u16) -> Self {
        Self { hosts, resolv, port, loaded: Mutex::new(None) }
    }

    /// All addresses of `host`.
    ///
    /// # Errors
    /// In words, when there are none, or when it can't be known whether these are all: half an
    /// answer would take the other half's backends away.
    pub(crate) async fn lookup(&self, host: &str) -> Result<Answer, String> {
        let name =
            Name::from_utf8(host).map_err(|error| format!("{host:?} is no host name: {error}"))?;
        let loaded = self.load();
        if let Some(answer) = in_hosts(&loaded.hosts, &name) {
            return Ok(answer);
        }
        let resolver = loaded.resolver.as_ref().map_err(String::clone)?;
        let (v4, v6) = tokio::join!(
            records(resolver, &name, RecordType::A),
            records(resolver, &name, RecordType::AAAA)
        );
        let (mut addresses, ttl) = v4?;
        let (others, other_ttl) = v6?;
        addresses.extend(others);
        match ttl.into_iter().chain(other_ttl).min() {
            Some(ttl) if !addresses.is_empty() => {
                Ok(Answer { addresses: addresses.into_iter().collect(), ttl })
            }
            _ => Err(format!("{host} has no address in DNS")),
        }
    }

    fn load(&self) -> Arc<Loaded> {
        let stamps = [stamp(&self.hosts), stamp(&self.resolv)];
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        match &*loaded {
            Some(now) if now.stamps == stamps => Arc::clone(now),
            _ => {
                let fresh = Arc::new(Loaded {
                    stamps,
                    hosts: self.read_hosts(),
                    resolver: self.resolver(),
                });
                Arc::clone(loaded.insert(fresh))
            }
        }
    }

    /// No file is no fault: DNS has the rest.
    fn read_hosts(&self) -> Hosts {
        let mut hosts = Hosts::default();
        let read = fs::File::open(&self.hosts).and_then(|file| hosts.read_hosts_conf(file));
        match read {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!("{} can't be read: {error}", self.hosts.display());
            }
            _ => {}
        }
        hosts
    }

    fn resolver(&self) -> Result<TokioResolver, String> {
        let shown = self.resolv.display();
        let text = fs::read(&self.resolv).map_err(|error| format!("{shown}: {error}"))?;
        let (config, mut options) =
            parse_resolv_conf(text).map_err(|error| format!("{shown}: {error}"))?;
        // Kept here, and by TTL; and no source port that NAT might use.
        options.cache_size = 0;
        options.use_hosts_file = ResolveHosts::Never;
        options.os_port_selection = true;
        let mut servers = config.name_servers().to_vec();
        for connection in servers.iter_mut().flat_map(|server| &mut server.connections) {
            connection.port = self.port;
        }
        let config = hickory_resolver::config::ResolverConfig::from_parts(
            config.domain().cloned(),
            config.search().to_vec(),
            servers,
        );
        TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
            .with_options(options)
            .build()
            .map_err(|error| format!("{shown}: {error}"))
    }
}

fn stamp(path: &PathBuf) -> Stamp {
    let meta = fs::metadata(path).ok()?;
    Some((meta.modified().ok()?, meta.len()))
}

/// A name that stands in the hosts file is not asked of DNS, for either family.
fn in_hosts(hosts: &Hosts, name: &Name) -> Option<Answer> {
    let found = [RecordType::A, RecordType::AAAA].into_iter().filter_map(|kind| {
        let lookup = hosts.lookup_static_host(&Query::query(name.to_lowercase(), kind))?;
        Some(lookup.answers().iter().filter_map(|r| r.data.ip_addr()).collect::<Vec<_>>())
    });
    let addresses: BTreeSet<IpAddr> = found.flatten().collect();
    (!addresses.is_empty())
        .then(|| Answer { addresses: addresses.into_iter().collect(), ttl: HOSTS_TTL })
}

/// The addresses of one family, which may be none, and how long they hold.
async fn records(
    resolver: &TokioResolver,
    name: &Name,
    kind: RecordType,
) -> Result<(BTreeSet<IpAddr>, Option<Duration>), String> {
    match resolver.lookup(name.clone(), kind).await {
        Ok(lookup) => {
            let addresses = lookup.answers().iter().filter_map(|r| r.data.ip_addr()).collect();
            let ttl = lookup.valid_until().saturating_duration_since(Instant::now());
            Ok((addresses, Some(ttl)))
        }
        Err(NetError::Dns(DnsError::NoRecordsFound(none))) => match none.response_code {
            ResponseCode::NoError | ResponseCode::NXDomain => Ok((BTreeSet::new(), None)),
            code => Err(format!("{name}: the name server says {code}")),
        },
        Err(NetError::Dns(DnsError::ResponseCode(code))) => {
            Err(format!("{name}: the name server says {code}"))
        }
        Err(NetError::Timeout) => Err(format!("{name}: no name server answers")),
        Err(error) => Err(format!("{name}: {error}")),
    }
}
