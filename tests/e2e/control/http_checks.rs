//! HTTP checks: what is asked, what passes, and over TLS.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    sync::{Arc, Mutex},
};

use anyhow::{Context, Result};
use lb_tests::{Daemon, Namespace, daemon::binary, link::veth, server::TcpServer};
use rustls::{
    ServerConfig, ServerConnection, StreamOwned,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
};

use super::kit::{PATIENCE, row};

const BACKEND: &str = "10.9.0.2:8080";

/// A service of one server with this check; no router, so that nothing is loaded.
fn config(check: &str) -> String {
    format!(
        "tcp: {{ services: {{ web: {{ loadBalancer: {{ servers: [ {{ address: \"{BACKEND}\" }} ], \
         healthCheck: {{ interval: 100ms, timeout: 2s, fall: 1, {check} }} }} }} }} }}\n"
    )
}

fn pair() -> Result<(Namespace, Namespace)> {
    let (lb, host) = (Namespace::new("lb")?, Namespace::new("host")?);
    veth((&lb, "eth0"), (&host, "eth0"))?;
    lb.ip("addr add 10.9.0.1/24 dev eth0")?;
    host.ip("addr add 10.9.0.2/24 dev eth0")?;
    Ok((lb, host))
}

/// Answers by path, and remembers what it was asked.
struct Web {
    _server: TcpServer,
    heads: Arc<Mutex<Vec<String>>>,
}

impl Web {
    /// Plain, or over TLS with this configuration.
    fn start(ns: &Namespace, port: u16, tls: Option<Arc<ServerConfig>>) -> Result<Self> {
        let heads = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&heads);
        let handler = move |stream: std::net::TcpStream| {
            // A client that goes away is no fault of the server.
            let _ = match &tls {
                None => answer(&stream, &seen),
                Some(tls) => ServerConnection::new(Arc::clone(tls))
                    .map_err(std::io::Error::other)
                    .and_then(|tls| answer(StreamOwned::new(tls, stream), &seen)),
            };
        };
        let address = ([10, 9, 0, 2], port).into();
        Ok(Self { _server: TcpServer::start(ns, address, Arc::new(handler))?, heads })
    }

    fn first(&self) -> Result<String> {
        self.heads.lock().expect("the heads").first().cloned().context("nothing was asked")
    }
}

fn answer(stream: impl Read + Write, heads: &Mutex<Vec<String>>) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if stream.read_line(&mut head)? == 0 {
            return Ok(());
        }
    }
    let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
    heads.lock().expect("the heads").push(head);
    let answer = match path.trim_start_matches('/') {
        "moved" => "302 Found\r\nlocation: /200",
        "away" => "302 Found\r\nlocation: http://elsewhere.example/200",
        "round" => "302 Found\r\nlocation: /round",
        code if code.len() == 3 => code,
        _ => "200 OK",
    };
    write!(
        stream.get_mut(),
        "HTTP/1.1 {answer}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
    )?;
    stream.get_mut().flush()
}

/// Waits for the first verdict: its state and words.
fn verdict(daemon: &Daemon<'_>) -> Result<(String, String)> {
    let text = |field: &str| -> Result<String> {
        Ok(row(daemon, BACKEND)?[field].as_str().unwrap_or_default().to_owned())
    };
    daemon.wait_for("a verdict", PATIENCE, |_| Ok(text("state")? != "pending"))?;
    Ok((text("state")?, text("lastCheck")?))
}

macro_rules! checks {
    ($($name:ident: $check:literal => $state:literal, $words:literal, [$($asked:literal),*];)+) => {$(
        #[test]
        fn $name() -> Result<()> {
            let (lb, host) = pair()?;
            let web = Web::start(&host, 8080, None)?;
            let daemon = Daemon::start(&lb, &config($check))?;
            let (state, words) = verdict(&daemon)?;
            assert_eq!(state, $state, "{words}");
            assert!(words.starts_with($words), "{words}");
            let head = web.first()?.to_ascii_lowercase();
            let wanted: &[&str] = &[$($asked),*];
            for part in wanted {
                assert!(head.contains(part), "{head:?} lacks {part:?}");
            }
            Ok(())
        }
    )+};
}

checks! {
    a_path_makes_it_an_http_check: "path: /healthz" => "up", "200 OK in ",
        ["get /healthz http/1.1\r\n", "host: 10.9.0.2:8080\r\n", "user-agent: lb/", "connection: close\r\n"];
    mode_http_asks_for_the_root: "mode: http" => "up", "200 OK in ", ["get / http/1.1\r\n"];
    the_method_is_asked_with: "path: /, method: HEAD" => "up", "200 OK in ", ["head / http/1.1\r\n"];
    headers_are_sent: "path: /, headers: { X-Check: lb, Authorization: \"Basic eA==\" }" => "up", "200 OK in ",
        ["x-check: lb\r\n", "authorization: basic ea==\r\n"];
    a_host_header_takes_the_place_of_the_address: "path: /, headers: { Host: www.example }" => "up", "200 OK in ",
        ["host: www.example\r\n"];
    the_hostname_is_asked_for: "path: /, hostname: www.example" => "up", "200 OK in ", ["host: www.example\r\n"];
    the_status_wanted_passes: "path: /418, status: 418" => "up", "418 I'm a teapot in ", [];
    another_status_than_wanted_fails: "path: /200, status: 204" => "down", "status 200, wanted 204", [];
    a_server_error_fails: "path: /503" => "down", "status 503, wanted 200–399", [];
    a_client_error_fails: "path: /404" => "down", "status 404, wanted 200–399", [];
    a_redirect_is_followed: "path: /moved, status: 200" => "up", "200 OK in ", ["get /moved "];
    a_redirect_is_not_followed_where_that_is_said: "path: /moved, followRedirects: false, status: 200" => "down", "status 302 to /200, wanted 200", [];
    a_redirect_elsewhere_is_the_answer: "path: /away" => "up", "302 Found to http://elsewhere.example/200 in ", [];
    a_redirect_in_circles_fails: "path: /round" => "down", "more than 10 redirects", [];
}

#[test]
fn nobody_at_the_port_fails() -> Result<()> {
    let (lb, _host) = pair()?;
    let daemon = Daemon::start(&lb, &config("path: /, port: 81"))?;
    assert_eq!(verdict(&daemon)?, ("down".to_owned(), "connection refused".to_owned()));
    Ok(())
}

#[test]
fn the_port_is_asked_at() -> Result<()> {
    let (lb, host) = pair()?;
    let web = Web::start(&host, 9090, None)?;
    let daemon = Daemon::start(&lb, &config("path: /, port: 9090"))?;
    assert_eq!(verdict(&daemon)?.0, "up");
    assert!(web.first()?.contains("host: 10.9.0.2:9090\r\n"), "{:?}", web.first()?);
    Ok(())
}

/// A certificate for `www.example`, and a server that has it.
fn tls() -> Result<(String, Arc<ServerConfig>)> {
    let made = rcgen::generate_simple_self_signed(vec!["www.example".to_owned()])?;
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)?;
    Ok((made.cert.pem(), Arc::new(config)))
}

#[test]
fn a_certificate_nobody_vouches_for_fails() -> Result<()> {
    let (lb, host) = pair()?;
    let (_, tls) = tls()?;
    let _web = Web::start(&host, 8080, Some(tls))?;
    let daemon = Daemon::start(&lb, &config("path: /, scheme: https, hostname: www.example"))?;
    let (state, words) = verdict(&daemon)?;
    assert_eq!(state, "down");
    assert!(words.starts_with("TLS: invalid peer certificate: "), "{words}");
    Ok(())
}

#[test]
fn a_certificate_that_the_host_trusts_passes() -> Result<()> {
    let (lb, host) = pair()?;
    let (certificate, tls) = tls()?;
    let web = Web::start(&host, 8080, Some(tls))?;
    let check = "path: /ready, scheme: https, hostname: www.example";
    let mut daemon = Daemon::prepare(&lb, &binary(), &config(check))?;
    let authorities = daemon.folder().join("authorities.pem");
    fs::write(&authorities, certificate)?;
    daemon.spawn_with(&[], |command| {
        command.env("SSL_CERT_FILE", &authorities).env_remove("SSL_CERT_DIR");
    })?;
    daemon.wait_ready()?;
    let (state, words) = verdict(&daemon)?;
    assert_eq!((state.as_str(), words.starts_with("200 OK in ")), ("up", true), "{words}");
    assert!(web.first()?.starts_with("GET /ready HTTP/1.1\r\n"), "{}", web.first()?);
    Ok(())
}

#[test]
fn a_server_without_tls_fails_an_https_check() -> Result<()> {
    let (lb, host) = pair()?;
    let _web = Web::start(&host, 8080, None)?;
    let daemon = Daemon::start(&lb, &config("path: /, scheme: https"))?;
    let (state, words) = verdict(&daemon)?;
    assert_eq!(state, "down");
    // It waits for the end of a request that never ends, or answers in plain text.
    assert!(words.starts_with("TLS: ") || words.starts_with("timed out"), "{words}");
    Ok(())
}
