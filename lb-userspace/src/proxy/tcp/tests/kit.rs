//! A table made from a snapshot, clients that call it, and servers that say who they are.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use arc_swap::ArcSwap;
use rustls::{ClientConfig, crypto::aws_lc_rs, pki_types::PrivateKeyDer};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use super::super::{
    Arrival, Place, Servers, Service, Surroundings, Table, Upstream, arrive, serve,
};
use crate::{
    model::{
        EntryPoint, EntryPointOptions, Id, Path, Protocol, Router, RouterTls, Rule, Snapshot,
        TlsConfig, Transport,
    },
    proxy::{
        Stream, Wait, buffers::Buffers, cuts::Cuts, io::Plain, proxy_protocol::Ends, relay::Tools,
        splice::Pipes, tls::Store,
    },
    rule::Syntax,
};

/// Patience, never a measure.
pub(super) const LONG: Duration = Duration::from_secs(30);

/// A router: name, rule, and `tls`, `passthrough`, `options=NAME` or nothing.
pub(super) type Line = (&'static str, &'static str, &'static str);

pub(super) fn router((name, rule, tls): Line) -> Router {
    let (protocol, name) = match name.strip_prefix("http/") {
        Some(name) => (Protocol::Http, name),
        None => (Protocol::Tcp, name),
    };
    let tls = match tls {
        "" => None,
        "tls" => Some(RouterTls::default()),
        "passthrough" => Some(RouterTls { passthrough: true, ..RouterTls::default() }),
        options => Some(RouterTls {
            options: options.strip_prefix("options=").map(str::to_owned),
            ..RouterTls::default()
        }),
    };
    Router {
        rule: Some(Arc::new(Rule::parse(rule, protocol, Syntax::Auto).unwrap())),
        tls: tls.map(Arc::new),
        ..plain_router(Id::new(protocol, name, "file"))
    }
}

fn plain_router(id: Id) -> Router {
    Router {
        entry_points: vec!["e".to_owned()],
        service: Id::new(id.protocol, id.name.clone(), "file"),
        id,
        path: Path::Proxy,
        why: "".into(),
        rule: None,
        priority: 0,
        middlewares: Vec::new(),
        tls: None,
        observability: Default::default(),
    }
}

pub(super) fn entry_point() -> EntryPoint {
    EntryPoint {
        name: "e".to_owned(),
        ip: None,
        port: 443,
        protocol: Protocol::Tcp,
        options: Arc::new(EntryPointOptions::default()),
    }
}

pub(super) fn snapshot(lines: &[Line]) -> Snapshot {
    let routers = lines.iter().map(|line| router(*line));
    let routers: BTreeMap<Id, Router> = routers.map(|router| (router.id.clone(), router)).collect();
    Snapshot { routers: routers.into(), ..Snapshot::default() }
}

/// What is behind a table: TLS, and a service for each name.
pub(super) struct World {
    pub(super) store: Store,
    pub(super) upstreams: RefCell<BTreeMap<String, Arc<ArcSwap<Upstream>>>>,
    pub(super) buffers: Buffers,
    pub(super) pipes: Pipes,
    pub(super) cuts: Cuts,
    pub(super) table: RefCell<Option<Arc<Table>>>,
}

impl World {
    pub(super) fn new(lines: &[Line]) -> Self {
        let world = Self {
            store: Store::default(),
            upstreams: RefCell::default(),
            buffers: Buffers::default(),
            pipes: Pipes::default(),
            cuts: Cuts::default(),
            table: RefCell::default(),
        };
        world.store.apply(&BTreeMap::from([(
            "file".to_owned(),
            Arc::new(TlsConfig {
                options: ["a", "b"].map(|name| (name.to_owned(), Default::default())).into(),
                ..TlsConfig::default()
            }),
        )]));
        world.follow(lines);
        world
    }

    /// As after a reload.
    pub(super) fn follow(&self, lines: &[Line]) -> Arc<Table> {
        self.follow_with(lines, |snapshot| snapshot)
    }

    /// As after a reload of something more.
    pub(super) fn follow_with(
        &self,
        lines: &[Line],
        edited: impl FnOnce(Snapshot) -> Snapshot,
    ) -> Arc<Table> {
        let old = self.table.borrow().clone();
        let surroundings = Surroundings {
            store: &self.store,
            service: &|id| Some(Arc::new(Slot(self.upstream(&id.name)))),
        };
        let snapshot = edited(snapshot(lines));
        let table = Table::new(&snapshot, &entry_point(), old.as_deref(), &surroundings);
        let table = Arc::new(table.unwrap());
        *self.table.borrow_mut() = Some(Arc::clone(&table));
        table
    }

    pub(super) fn table(&self) -> Arc<Table> {
        self.table.borrow().clone().unwrap()
    }

    pub(super) fn upstream(&self, name: &str) -> Arc<ArcSwap<Upstream>> {
        let none = || {
            let id = Id::new(Protocol::Tcp, "t", "file");
            Arc::new(ArcSwap::from_pointee(self.made(Transport::new(id), Fixed::default())))
        };
        Arc::clone(self.upstreams.borrow_mut().entry(name.to_owned()).or_insert_with(none))
    }

    fn made(&self, transport: Transport, servers: Fixed) -> Upstream {
        Upstream {
            servers: Arc::new(servers),
            connector: self.store.connector(&transport),
            transport: Arc::new(transport),
        }
    }

    /// Has a service lead to these servers.
    pub(super) fn lead(&self, name: &str, servers: Fixed, change: impl FnOnce(&mut Transport)) {
        let mut transport = Transport::new(Id::new(Protocol::Tcp, "t", "file"));
        transport.termination_delay = LONG;
        change(&mut transport);
        self.upstream(name).store(Arc::new(self.made(transport, servers)));
    }

    /// What becomes of a connection from `far`.
    pub(super) async fn arrive(&self, far: TcpStream) -> Arrival {
        let ends =
            Ends { source: far.peer_addr().unwrap(), destination: far.local_addr().unwrap() };
        arrive(Plain::from(far), ends, &self.table(), LONG).await
    }

    /// Takes a connection to its end.
    pub(super) async fn handle(&self, far: TcpStream) -> Handled {
        match self.arrive(far).await {
            Arrival::Http(_stream, session) => Handled::Http(session.map(|s| s.options)),
            Arrival::Refused(refusal) => Handled::Refused(refusal.label()),
            Arrival::Tcp(route, connection) => {
                let name = route.id.name.to_string();
                serve(
                    connection,
                    route,
                    Tools { buffers: &self.buffers, pipes: &self.pipes, cuts: &self.cuts },
                )
                .await;
                Handled::Tcp(name)
            }
        }
    }
}

struct Slot(Arc<ArcSwap<Upstream>>);

impl Service for Slot {
    fn now(&self, _: Ends) -> Option<Upstream> {
        Some(Upstream::clone(&self.0.load()))
    }
}

/// How a connection ended.
#[derive(Debug)]
pub(super) enum Handled {
    /// With the name of its TLS options.
    Http(Option<String>),
    Tcp(String),
    Refused(&'static str),
}

impl Handled {
    /// In a word.
    pub(super) fn told(&self) -> String {
        match self {
            Self::Http(None) => "http".to_owned(),
            Self::Http(Some(options)) => format!("https {options}"),
            Self::Tcp(name) => name.clone(),
            Self::Refused(why) => (*why).to_owned(),
        }
    }
}

/// Servers in their order: the first that isn't to be avoided.
#[derive(Clone, Default)]
pub(super) struct Fixed {
    pub(super) servers: Vec<SocketAddr>,
    pub(super) is_tls: bool,
    pub(super) busy: Arc<AtomicUsize>,
    pub(super) must_end: Arc<AtomicBool>,
    /// Who was reached and who wasn't.
    pub(super) outcomes: Arc<Mutex<Vec<(SocketAddr, bool)>>>,
}

impl Fixed {
    pub(super) fn of(servers: impl IntoIterator<Item = SocketAddr>) -> Self {
        Self { servers: servers.into_iter().collect(), ..Self::default() }
    }
}

impl Servers for Fixed {
    fn pick<'a>(&'a self, _: Ends, avoid: &'a [u64]) -> Wait<'a, Option<Box<dyn Place>>> {
        Box::pin(async move {
            let at = (0..self.servers.len()).find(|at| !avoid.contains(&(*at as u64)))?;
            self.busy.fetch_add(1, Relaxed);
            let place: Box<dyn Place> = Box::new(FixedPlace { at, all: self.clone() });
            Some(place)
        })
    }
}

struct FixedPlace {
    at: usize,
    all: Fixed,
}

impl Drop for FixedPlace {
    fn drop(&mut self) {
        self.all.busy.fetch_sub(1, Relaxed);
    }
}

impl Place for FixedPlace {
    fn id(&self) -> u64 {
        self.at as u64
    }
    fn address(&self) -> SocketAddr {
        self.all.servers[self.at]
    }
    fn host(&self) -> &str {
        "lb.test"
    }
    fn is_tls(&self) -> bool {
        self.all.is_tls
    }
    fn must_end(&self) -> bool {
        self.all.must_end.load(Relaxed)
    }
    fn reached(&self, is_reached: bool, _took: Duration) {
        self.all.outcomes.lock().unwrap().push((self.address(), is_reached));
    }
}

pub(super) async fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let near = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    (near, listener.accept().await.unwrap().0)
}

/// A client that takes any certificate, and the one that it takes.
pub(in crate::proxy) fn client(alpn: &[&str]) -> Arc<ClientConfig> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anybody))
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    Arc::new(config)
}

#[derive(Debug)]
struct Anybody;

impl rustls::client::danger::ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &rustls::pki_types::CertificateDer<'_>,
        _: &[rustls::pki_types::CertificateDer<'_>],
        _: &rustls::pki_types::ServerName<'_>,
        _: &[u8],
        _: rustls::pki_types::UnixTime,
    ) -> Result<rustls::client::danger::ServerCertVerified, rustls::Error> {
        Ok(rustls::client::danger::ServerCertVerified::assertion())
    }
    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &rustls::pki_types::CertificateDer<'_>,
        _: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        Ok(rustls::client::danger::HandshakeSignatureValid::assertion())
    }
    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &rustls::pki_types::CertificateDer<'_>,
        _: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        Ok(rustls::client::danger::HandshakeSignatureValid::assertion())
    }
    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        aws_lc_rs::default_provider().signature_verification_algorithms.supported_schemes()
    }
}

/// TLS for a server of lb.test, and its certificate.
pub(super) fn server_tls() -> (Arc<rustls::ServerConfig>, String) {
    let made = rcgen::generate_simple_self_signed(["lb.test".to_owned()]).unwrap();
    let key = PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
    let provider = Arc::new(aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    (Arc::new(config), crate::proxy::tls::tests::pem("CERTIFICATE", made.cert.der()))
}

/// A server that greets with its name, then sends back what it gets until that ends.
pub(super) async fn server(name: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::task::spawn_local(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::task::spawn_local(echo(stream.into(), name));
        }
    });
    address
}

pub(super) async fn echo(mut stream: Stream, name: &str) {
    // A client that goes away ends it; the test sees what it got.
    let _gone = async {
        stream.write_all(name.as_bytes()).await?;
        stream.flush().await?;
        let mut buffer = [0; 4096];
        loop {
            match stream.read(&mut buffer).await? {
                0 => return stream.shutdown().await,
                count => {
                    stream.write_all(&buffer[..count]).await?;
                    stream.flush().await?;
                }
            }
        }
    }
    .await;
}

/// An address where nobody listens.
pub(super) async fn nobody() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap()
}
