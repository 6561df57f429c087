//! A proxy before an origin, on loopback.

use std::{
    collections::BTreeMap,
    io::{Read, Write},
    net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use crate::{
    model::{
        Backend, EntryPoint, EntryPointOptions, Health, Id, Path, Protocol, Router, Rule, Service,
        Snapshot,
    },
    proxy::Proxy,
    rule::Syntax,
};

/// Longest wait for anything.
const PATIENCE: Duration = Duration::from_secs(10);

/// An origin: each connection's bytes go to `seen`, and each request (as far as a blank line and
/// the body that its length announces) is answered by the next of its answers.
pub(super) struct Origin {
    pub(super) address: SocketAddr,
    /// What it got, connection by connection.
    pub(super) seen: Arc<Mutex<Vec<Vec<u8>>>>,
    /// Connections that have not ended.
    open: Arc<AtomicUsize>,
}

/// What an origin does with a connection.
pub(super) type Script = dyn Fn(&mut TcpStream, &mut Vec<u8>) + Send + Sync;

impl Origin {
    /// One that answers every request with these bytes and keeps the connection.
    pub(super) fn answering(answer: &'static [u8]) -> Self {
        Self::with(Arc::new(move |stream, seen| {
            while let Some(()) = read_request(stream, seen) {
                if stream.write_all(answer).is_err() {
                    return;
                }
            }
        }))
    }

    /// One that sends these bytes and closes.
    pub(super) fn closing(answer: &'static [u8]) -> Self {
        Self::with(Arc::new(move |stream, seen| {
            if read_request(stream, seen).is_some() {
                let _gone = stream.write_all(answer);
            }
        }))
    }

    /// One that does as it is told.
    pub(super) fn with(script: Arc<Script>) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let (address, seen) = (listener.local_addr().unwrap(), Arc::<Mutex<Vec<_>>>::default());
        let (kept, open) = (Arc::clone(&seen), Arc::<AtomicUsize>::default());
        let counted = Arc::clone(&open);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(mut stream) = stream else { return };
                let (script, seen) = (Arc::clone(&script), Arc::clone(&kept));
                let at = {
                    let mut all = seen.lock().unwrap();
                    all.push(Vec::new());
                    all.len() - 1
                };
                counted.fetch_add(1, SeqCst);
                let counted = Arc::clone(&counted);
                std::thread::spawn(move || {
                    stream.set_read_timeout(Some(PATIENCE)).unwrap();
                    let mut bytes = Vec::new();
                    let watched = Watched { at, seen };
                    script(&mut stream, &mut bytes);
                    watched.put(bytes);
                    counted.fetch_sub(1, SeqCst);
                });
            }
        });
        Self { address, seen, open }
    }

    /// All that it got, as text, once its connections have ended.
    pub(super) fn got(&self) -> String {
        let start = std::time::Instant::now();
        while self.open.load(SeqCst) > 0 {
            assert!(start.elapsed() < PATIENCE, "a connection to the origin stays open");
            std::thread::sleep(Duration::from_millis(1));
        }
        let all = self.seen.lock().unwrap().concat();
        String::from_utf8_lossy(&all).into_owned()
    }
}

struct Watched {
    at: usize,
    seen: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Watched {
    fn put(&self, bytes: Vec<u8>) {
        self.seen.lock().unwrap()[self.at] = bytes;
    }
}

/// Reads a request with its body; appends all of it. `None` at the end.
pub(super) fn read_request(stream: &mut TcpStream, seen: &mut Vec<u8>) -> Option<()> {
    let start = seen.len();
    let mut byte = [0u8; 1];
    while !seen[start..].ends_with(b"\r\n\r\n") {
        if stream.read(&mut byte).ok()? == 0 {
            return None;
        }
        seen.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&seen[start..]).to_ascii_lowercase();
    if head.contains("transfer-encoding: chunked") {
        let body = seen.len();
        while !is_whole(&seen[body..]) {
            if stream.read(&mut byte).ok()? == 0 {
                return None;
            }
            seen.push(byte[0]);
        }
        return Some(());
    }
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
    let mut body = vec![0; length.map_or(0, |length| length.trim().parse().unwrap())];
    stream.read_exact(&mut body).ok()?;
    seen.extend(body);
    Some(())
}

/// Whether a chunked body is there up to its end, trailers included.
fn is_whole(body: &[u8]) -> bool {
    let is_last = body.starts_with(b"0\r\n") || body.windows(5).any(|five| five == b"\r\n0\r\n");
    is_last && body.ends_with(b"\r\n\r\n")
}

/// A proxy with entry point `web`, which leads to one service.
pub(super) struct Running {
    pub(super) proxy: Proxy,
    pub(super) snapshot: Snapshot,
    pub(super) address: SocketAddr,
}

impl Running {
    /// Before these origins.
    pub(super) fn before(origins: &[SocketAddr]) -> Self {
        Self::with(origins, EntryPointOptions::default(), |_| {})
    }

    /// Before these origins, with options, and a service that is edited.
    pub(super) fn with(
        origins: &[SocketAddr],
        options: EntryPointOptions,
        edit: impl FnOnce(&mut Service),
    ) -> Self {
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
        let id = Id::new(Protocol::Http, "web", "file");
        let mut service = Service::new(id.clone());
        service.backends = origins.iter().map(|address| backend(*address)).collect();
        edit(&mut service);
        let point = EntryPoint {
            name: "web".into(),
            ip: Some(free.ip()),
            port: free.port(),
            protocol: Protocol::Tcp,
            options: Arc::new(options),
        };
        let router = Router {
            id: id.clone(),
            entry_points: vec!["web".into()],
            service: id.clone(),
            path: Path::Proxy,
            why: "".into(),
            rule: Some(Arc::new(
                Rule::parse("Host(`e.com`)", Protocol::Http, Syntax::Auto).unwrap(),
            )),
            priority: 0,
            middlewares: Vec::new(),
            tls: None,
            observability: Default::default(),
        };
        let snapshot = Snapshot {
            generation: 1,
            entry_points: BTreeMap::from([("web".to_owned(), point)]),
            routers: Arc::new(BTreeMap::from([(id.clone(), router)])),
            services: BTreeMap::from([(id, Arc::new(service))]),
            ..Snapshot::default()
        };
        let mut proxy = Proxy::start(1, None).unwrap();
        proxy.follow(&snapshot);
        assert_eq!(proxy.faults(), Vec::<String>::new());
        Self { proxy, snapshot, address: free }
    }

    /// A connection to it.
    pub(super) fn connect(&self) -> TcpStream {
        for _ in 0..200 {
            if let Ok(stream) = TcpStream::connect(self.address) {
                stream.set_read_timeout(Some(PATIENCE)).unwrap();
                return stream;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("nothing listens on {}", self.address);
    }

    /// Sends bytes, ends sending, and reads to the end.
    pub(super) fn say(&self, bytes: &[u8]) -> String {
        let mut stream = self.connect();
        // It may refuse before it has read all.
        let _refused = stream.write_all(bytes);
        let _ended = stream.shutdown(Shutdown::Write);
        let mut answer = Vec::new();
        let _reset = stream.read_to_end(&mut answer);
        String::from_utf8_lossy(&answer).into_owned()
    }
}

pub(super) fn backend(address: SocketAddr) -> Backend {
    Backend {
        address,
        server: address.to_string(),
        options: Default::default(),
        configured_weight: 1,
        weight_override: None,
        drained: false,
        leaving: false,
        expired: false,
        health: Health::default(),
    }
}
