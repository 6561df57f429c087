//! Scalars of the configuration and how each is read.

use std::{net::IpAddr, path::Path, time::Duration};

use ipnet::IpNet;

use super::{
    decode::{Cx, Decode},
    duration,
    names::{nearest, one_of},
    tree::{Node, Value, quoted},
};
use crate::model::Pem;

impl Decode for String {
    fn decode(node: &Node, cx: &mut Cx) -> Option<Self> {
        text(node, "a text", cx).map(str::to_owned)
    }
}

/// The node's text, or a fault that expects `what`.
pub(crate) fn text<'n>(node: &'n Node, what: &str, cx: &mut Cx) -> Option<&'n str> {
    match &node.value {
        Value::Text(text) => Some(text),
        _ => {
            cx.expected(node, what);
            None
        }
    }
}

/// Any scalar, as the file spells it: for values such as HTTP headers, where `1` is as good as `"1"`.
#[derive(Clone, Debug)]
pub(crate) struct Scalar(pub(crate) String);

impl Decode for Scalar {
    fn decode(node: &Node, cx: &mut Cx) -> Option<Self> {
        match &node.value {
            Value::Text(text) => Some(Self(text.clone())),
            Value::Bool(b) => Some(Self(b.to_string())),
            Value::Int(n) => Some(Self(n.to_string())),
            Value::Float(n) => Some(Self(n.to_string())),
            Value::Null | Value::List(_) | Value::Map(_) => {
                cx.expected(node, "a text");
                None
            }
        }
    }
}

impl Decode for bool {
    /// `true` and `false`, quoted too, as labels have them.
    fn decode(node: &Node, cx: &mut Cx) -> Option<Self> {
        match &node.value {
            Value::Bool(b) => Some(*b),
            Value::Text(text) if text.eq_ignore_ascii_case("true") => Some(true),
            Value::Text(text) if text.eq_ignore_ascii_case("false") => Some(false),
            _ => {
                cx.expected(node, "true or false");
                None
            }
        }
    }
}

impl Decode for Duration {
    fn decode(node: &Node, cx: &mut Cx) -> Option<Self> {
        let read = match &node.value {
            Value::Text(text) => duration::parse(text),
            Value::Int(n) if *n < 0 => Err(format!("a duration can't be negative: {n}")),
            Value::Int(n) => match u64::try_from(*n) {
                Ok(seconds) => Ok(Self::from_secs(seconds)),
                Err(_) => Err(format!("the duration {n} is too long")),
            },
            _ => {
                cx.expected(node, "a duration such as \"1s\" or \"300ms\"");
                return None;
            }
        };
        read.map_err(|message| cx.fault(node, message)).ok()
    }
}

impl Decode for IpAddr {
    fn decode(node: &Node, cx: &mut Cx) -> Option<Self> {
        let text = text(node, "an IP address", cx)?;
        match text.parse() {
            Ok(address) => Some(address),
            Err(_) => {
                cx.expected(node, "an IP address");
                None
            }
        }
    }
}

impl Decode for IpNet {
    /// `10.0.0.0/8`, or one address.
    fn decode(node: &Node, cx: &mut Cx) -> Option<Self> {
        const WHAT: &str = "an address or a range such as \"10.0.0.0/8\"";
        let text = text(node, WHAT, cx)?;
        let net = text.parse().ok().or_else(|| text.parse().ok().map(|ip: IpAddr| ip.into()));
        if net.is_none() {
            cx.expected(node, WHAT);
        }
        net
    }
}

/// An object that `true` stands for with its defaults, and `false` for its absence.
#[derive(Clone, Debug)]
pub(crate) enum Toggle<T> {
    Off,
    On(T),
}

impl<T> Toggle<T> {
    /// The object, where it isn't switched off.
    pub(crate) fn on(&self) -> Option<&T> {
        match self {
            Self::Off => None,
            Self::On(object) => Some(object),
        }
    }
}

impl<T: Decode + Default> Decode for Toggle<T> {
    fn decode(node: &Node, cx: &mut Cx) -> Option<Self> {
        let is = |word: &str| match &node.value {
            Value::Bool(b) => b.to_string() == word,
            Value::Text(text) => text.eq_ignore_ascii_case(word),
            _ => false,
        };
        match () {
            () if is("true") => Some(Self::On(T::default())),
            () if is("false") => Some(Self::Off),
            () => T::decode(node, cx).map(Self::On),
        }
    }
}

/// A PEM text, or the path of its file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PemText(String);

impl PemText {
    /// Whether it is a path.
    pub(crate) fn is_file(&self) -> bool {
        !self.0.trim_start().starts_with("-----BEGIN")
    }

    /// For the model; a relative path starts at `folder`.
    pub(crate) fn pem(&self, folder: &Path) -> Pem {
        match self.0.trim_start().starts_with("-----BEGIN") {
            true => Pem::Text(self.0.as_str().into()),
            false => Pem::File(folder.join(&self.0)),
        }
    }
}

impl Decode for PemText {
    fn decode(node: &Node, cx: &mut Cx) -> Option<Self> {
        const WHAT: &str = "a file's path or a PEM text";
        let text = text(node, WHAT, cx)?;
        if text.is_empty() {
            cx.expected(node, WHAT);
            return None;
        }
        Some(Self(text.to_owned()))
    }
}

/// `responseForwarding.flushInterval`; a negative one flushes at once, as 0 does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FlushInterval(pub(crate) Duration);

impl Decode for FlushInterval {
    fn decode(node: &Node, cx: &mut Cx) -> Option<Self> {
        let is_negative = match &node.value {
            Value::Int(n) => *n < 0,
            Value::Text(text) => text.strip_prefix('-').is_some_and(|t| duration::parse(t).is_ok()),
            _ => false,
        };
        match is_negative {
            true => Some(Self(Duration::ZERO)),
            false => Duration::decode(node, cx).map(Self),
        }
    }
}

/// A duration; a bare number counts milliseconds, as Traefik has it in a few places.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Milliseconds(pub(crate) Duration);

impl Decode for Milliseconds {
    fn decode(node: &Node, cx: &mut Cx) -> Option<Self> {
        let number = match &node.value {
            Value::Int(n) => u64::try_from(*n).ok(),
            Value::Text(text) => text.parse().ok(),
            _ => None,
        };
        match number {
            Some(n) => Some(Self(Duration::from_millis(n))),
            None => Duration::decode(node, cx).map(Self),
        }
    }
}

/// `404` or `500-599`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct StatusRange(pub(crate) u16, pub(crate) u16);

impl Decode for StatusRange {
    fn decode(node: &Node, cx: &mut Cx) -> Option<Self> {
        let text = match &node.value {
            Value::Text(text) => text.clone(),
            Value::Int(n) => n.to_string(),
            _ => String::new(),
        };
        let (first, last) = text.split_once('-').unwrap_or((&text, &text));
        let status = |text: &str| text.trim().parse().ok().filter(|n| (100..=599).contains(n));
        match (status(first), status(last)) {
            (Some(first), Some(last)) if first <= last => Some(Self(first, last)),
            _ => {
                cx.expected(node, "a status such as \"404\" or a range such as \"500-599\"");
                None
            }
        }
    }
}

/// A number, whole or not, of its own or in a text, as labels have it.
pub(crate) fn number(node: &Node) -> Option<f64> {
    match &node.value {
        Value::Int(n) => Some(*n as f64),
        Value::Float(n) => Some(*n),
        Value::Text(text) => text.parse().ok(),
        _ => None,
    }
}

/// A number of seconds above 0, whole or not.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Seconds(pub(crate) f64);

impl Decode for Seconds {
    fn decode(node: &Node, cx: &mut Cx) -> Option<Self> {
        let sound = number(node).filter(|n| n.is_finite() && *n > 0.0);
        if sound.is_none() {
            cx.expected(node, "a number of seconds above 0");
        }
        sound.map(Self)
    }
}

/// A whole number from `MIN` to `MAX`; digits in quotes count too, as labels have them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Whole<const MIN: i64, const MAX: i64>(pub(crate) i64);

/// 0 to 65,535.
pub(crate) type Weight = Whole<0, 65_535>;
/// 1 to 65,535.
pub(crate) type Port = Whole<1, 65_535>;

impl<const MIN: i64, const MAX: i64> Whole<MIN, MAX> {
    /// As the model has it; `MIN` and `MAX` are within `u32` wherever this is used.
    pub(crate) fn u32(self) -> u32 {
        u32::try_from(self.0).unwrap_or(u32::MAX)
    }

    /// As the model has it; `MIN` and `MAX` are within `u16` wherever this is used.
    pub(crate) fn u16(self) -> u16 {
        u16::try_from(self.0).unwrap_or(u16::MAX)
    }
}

impl<const MIN: i64, const MAX: i64> Decode for Whole<MIN, MAX> {
    fn decode(node: &Node, cx: &mut Cx) -> Option<Self> {
        let number = match &node.value {
            Value::Int(n) => Some(*n),
            Value::Text(text) => text.parse().ok(),
            _ => None,
        };
        let whole = number.and_then(|n| i64::try_from(n).ok()).filter(|n| (MIN..=MAX).contains(n));
        if whole.is_none() {
            let what = match (MIN, MAX) {
                (i64::MIN, i64::MAX) => "a whole number".to_owned(),
                _ => format!("a whole number from {MIN} to {MAX}"),
            };
            cx.expected(node, &what);
        }
        whole.map(Self)
    }
}

/// Reads one name of `table`, case aside. Names in `refused` exist elsewhere but not here: the
/// fault says why.
pub(crate) fn choice<T: Clone>(
    node: &Node,
    table: &[(&str, T)],
    refused: &[(&str, &str)],
    cx: &mut Cx,
) -> Option<T> {
    let mut names: Vec<&str> = Vec::new();
    for (name, _) in table {
        names.push(name);
    }
    let Value::Text(word) = &node.value else {
        cx.expected(node, &one_of(names));
        return None;
    };
    if let Some((_, value)) = table.iter().find(|(name, _)| name.eq_ignore_ascii_case(word)) {
        return Some(value.clone());
    }
    let mut fault = match refused.iter().find(|(name, _)| name.eq_ignore_ascii_case(word)) {
        Some((_, why)) => cx.spot(node.pos).fault(*why),
        None => cx.spot(node.pos).fault(format!(
            "expected {}, found {}",
            one_of(names.iter().copied()),
            quoted(word)
        )),
    };
    if !refused.iter().any(|(name, _)| name.eq_ignore_ascii_case(word)) {
        fault.hint = nearest(word, names);
    }
    cx.faults.push(fault);
    None
}
