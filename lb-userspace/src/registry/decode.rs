//! Registrations as Consul takes them: JSON whose keys are spelled in any case, with or without
//! underscores. What lb's registry doesn't do is refused by name.

use std::{collections::BTreeMap, net::IpAddr, time::Duration};

use serde_json::{Map, Value};

use super::{
    change::Registered,
    types::{Check, GrpcCheck, HttpCheck, Instance, Kind, Status, Weights},
};
use crate::config::duration;

/// What a registration may do and whom it is from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sender {
    /// Where it comes from.
    pub(crate) ip: IpAddr,
    /// `enableScriptChecks`.
    pub(crate) scripts: bool,
}

/// Why a body isn't taken, with Consul's words where it has some.
pub(crate) type Decoded<T> = Result<T, String>;

/// The body of `/v1/agent/service/register`.
pub(crate) fn service(body: &[u8], sender: Sender) -> Decoded<(Instance, Vec<Registered>)> {
    let mut fields = Fields::parse(body)?;
    let name = fields.text("Name")?;
    let id = fields.text("ID")?;
    let mut instance = Instance {
        id: if id.is_empty() { name.clone() } else { id },
        tags: fields.texts("Tags")?,
        meta: fields.map("Meta")?,
        address: fields.text("Address")?,
        port: fields.port("Port")?,
        tagged: tagged(&mut fields)?,
        weights: weights(&mut fields)?,
        enable_tag_override: fields.flag("EnableTagOverride")?,
        name,
        ..Instance::default()
    };
    let mut wanted: Vec<Value> = fields.take("Check").into_iter().collect();
    wanted.extend(fields.list("Checks")?);
    if fields.text("Kind")?.as_str() != "" {
        return Err("Kind: this registry has no service mesh".to_owned());
    }
    fields.refuse(&["Proxy", "Connect", "Locality", "Ports", "SocketPath"], "isn't done")?;
    fields.default_only(&["Namespace", "Partition", "Peer"])?;
    fields.finish()?;
    if instance.name.is_empty() {
        return Err("Missing service name".to_owned());
    }
    if matches!(instance.address.as_str(), "0.0.0.0" | "::" | "[::]") {
        return Err("Invalid service address".to_owned());
    }
    if instance.address.is_empty() {
        instance.address = sender.ip.to_canonical().to_string();
    }
    if !instance.tagged.is_empty() || instance.address.parse::<IpAddr>().is_ok() {
        default_tagged(&mut instance);
    }
    let count = wanted.len();
    let mut checks = Vec::new();
    for (i, value) in wanted.into_iter().enumerate() {
        let Value::Object(map) = value else {
            return Err("Request decode failed: a check is an object".to_owned());
        };
        let mut fields = Fields(map);
        let mut check = check(&mut fields, sender).map_err(invalid)?;
        fields.finish()?;
        let number = if count > 1 { format!(":{}", i + 1) } else { String::new() };
        if check.check.id.is_empty() {
            check.check.id = format!("service:{}{number}", instance.id);
        }
        if check.check.name.is_empty() {
            check.check.name = format!("Service '{}' check", instance.name);
        }
        check.check.instance.clone_from(&instance.id);
        checks.push(check);
    }
    Ok((instance, checks))
}

/// The body of `/v1/agent/check/register`.
pub(crate) fn check_alone(body: &[u8], sender: Sender) -> Decoded<Registered> {
    let mut fields = Fields::parse(body)?;
    let mut registered = check(&mut fields, sender).map_err(invalid)?;
    registered.check.instance = fields.text("ServiceID")?;
    fields.finish()?;
    let check = &mut registered.check;
    if check.name.is_empty() {
        return Err("Missing check name".to_owned());
    }
    if check.id.is_empty() {
        check.id.clone_from(&check.name);
    }
    if check.kind == Kind::Fixed {
        return Err(invalid(
            "Invalid check: TTL or Script, HTTP, TCP or GRPC must be given".into(),
        ));
    }
    Ok(registered)
}

/// The body of `/v1/agent/check/update/ID`.
pub(crate) fn report(body: &[u8]) -> Decoded<(Status, String)> {
    let mut fields = Fields::parse(body)?;
    let (status, mut output) = (fields.text("Status")?, fields.text("Output")?);
    fields.finish()?;
    let known = Status::named(&status);
    truncate(&mut output);
    Ok((known.ok_or_else(|| format!("Invalid check status: '{status}'"))?, output))
}

/// Longer outputs are cut, as Consul cuts them.
pub(crate) fn truncate(output: &mut String) {
    const MOST: usize = 4096;
    if output.len() > MOST {
        let end = (0..=MOST).rev().find(|end| output.is_char_boundary(*end)).unwrap_or(0);
        output.truncate(end);
    }
}

fn invalid(why: String) -> String {
    match why.starts_with("Request decode failed") || why.starts_with("Invalid check") {
        true => why,
        false => format!("Invalid check: {why}"),
    }
}

fn check(fields: &mut Fields, sender: Sender) -> Decoded<Registered> {
    let (check_id, id) = (fields.text("CheckID")?, fields.text("ID")?);
    let status = fields.text("Status")?;
    let status = match status.as_str() {
        "" => None,
        given => {
            Some(Status::named(given).ok_or_else(|| format!("Invalid check status: '{given}'"))?)
        }
    };
    let after = fields.time("DeregisterCriticalServiceAfter")?;
    let check = Check {
        id: if check_id.is_empty() { id } else { check_id },
        name: fields.text("Name")?,
        status: status.unwrap_or_default(),
        notes: fields.text("Notes")?,
        output: fields.text("Output")?,
        kind: kind(fields, sender)?,
        interval: fields.time("Interval")?.unwrap_or_default(),
        timeout: fields.time("Timeout")?.unwrap_or_default(),
        deregister_after: after.filter(|after| !after.is_zero()),
        rise: fields.count("SuccessBeforePassing")?,
        fall: fields.count("FailuresBeforeCritical")?,
        fall_to_warning: fields.count("FailuresBeforeWarning")?,
        ..Check::default()
    };
    for other in ["Shell", "AliasService", "AliasNode", "H2PING", "UDP", "OSService"] {
        fields.refuse(&[other], "isn't done: use HTTP, TCP, GRPC, TTL or Args")?;
    }
    fields.refuse(&["DockerContainerID", "Script", "OutputMaxSize"], "isn't done")?;
    fields.default_only(&["Namespace", "Partition", "H2PingUseTLS", "ExposedPort"])?;
    finished(check, status.is_some())
}

/// With the times that Consul fills in; it wants an interval, and one that isn't absurd.
fn finished(mut check: Check, is_given: bool) -> Decoded<Registered> {
    if !matches!(check.kind, Kind::Fixed | Kind::Ttl(_)) {
        if check.interval.is_zero() {
            return Err("Interval must be > 0 for Script, HTTP, or TCP checks".to_owned());
        }
        check.interval = check.interval.max(Duration::from_millis(100));
        if check.timeout.is_zero() {
            let most = if matches!(check.kind, Kind::Script(_)) { 30 } else { 10 };
            check.timeout = Duration::from_secs(most);
        }
    }
    Ok(Registered { check, is_given })
}

fn kind(fields: &mut Fields, sender: Sender) -> Decoded<Kind> {
    let mut kinds = Vec::new();
    let ttl = fields.time("TTL")?.filter(|ttl| !ttl.is_zero());
    kinds.extend(ttl.map(Kind::Ttl));
    let (tls, insecure) = (fields.flag("GRPCUseTLS")?, fields.flag("TLSSkipVerify")?);
    let server_name = fields.text("TLSServerName")?;
    let tcp = fields.text("TCP")?;
    if !tcp.is_empty() {
        kinds.push(Kind::Tcp(tcp));
    }
    fields.refuse(&["TCPUseTLS"], "isn't done")?;
    let http = HttpCheck {
        url: fields.text("HTTP")?,
        method: fields.text("Method")?,
        headers: headers(fields)?,
        body: fields.text("Body")?,
        insecure,
        server_name: server_name.clone(),
        no_redirects: fields.flag("DisableRedirects")?,
    };
    if !http.url.is_empty() {
        kinds.push(Kind::Http(http));
    }
    let target = fields.text("GRPC")?;
    let (address, service) = target.split_once('/').unwrap_or((&target, ""));
    if service.len() > 127 {
        return Err("GRPC: a service's name has 127 bytes at most".to_owned());
    }
    if !target.is_empty() {
        let (address, service) = (address.to_owned(), service.to_owned());
        kinds.push(Kind::Grpc(GrpcCheck { address, service, tls, insecure, server_name }));
    }
    let mut args = fields.texts("Args")?;
    args.extend(fields.texts("ScriptArgs")?);
    if !args.is_empty() {
        if !sender.scripts {
            return Err("Scripts are disabled on this agent; to enable, configure \
                        'registry.enableScriptChecks' to true"
                .to_owned());
        }
        kinds.push(Kind::Script(args));
    }
    match (kinds.pop(), kinds.is_empty()) {
        (kind, true) => Ok(kind.unwrap_or_default()),
        _ => Err("TTL, HTTP, TCP, GRPC and Args exclude each other: give one".to_owned()),
    }
}

/// `{"Name": ["value", …]}`.
fn headers(fields: &mut Fields) -> Decoded<Vec<(String, String)>> {
    let wrong = || "Request decode failed: Header has lists of texts".to_owned();
    let map = match fields.take("Header") {
        None => return Ok(Vec::new()),
        Some(Value::Object(map)) => map,
        Some(_) => return Err(wrong()),
    };
    let mut headers = Vec::new();
    for (name, values) in map {
        let values = match values {
            Value::Array(values) => values,
            one => vec![one],
        };
        for value in values {
            headers.push((name.clone(), value.as_str().ok_or_else(wrong)?.to_owned()));
        }
    }
    Ok(headers)
}

fn tagged(fields: &mut Fields) -> Decoded<BTreeMap<String, (String, u16)>> {
    let map = match fields.take("TaggedAddresses") {
        None => return Ok(BTreeMap::new()),
        Some(Value::Object(map)) => map,
        Some(_) => return Err("Request decode failed: TaggedAddresses is an object".to_owned()),
    };
    let mut tagged = BTreeMap::new();
    for (name, value) in map {
        let Value::Object(map) = value else {
            return Err(format!("Request decode failed: TaggedAddresses.{name} is an object"));
        };
        let mut fields = Fields(map);
        tagged.insert(name, (fields.text("Address")?, fields.port("Port")?));
        fields.finish()?;
    }
    Ok(tagged)
}

/// As Consul does: an IP address is that of the LAN and of the WAN, unless they are given.
fn default_tagged(instance: &mut Instance) {
    let Ok(ip) = instance.address.parse::<IpAddr>() else { return };
    let family = if ip.is_ipv4() { "ipv4" } else { "ipv6" };
    for net in ["lan", "wan"] {
        let address = instance.tagged.get(net).cloned();
        let address = address.unwrap_or((instance.address.clone(), instance.port));
        instance.tagged.entry(format!("{net}_{family}")).or_insert(address);
    }
}

fn weights(fields: &mut Fields) -> Decoded<Weights> {
    let map = match fields.take("Weights") {
        None => return Ok(Weights::default()),
        Some(Value::Object(map)) => map,
        Some(_) => return Err("Request decode failed: Weights is an object".to_owned()),
    };
    let mut fields = Fields(map);
    let passing = fields.take("Passing").map_or(Some(1), |value| value.as_u64());
    let warning = fields.take("Warning").map_or(Some(1), |value| value.as_u64());
    fields.finish()?;
    match (passing.map(u16::try_from), warning.map(u16::try_from)) {
        (Some(Ok(passing @ 1..)), Some(Ok(warning))) => Ok(Weights { passing, warning }),
        (Some(Ok(0)), _) => Err("Passing must be greater than 0".to_owned()),
        _ => Err("DNS Weight must be between 0 and 65535".to_owned()),
    }
}

/// What is left of an object.
struct Fields(Map<String, Value>);

impl Fields {
    fn parse(body: &[u8]) -> Decoded<Self> {
        match serde_json::from_slice(body) {
            Ok(Value::Object(map)) => Ok(Self(map)),
            Ok(_) => Err("Request decode failed: expected an object".to_owned()),
            Err(error) => Err(format!("Request decode failed: {error}")),
        }
    }

    /// The value of a key, in whichever way it is spelled; null is as good as none.
    fn take(&mut self, name: &str) -> Option<Value> {
        let is = |key: &str| {
            let mut key = key.bytes().filter(|b| *b != b'_').map(|b| b.to_ascii_lowercase());
            name.bytes().map(|b| b.to_ascii_lowercase()).all(|b| key.next() == Some(b))
                && key.next().is_none()
        };
        let key = self.0.keys().find(|key| is(key))?.clone();
        self.0.remove(&key).filter(|value| !value.is_null())
    }

    fn text(&mut self, name: &str) -> Decoded<String> {
        match self.take(name) {
            None => Ok(String::new()),
            Some(Value::String(text)) => Ok(text),
            Some(other) => Err(format!("Request decode failed: {name}: {other} is no text")),
        }
    }

    fn flag(&mut self, name: &str) -> Decoded<bool> {
        match self.take(name) {
            None => Ok(false),
            Some(Value::Bool(flag)) => Ok(flag),
            Some(other) => Err(format!("Request decode failed: {name}: {other} is no boolean")),
        }
    }

    fn port(&mut self, name: &str) -> Decoded<u16> {
        match self.take(name) {
            None => Ok(0),
            Some(value) => {
                let port = value.as_u64().and_then(|port| u16::try_from(port).ok());
                port.ok_or_else(|| format!("Request decode failed: {name}: {value} is no port"))
            }
        }
    }

    fn count(&mut self, name: &str) -> Decoded<u32> {
        match self.take(name) {
            None => Ok(0),
            Some(value) => {
                let count = value.as_u64().and_then(|count| u32::try_from(count).ok());
                count.ok_or_else(|| format!("Request decode failed: {name}: {value} is no count"))
            }
        }
    }

    /// As Go spells durations, or a number of nanoseconds.
    fn time(&mut self, name: &str) -> Decoded<Option<Duration>> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::String(text)) if text.is_empty() => Ok(None),
            Some(Value::String(text)) => duration::parse(&text)
                .map(Some)
                .map_err(|_| format!("Request decode failed: time: invalid duration {text:?}")),
            Some(value) => match value.as_u64() {
                Some(nanos) => Ok(Some(Duration::from_nanos(nanos))),
                None => Err(format!("Request decode failed: time: invalid duration {value}")),
            },
        }
    }

    fn list(&mut self, name: &str) -> Decoded<Vec<Value>> {
        match self.take(name) {
            None => Ok(Vec::new()),
            Some(Value::Array(list)) => Ok(list),
            Some(other) => Err(format!("Request decode failed: {name}: {other} is no list")),
        }
    }

    fn texts(&mut self, name: &str) -> Decoded<Vec<String>> {
        let text = |value: Value| match value {
            Value::String(text) => Ok(text),
            other => Err(format!("Request decode failed: {name}: {other} is no text")),
        };
        self.list(name)?.into_iter().map(text).collect()
    }

    fn map(&mut self, name: &str) -> Decoded<BTreeMap<String, String>> {
        let map = match self.take(name) {
            None => return Ok(BTreeMap::new()),
            Some(Value::Object(map)) => map,
            Some(other) => {
                return Err(format!("Request decode failed: {name}: {other} is no object"));
            }
        };
        let text = |(key, value): (String, Value)| match value {
            Value::String(text) => Ok((key, text)),
            other => Err(format!("Request decode failed: {name}.{key}: {other} is no text")),
        };
        map.into_iter().map(text).collect()
    }

    /// Keys that mean something elsewhere.
    fn refuse(&mut self, names: &[&str], why: &str) -> Decoded<()> {
        for name in names {
            if self.take(name).is_some_and(|value| !is_empty(&value)) {
                return Err(format!("{name} {why}"));
            }
        }
        Ok(())
    }

    /// Keys that have one value here: none, or `default`.
    fn default_only(&mut self, names: &[&str]) -> Decoded<()> {
        for name in names {
            let value = self.take(name);
            if value.is_some_and(|value| !is_empty(&value) && value != "default") {
                return Err(format!("{name}: this registry has none but the default one"));
            }
        }
        Ok(())
    }

    fn finish(self) -> Decoded<()> {
        match self.0.keys().next() {
            None => Ok(()),
            Some(key) => Err(format!("Request decode failed: json: unknown field {key:?}")),
        }
    }
}

/// What Go's clients send for a field that nobody set.
fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(is) => !is,
        Value::Number(n) => n.as_u64() == Some(0),
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.values().all(is_empty),
    }
}
