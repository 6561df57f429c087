//! What isn't HTTP in the clear: TCP and UDP routers, TLS, the PROXY protocol.

use std::{
    collections::BTreeMap,
    io::{Read, Write},
    net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket},
    sync::Arc,
};

use super::{
    kit::{Origin, Running, backend},
    observe::shows,
};
use crate::{
    model::{
        EntryPoint, EntryPointOptions, Id, Path, Protocol, Router, RouterTls, Rule, Service,
        Snapshot, Trusted,
    },
    proxy::Proxy,
    rule::Syntax,
};

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
const CLOSED: &[u8] = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok";

/// A server that greets with a name and sends back what it gets.
fn echo(name: &'static str) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || {
                let mut from = stream.try_clone().unwrap();
                let mut to = stream;
                to.write_all(name.as_bytes()).unwrap();
                let _gone = std::io::copy(&mut from, &mut to);
                let _ended = to.shutdown(Shutdown::Write);
            });
        }
    });
    address
}

/// Adds a service and a router for it at the entry point `web`.
fn add(
    snapshot: &mut Snapshot,
    protocol: Protocol,
    name: &str,
    rule: Option<&str>,
    tls: Option<RouterTls>,
    servers: &[SocketAddr],
) {
    let id = Id::new(protocol, name, "file");
    let mut service = Service::new(id.clone());
    service.backends = servers.iter().map(|address| backend(*address)).collect();
    snapshot.services.insert(id.clone(), Arc::new(service));
    let rule = rule.map(|rule| Arc::new(Rule::parse(rule, protocol, Syntax::Auto).unwrap()));
    let router = Router {
        id: id.clone(),
        entry_points: vec![if protocol == Protocol::Udp { "dns" } else { "web" }.into()],
        service: id.clone(),
        path: Path::Proxy,
        why: "".into(),
        rule,
        priority: 0,
        middlewares: Vec::new(),
        tls: tls.map(Arc::new),
        observability: Default::default(),
    };
    Arc::make_mut(&mut snapshot.routers).insert(id, router);
    snapshot.generation += 1;
}

fn follow(running: &mut Running) {
    running.proxy.follow(&running.snapshot);
    assert_eq!(running.proxy.faults(), Vec::<String>::new());
}

/// A TLS connection to `name`, whoever answers.
fn secure(
    running: &Running,
    name: &str,
) -> rustls::StreamOwned<rustls::ClientConnection, TcpStream> {
    let config = crate::proxy::tcp::tests::kit::client(&["http/1.1"]);
    let name = rustls::pki_types::ServerName::try_from(name.to_owned()).unwrap();
    let conn = rustls::ClientConnection::new(config, name).unwrap();
    rustls::StreamOwned::new(conn, running.connect())
}

/// What comes after `sent`, to the end.
fn talk(mut stream: impl Read + Write, sent: &str, end: impl FnOnce(&mut dyn Write)) -> String {
    stream.write_all(sent.as_bytes()).unwrap();
    stream.flush().unwrap();
    end(&mut stream);
    let mut heard = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) | Err(_) => return String::from_utf8(heard).unwrap(),
            Ok(count) => heard.extend(&buffer[..count]),
        }
        if heard.ends_with(b"ok") || heard.ends_with(sent.as_bytes()) {
            return String::from_utf8(heard).unwrap();
        }
    }
}

#[test]
fn one_entry_point_serves_http_tls_and_tcp() {
    let origin = Origin::answering(ANSWER);
    let mut running = Running::before(&[origin.address]);
    let tls = RouterTls::default();
    let term = Some("HostSNI(`term.test`)");
    add(&mut running.snapshot, Protocol::Tcp, "term", term, Some(tls.clone()), &[echo("tcp ")]);
    let none = Some("HostSNI(`none.test`)");
    add(&mut running.snapshot, Protocol::Tcp, "none", none, Some(tls.clone()), &[]);
    let host = Some("Host(`e.com`)");
    add(&mut running.snapshot, Protocol::Http, "tls", host, Some(tls), &[origin.address]);
    follow(&mut running);
    let request = "GET / HTTP/1.1\r\nHost: e.com\r\n\r\n";
    let quiet = |_: &mut dyn Write| {};
    assert!(talk(running.connect(), request, quiet).starts_with("HTTP/1.1 200"));
    assert!(talk(secure(&running, "e.com"), request, quiet).starts_with("HTTP/1.1 200"));
    assert!(talk(secure(&running, "x.test"), request, quiet).starts_with("HTTP/1.1 200"));
    assert_eq!(talk(secure(&running, "term.test"), "hello", quiet), "tcp hello");
    assert_eq!(running.proxy.notes().len(), 1, "whose certificate it is");
    let labels = r#"{entrypoint="web",router="term@file"}"#;
    for (counted, value) in [
        ("connections_total", 1),
        ("received_bytes_total", "hello".len()),
        ("sent_bytes_total", "tcp hello".len()),
        ("open_connections", 0),
    ] {
        shows(&running, &format!("lb_router_{counted}{labels} {value}"));
    }
    let _closed = secure(&running, "none.test").write(b"hello");
    let labels = r#"{entrypoint="web",reason="no_server",router="none@file"}"#;
    shows(&running, &format!("lb_router_refused_total{labels} 1"));

    add(&mut running.snapshot, Protocol::Tcp, "all", Some("HostSNI(`*`)"), None, &[echo("all ")]);
    follow(&mut running);
    assert_eq!(talk(running.connect(), "hello", quiet), "all hello");
}

#[test]
fn the_server_may_speak_first() {
    let mut running = Running::before(&[]);
    let all = Some("HostSNI(`*`)");
    add(&mut running.snapshot, Protocol::Tcp, "all", all, None, &[echo("220 ready")]);
    follow(&mut running);
    let mut greeting = [0; 9];
    running.connect().read_exact(&mut greeting).unwrap();
    assert_eq!(&greeting, b"220 ready");
}

#[test]
fn a_proxy_header_says_who_the_client_is_where_it_is_believed() {
    let origin = Origin::closing(CLOSED);
    let request = "GET / HTTP/1.1\r\nHost: e.com\r\nConnection: close\r\n\r\n";
    let header = "PROXY TCP4 192.0.2.7 198.51.100.10 40000 80\r\n";
    let believing = |network: &str| EntryPointOptions {
        proxy_protocol: Some(Trusted {
            everybody: false,
            networks: vec![network.parse().unwrap()],
        }),
        ..EntryPointOptions::default()
    };
    let running = Running::with(&[origin.address], believing("127.0.0.0/8"), |_| {});
    assert!(running.say([header, request].concat().as_bytes()).starts_with("HTTP/1.1 200"));
    assert!(running.say(request.as_bytes()).starts_with("HTTP/1.1 200"), "without one, too");
    assert_eq!(running.say(b"PROXY TCP9\r\n"), "");
    let stranger = Running::with(&[origin.address], believing("192.0.2.0/24"), |_| {});
    assert!(stranger.say([header, request].concat().as_bytes()).starts_with("HTTP/1.1 400"));
    // What an origin got is known once it has closed.
    let told = |client: &str| origin.got().contains(&format!("X-Forwarded-For: {client}\r\n"));
    let both = (0..1000).any(|_| {
        std::thread::sleep(std::time::Duration::from_millis(10));
        told("192.0.2.7") && told("127.0.0.1")
    });
    assert!(both, "{}", origin.got());
}

#[test]
fn datagrams_go_to_their_server_and_back() {
    let server = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = server.local_addr().unwrap();
    std::thread::spawn(move || {
        let mut buffer = [0; 2048];
        while let Ok((count, client)) = server.recv_from(&mut buffer) {
            let answer = [b"heard ", &buffer[..count]].concat();
            server.send_to(&answer, client).unwrap();
        }
    });
    let free = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
    let point = EntryPoint {
        name: "dns".into(),
        ip: Some(free.ip()),
        port: free.port(),
        protocol: Protocol::Udp,
        options: Arc::default(),
    };
    let mut snapshot = Snapshot {
        generation: 1,
        entry_points: BTreeMap::from([("dns".to_owned(), point)]),
        ..Snapshot::default()
    };
    add(&mut snapshot, Protocol::Udp, "dns", None, None, &[address]);
    let mut proxy = Proxy::start(2, None).unwrap();
    assert!(Proxy::is_needed(&snapshot));
    proxy.follow(&snapshot);
    assert_eq!(proxy.faults(), Vec::<String>::new());
    let client = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    client.connect(free).unwrap();
    client.set_read_timeout(Some(std::time::Duration::from_millis(500))).unwrap();
    let mut buffer = [0; 2048];
    // Datagrams may be lost while the worker isn't there yet.
    let heard = (0..60).find_map(|_| {
        let _lost = client.send(b"hello");
        let count = client.recv(&mut buffer).ok()?;
        Some(buffer[..count].to_vec())
    });
    assert_eq!(heard.as_deref(), Some(&b"heard hello"[..]));

    snapshot.entry_points.clear();
    proxy.follow(&snapshot);
    let closed = (0..60).any(|_| {
        let _refused = client.send(b"hello");
        client.recv(&mut buffer).is_err_and(|e| e.kind() == std::io::ErrorKind::ConnectionRefused)
    });
    assert!(closed, "nobody listens any more");
}
