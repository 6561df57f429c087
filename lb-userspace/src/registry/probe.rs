//! One check: lb's own probes, with Consul's verdicts and words.

use std::{process::Stdio, sync::Arc};

use http::Uri;
use tokio::{io::AsyncReadExt, process::Command};

use super::types::{Check, GrpcCheck, HttpCheck, Kind, Status};
use crate::{
    health::ask::{Dns, Failure, Grpc, Host, Http, Probe, Target, Tcp},
    model::Scheme,
};

/// Bytes of an output that are kept, as Consul keeps them.
const OUTPUT: usize = 4096;

/// What checks take from this host.
pub(crate) struct Prober {
    host: Host,
    insecure: Host,
    dns: Arc<Dns>,
}

impl Default for Prober {
    fn default() -> Self {
        Self { host: Host::default(), insecure: Host::insecure(), dns: Arc::default() }
    }
}

impl Prober {
    /// Checks once. The caller bounds its time.
    pub(crate) async fn ask(&self, check: &Check) -> (Status, String) {
        let asked = match &check.kind {
            Kind::Tcp(address) => self.tcp(address).await,
            Kind::Http(http) => self.http(http).await,
            Kind::Grpc(grpc) => self.grpc(grpc).await,
            Kind::Script(args) => script(args).await,
            Kind::Fixed | Kind::Ttl(_) => Ok((check.status, check.output.clone())),
        };
        asked.unwrap_or_else(|failure| (Status::Critical, failure.to_string()))
    }

    async fn tcp(&self, address: &str) -> Result<(Status, String), Failure> {
        let target = self.target(address, 0, false).await?;
        match Tcp.check(&target, &self.host).await {
            Ok(_) => Ok((Status::Passing, format!("TCP connect {address}: Success"))),
            Err(failure) => Err(Failure::server(format!("dial tcp {address}: {failure}"))),
        }
    }

    async fn http(&self, check: &HttpCheck) -> Result<(Status, String), Failure> {
        let method = if check.method.is_empty() { "GET" } else { &check.method };
        let uri: Uri = check
            .url
            .parse()
            .map_err(|error| Failure::server(format!("{:?} is no URL: {error}", check.url)))?;
        let tls = uri.scheme_str() == Some("https");
        let authority = uri.authority().map_or("", |a| a.as_str());
        let target = self.target(authority, if tls { 443 } else { 80 }, tls).await?;
        let probe = Http {
            method: method.to_owned(),
            path: uri.path_and_query().map_or("/", |path| path.as_str()).to_owned(),
            tls,
            h2c: false,
            hostname: (!check.server_name.is_empty()).then(|| check.server_name.clone()),
            headers: check.headers.clone(),
            body: check.body.clone().into(),
            status: None,
            follow_redirects: !check.no_redirects,
        };
        let host = if check.insecure { &self.insecure } else { &self.host };
        let answer = probe.answer(&target, host).await;
        let answer = answer
            .map_err(|failure| Failure::server(format!("{method} \"{}\": {failure}", check.url)))?;
        let status = match answer.status.as_u16() {
            200..=299 => Status::Passing,
            429 => Status::Warning,
            _ => Status::Critical,
        };
        let body = String::from_utf8_lossy(&answer.body[..answer.body.len().min(OUTPUT)]);
        Ok((status, format!("HTTP {method} {}: {} Output: {body}", check.url, answer.status)))
    }

    async fn grpc(&self, check: &GrpcCheck) -> Result<(Status, String), Failure> {
        let target = self.target(&check.address, 0, check.tls).await?;
        let probe = Grpc {
            tls: check.tls,
            hostname: (!check.server_name.is_empty()).then(|| check.server_name.clone()),
            headers: Vec::new(),
            service: check.service.clone(),
        };
        let host = if check.insecure { &self.insecure } else { &self.host };
        probe.check(&target, host).await?;
        Ok((Status::Passing, format!("gRPC check {}: success", check.address)))
    }

    /// Where `host:port` is: one of its addresses, in turn.
    async fn target(&self, authority: &str, port: u16, tls: bool) -> Result<Target, Failure> {
        let (host, port) = split(authority, port)
            .ok_or_else(|| Failure::server(format!("{authority:?} is no host:port")))?;
        let ip = match host.parse() {
            Ok(ip) => ip,
            Err(_) => {
                let answer = self.dns.lookup(&host).await.map_err(Failure::server)?;
                answer.addresses[fastrand::usize(..answer.addresses.len())]
            }
        };
        let scheme = if tls { Scheme::Https } else { Scheme::Http };
        Ok(Target { address: (ip, port).into(), host, scheme })
    }
}

/// Host and port; `default` 0 wants a port.
pub(super) fn split(authority: &str, default: u16) -> Option<(String, u16)> {
    let authority = authority.rsplit_once('@').map_or(authority, |(_, rest)| rest);
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => rest.split_once(']').map(|(host, rest)| (host, rest.strip_prefix(':')))?,
        None => match authority.rsplit_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        },
    };
    let port = port.map_or(Some(default), |port| port.parse().ok()).filter(|port| *port > 0)?;
    (!host.is_empty()).then(|| (host.to_owned(), port))
}

/// 0 passes, 1 warns, anything else is critical.
async fn script(args: &[String]) -> Result<(Status, String), Failure> {
    let (program, args) = args.split_first().ok_or_else(|| Failure::server("no program"))?;
    let mut command = Command::new(program);
    command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| Failure::server(format!("{program}: {error}")))?;
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let pipes = (child.stdout.take(), child.stderr.take());
    let read = async {
        let (Some(stdout), Some(stderr)) = pipes else { return };
        // What is beyond is still read, so that no script hangs on a full pipe.
        tokio::join!(keep(stdout, &mut out), keep(stderr, &mut err));
    };
    let (status, ()) = tokio::join!(child.wait(), read);
    let status = match status.ok().and_then(|status| status.code()) {
        Some(0) => Status::Passing,
        Some(1) => Status::Warning,
        _ => Status::Critical,
    };
    out.extend(err);
    out.truncate(OUTPUT);
    Ok((status, String::from_utf8_lossy(&out).into_owned()))
}

async fn keep(mut from: impl AsyncReadExt + Unpin, into: &mut Vec<u8>) {
    let mut buffer = [0; 4096];
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        let room = OUTPUT.saturating_sub(into.len());
        into.extend_from_slice(&buffer[..read.min(room)]);
    }
}

#[cfg(test)]
mod tests {
    use super::split;

    macro_rules! authorities {
        ($($name:ident: $text:literal, $port:literal => $is:expr;)+) => {$(
            #[test]
            fn $name() {
                let is: Option<(&str, u16)> = $is;
                assert_eq!(split($text, $port), is.map(|(host, port)| (host.to_owned(), port)));
            }
        )+};
    }

    authorities! {
        address_and_port: "10.0.1.5:8080", 80 => Some(("10.0.1.5", 8080));
        a_name_alone_takes_the_default: "api", 80 => Some(("api", 80));
        a_name_alone_wants_a_port_without_one: "api", 0 => None;
        ipv6_in_brackets: "[::1]:80", 0 => Some(("::1", 80));
        ipv6_in_brackets_alone: "[::1]", 443 => Some(("::1", 443));
        a_user_is_left_out: "me:x@api:1", 80 => Some(("api", 1));
        port_0_is_none: "api:0", 80 => None;
        no_host_is_none: ":80", 80 => None;
        a_word_is_no_port: "api:http", 80 => None;
    }
}
