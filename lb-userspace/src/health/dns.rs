//! One look-up of a name: `/etc/hosts` first, then the name servers of
//! `/etc/resolv.conf`, both files read again when they change; or certain name servers alone.

use std::{
    collections::BTreeSet,
    fs, io,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant, SystemTime},
};

use hickory_resolver::{
    Hosts, TokioResolver,
    config::{NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts},
    net::{DnsError, NetError, runtime::TokioRuntimeProvider},
    proto::{
        op::{Query, ResponseCode},
        rr::{Name, RData, RecordType},
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

/// A server that SRV records name (RFC 2782).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Target {
    /// Lower ones first.
    pub(crate) priority: u16,
    pub(crate) weight: u16,
    pub(crate) host: Name,
    pub(crate) port: u16,
}

/// Addresses of which kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Family {
    #[default]
    Both,
    V4,
    V6,
}

/// This host's resolver, or one of certain name servers.
pub(crate) struct Dns {
    /// Of certain name servers.
    fixed: Option<Arc<Loaded>>,
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
        Self { fixed: None, hosts, resolv, port, loaded: Mutex::new(None) }
    }

    /// Asks these name servers, and looks at no file.
    pub(crate) fn of_servers(servers: &[SocketAddr], timeout: Duration) -> Self {
        let servers = servers.iter().map(|server| {
            let mut config = NameServerConfig::udp_and_tcp(server.ip());
            config.connections.iter_mut().for_each(|one| one.port = server.port());
            config
        });
        let config = ResolverConfig::from_parts(None, Vec::new(), servers.collect());
        let mut options = ResolverOpts::default();
        options.timeout = timeout;
        let resolver = build(config, options);
        let fixed = Loaded { stamps: [None, None], hosts: Hosts::default(), resolver };
        Self { fixed: Some(Arc::new(fixed)), ..Self::default() }
    }

    /// All addresses of `host`.
    ///
    /// # Errors
    /// In words, when there are none, or when it can't be known whether these are all: half an
    /// answer would take the other half's backends away.
    pub(crate) async fn lookup(&self, host: &str) -> Result<Answer, String> {
        let found = self.addresses(&name(host)?, Family::Both).await?;
        found.ok_or_else(|| format!("{host} has no address in DNS"))
    }

    /// Addresses of a name; `None` where DNS says that there are none.
    ///
    /// # Errors
    /// As of [`Self::lookup`], when that can't be known.
    pub(crate) async fn addresses(
        &self,
        name: &Name,
        family: Family,
    ) -> Result<Option<Answer>, String> {
        let loaded = self.load();
        if let Some(answer) = in_hosts(&loaded.hosts, name) {
            return Ok(Some(answer));
        }
        let resolver = loaded.resolver.as_ref().map_err(String::clone)?;
        let of = async |kind, other| match family == other {
            true => Ok((BTreeSet::new(), None)),
            false => records(resolver, name, kind, |data| data.ip_addr()).await,
        };
        let (v4, v6) =
            tokio::join!(of(RecordType::A, Family::V6), of(RecordType::AAAA, Family::V4));
        let (mut addresses, ttl) = v4?;
        let (others, other_ttl) = v6?;
        addresses.extend(others);
        let ttl = ttl.into_iter().chain(other_ttl).min().filter(|_| !addresses.is_empty());
        Ok(ttl.map(|ttl| Answer { addresses: addresses.into_iter().collect(), ttl }))
    }

    /// SRV records of a name, sorted, and how long they hold; none where DNS says so.
    ///
    /// # Errors
    /// When that can't be known.
    pub(crate) async fn targets(&self, name: &Name) -> Result<(Vec<Target>, Duration), String> {
        let loaded = self.load();
        let resolver = loaded.resolver.as_ref().map_err(String::clone)?;
        let target = |data: &RData| match data {
            // A root in place of a host: there is decidedly no such service.
            RData::SRV(srv) if !srv.target.is_root() => Some(Target {
                priority: srv.priority,
                weight: srv.weight,
                host: srv.target.clone(),
                port: srv.port,
            }),
            _ => None,
        };
        let (targets, ttl) = records(resolver, name, RecordType::SRV, target).await?;
        Ok((targets.into_iter().collect(), ttl.unwrap_or_default()))
    }

    fn load(&self) -> Arc<Loaded> {
        if let Some(fixed) = &self.fixed {
            return Arc::clone(fixed);
        }
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
        let (config, options) =
            parse_resolv_conf(text).map_err(|error| format!("{shown}: {error}"))?;
        let mut servers = config.name_servers().to_vec();
        for connection in servers.iter_mut().flat_map(|server| &mut server.connections) {
            connection.port = self.port;
        }
        let search = config.search().to_vec();
        let config = ResolverConfig::from_parts(config.domain().cloned(), search, servers);
        build(config, options).map_err(|error| format!("{shown}: {error}"))
    }
}

/// A host name, or the name of a service.
pub(crate) fn name(text: &str) -> Result<Name, String> {
    Name::from_utf8(text).map_err(|error| format!("{text:?} is no host name: {error}"))
}

fn build(config: ResolverConfig, mut options: ResolverOpts) -> Result<TokioResolver, String> {
    // Kept here, and by TTL; and no source port that NAT might use.
    options.cache_size = 0;
    options.use_hosts_file = ResolveHosts::Never;
    options.os_port_selection = true;
    TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
        .with_options(options)
        .build()
        .map_err(|error| error.to_string())
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

/// The records of one type, which may be none, and how long they hold.
async fn records<T: Ord>(
    resolver: &TokioResolver,
    name: &Name,
    kind: RecordType,
    of: impl Fn(&RData) -> Option<T>,
) -> Result<(BTreeSet<T>, Option<Duration>), String> {
    match resolver.lookup(name.clone(), kind).await {
        Ok(lookup) => {
            let found = lookup.answers().iter().filter_map(|r| of(&r.data)).collect();
            let ttl = lookup.valid_until().saturating_duration_since(Instant::now());
            Ok((found, Some(ttl)))
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
