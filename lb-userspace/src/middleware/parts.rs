//! What several middlewares read or write alike.

use std::{
    fmt::Write,
    net::IpAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use ipnet::IpNet;
use regex::Regex;

use crate::{
    config::{
        decode::{At, ByName, Cx, Decode, Field},
        tree::{Node, Value, quoted},
        values::Scalar,
    },
    model::Fault,
    proxy::Exchange,
};

/// A regular expression; two are the same when their texts are.
#[derive(Clone, Debug)]
pub(crate) struct Pattern(pub(super) Regex);

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_str() == other.0.as_str()
    }
}

impl Pattern {
    /// Reads one; a fault where it isn't one.
    pub(super) fn check(at: &At<String>, faults: &mut Vec<Fault>) -> Option<Self> {
        match Regex::new(&at.value) {
            Ok(regex) => Some(Self(regex)),
            Err(error) => {
                // The error draws the place with carets over several lines; its last line says why.
                let error = error.to_string();
                let why = error.lines().last().unwrap_or_default().trim_start_matches("error: ");
                let text = quoted(&at.value);
                faults.push(at.spot.fault(format!("{text} is no regular expression: {why}")));
                None
            }
        }
    }
}

/// Texts of a list, empty where it isn't given.
pub(super) fn texts(field: &Field<Vec<At<String>>>) -> Vec<String> {
    let list = field.get().map(Vec::as_slice).unwrap_or_default();
    list.iter().map(|at| at.value.trim().to_owned()).collect()
}

/// Patterns of a list.
pub(super) fn patterns(field: &Field<Vec<At<String>>>, faults: &mut Vec<Fault>) -> Vec<Pattern> {
    let list = field.get().map(Vec::as_slice).unwrap_or_default();
    list.iter().filter_map(|at| Pattern::check(at, faults)).collect()
}

/// A network, or an address, which is a network of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Network(pub(crate) IpNet);

impl Decode for Network {
    fn decode(node: &Node, cx: &mut Cx) -> Option<Self> {
        let read = match &node.value {
            Value::Text(text) => network(text.trim()),
            _ => None,
        };
        if read.is_none() {
            cx.expected(node, "an address or network such as \"10.0.0.0/8\"");
        }
        read.map(Self)
    }
}

fn network(text: &str) -> Option<IpNet> {
    match text.parse::<IpNet>() {
        Ok(network) => Some(network.trunc()),
        Err(_) => text.parse::<IpAddr>().ok().map(|ip| ip.to_canonical().into()),
    }
}

/// Networks of a list.
pub(crate) fn networks(field: &Field<Vec<At<Network>>>) -> Vec<IpNet> {
    let list = field.get().map(Vec::as_slice).unwrap_or_default();
    list.iter().map(|at| at.value.0).collect()
}

/// Whether one of the networks holds the address.
pub(crate) fn holds(networks: &[IpNet], ip: IpAddr) -> bool {
    let ip = ip.to_canonical();
    networks.iter().any(|network| network.contains(&ip))
}

/// Codes from first to last.
pub(super) type StatusRange = (u16, u16);

/// `500`, `500-599`, or several of them with commas between them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StatusRanges(pub(super) Vec<StatusRange>);

impl StatusRanges {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let code = |text: &str| text.trim().parse::<u16>().ok().filter(|c| (100..=999).contains(c));
        let range = |text: &str| {
            let (first, last) = text.split_once('-').unwrap_or((text, text));
            Some((code(first)?, code(last)?)).filter(|(first, last)| first <= last)
        };
        text.split(',').map(range).collect::<Option<Vec<_>>>().map(Self)
    }
}

impl Decode for StatusRanges {
    fn decode(node: &Node, cx: &mut Cx) -> Option<Self> {
        let read = match &node.value {
            Value::Text(text) => Self::parse(text),
            Value::Int(code) => Self::parse(&code.to_string()),
            _ => None,
        };
        if read.is_none() {
            cx.expected(node, "a status or a range of them such as \"500-599\"");
        }
        read
    }
}

/// All ranges of a list.
pub(super) fn statuses(field: &Field<Vec<At<StatusRanges>>>) -> Vec<StatusRange> {
    let list = field.get().map(Vec::as_slice).unwrap_or_default();
    list.iter().flat_map(|at| at.value.0.iter().copied()).collect()
}

/// Whether one of the ranges holds the status.
pub(super) fn has_status(ranges: &[StatusRange], status: u16) -> bool {
    ranges.iter().any(|&(first, last)| (first..=last).contains(&status))
}

/// Names and values of headers, checked.
pub(super) fn header_map(
    field: &Field<ByName<Scalar>>,
    faults: &mut Vec<Fault>,
) -> Vec<(String, String)> {
    let mut headers = Vec::new();
    for (name, at) in field.get().map(|map| map.objects.as_slice()).unwrap_or_default() {
        if !is_token(name) {
            faults.push(at.spot.fault(format!("{} is no name of a header", quoted(name))));
        } else if !is_field_value(&at.value.0) {
            faults.push(at.spot.fault("a header's value holds no control characters"));
        } else {
            headers.push((name.clone(), at.value.0.trim().to_owned()));
        }
    }
    headers
}

/// The text of a header's value, checked; `None` where it is empty or not given.
pub(super) fn header_value(field: &Field<String>, faults: &mut Vec<Fault>) -> Option<String> {
    let at = field.at()?;
    if !is_field_value(&at.value) {
        faults.push(at.spot.fault("a header's value holds no control characters"));
        return None;
    }
    Some(at.value.trim().to_owned()).filter(|value| !value.is_empty())
}

/// A header's name, checked; `None` where it is empty or not given.
pub(super) fn header_name(field: &Field<String>, faults: &mut Vec<Fault>) -> Option<String> {
    let at = field.at().filter(|at| !at.value.is_empty())?;
    let right = is_token(&at.value);
    if !right {
        faults.push(at.spot.fault(format!("{} is no name of a header", quoted(&at.value))));
    }
    right.then(|| at.value.clone())
}

/// Names of headers of a list, checked.
pub(super) fn header_names(field: &Field<Vec<At<String>>>, faults: &mut Vec<Fault>) -> Vec<String> {
    let list = field.get().map(Vec::as_slice).unwrap_or_default();
    let mut names = Vec::new();
    for at in list {
        let name = at.value.trim();
        if is_token(name) {
            names.push(name.to_owned());
        } else {
            faults.push(at.spot.fault(format!("{} is no name of a header", quoted(name))));
        }
    }
    names
}

/// A file's path: a relative one starts where the configuration's file is.
pub(super) fn path(at: &At<String>) -> PathBuf {
    let folder = Path::new(&*at.spot.file).parent().unwrap_or(Path::new(""));
    folder.join(at.value.trim())
}

/// RFC 9110 §5.6.2.
pub(super) fn is_token(text: &str) -> bool {
    let special = |b: u8| b"!#$%&'*+-.^_`|~".contains(&b);
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || special(b))
}

fn is_field_value(text: &str) -> bool {
    !text.chars().any(|c| c.is_control() && c != '\t')
}

/// What may stand in a request's target as it is: RFC 3986 §3.3 and §3.4, without `?` and `#`.
fn is_path_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/%".contains(&byte)
}

/// A path made of configuration: with `/` in front, and what can't stand in a path escaped.
pub(super) fn to_path(text: &str) -> String {
    let slash = if text.starts_with('/') { "" } else { "/" };
    let mut path = slash.to_owned();
    escape_into(&mut path, text, is_path_byte);
    path
}

/// As Go's `url.QueryEscape`: for a value within a query.
pub(super) fn query_escape(text: &str) -> String {
    let mut escaped = String::new();
    escape_into(&mut escaped, text, |b| b.is_ascii_alphanumeric() || b"-._~ ".contains(&b));
    escaped.replace(' ', "+")
}

fn escape_into(to: &mut String, text: &str, keep: impl Fn(u8) -> bool) {
    for byte in text.bytes() {
        if keep(byte) {
            to.push(char::from(byte));
        } else {
            let _ = write!(to, "%{byte:02X}");
        }
    }
}

/// A duration as Go prints it: `1m30s`, `2.5s`, `300ms`.
pub(super) fn go_duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
    let rest = duration - Duration::from_secs(seconds - seconds % 60);
    match (hours, minutes) {
        (0, 0) => format!("{duration:?}"),
        (0, _) => format!("{minutes}m{:?}s", rest.as_secs_f64()),
        _ => format!("{hours}h{minutes}m{:?}s", rest.as_secs_f64()),
    }
    .replace(".0s", "s")
}

/// `https` or `http`, as a trusted sender says or as the connection is.
pub(super) fn scheme_of(exchange: &Exchange) -> &'static str {
    let said = exchange.request.get("X-Forwarded-Proto").map(<[u8]>::trim_ascii);
    let says = |names: [&str; 2]| {
        said.is_some_and(|said| names.iter().any(|n| said.eq_ignore_ascii_case(n.as_bytes())))
    };
    match () {
        () if says(["https", "wss"]) => "https",
        () if says(["http", "ws"]) => "http",
        () if exchange.is_tls() => "https",
        () => "http",
    }
}

/// The host as the client wrote it, with its port; where it wrote none, the address it came to.
pub(super) fn authority_of(exchange: &Exchange) -> String {
    match exchange.request.text_of("host") {
        Some(host) if !host.is_empty() => host.to_owned(),
        _ => exchange.client.local.to_string(),
    }
}

/// A host without its port.
pub(super) fn without_port(authority: &str) -> &str {
    match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) && !host.is_empty() => host,
        _ => authority,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_made_valid() {
        for (text, path) in [
            ("/a/b", "/a/b"),
            ("a b", "/a%20b"),
            ("/ä?x#y", "/%C3%A4%3Fx%23y"),
            ("/a%2Fb", "/a%2Fb"),
            ("", "/"),
        ] {
            assert_eq!(to_path(text), path, "{text}");
        }
    }

    #[test]
    fn durations_are_printed_as_go_does() {
        for (millis, text) in [
            (0, "0ns"),
            (300, "300ms"),
            (2_500, "2.5s"),
            (3_000, "3s"),
            (90_000, "1m30s"),
            (3_661_500, "1h1m1.5s"),
        ] {
            assert_eq!(go_duration(Duration::from_millis(millis)), text);
        }
    }

    #[test]
    fn statuses_are_codes_ranges_and_lists() {
        for (text, ranges) in [
            ("500", Some(vec![(500, 500)])),
            ("404,418,500-599", Some(vec![(404, 404), (418, 418), (500, 599)])),
            ("599-500", None),
            ("5xx", None),
            ("", None),
        ] {
            assert_eq!(StatusRanges::parse(text), ranges.map(StatusRanges), "{text}");
        }
    }

    #[test]
    fn values_are_escaped_as_in_a_query() {
        assert_eq!(query_escape("http://a/b?c=d e&f"), "http%3A%2F%2Fa%2Fb%3Fc%3Dd+e%26f");
    }
}
