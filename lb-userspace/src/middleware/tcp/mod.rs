//! TCP middlewares: each a file with its keys, its settings and its gate, and one line in
//! [`tcp_middlewares!`] below.

mod in_flight_conn;
mod ip_allow_list;

use std::{any::Any, net::IpAddr, sync::Arc};

use crate::{
    config::{
        decode::{At, Cx, Decode, Field, Fields},
        tree::Node,
    },
    model::Fault,
};

/// What a TCP middleware is: raw keys, validated settings, and a gate made of these.
pub(crate) trait Kind: Sized {
    /// Its keys.
    type Raw: Decode;

    /// From raw to validated; `None` where a fault was reported.
    fn check(raw: &At<Self::Raw>, faults: &mut Vec<Fault>) -> Option<Self>;

    /// The gate for one router.
    fn gate(&self) -> Arc<dyn Gate>;
}

/// A TCP middleware at work. One is made for each router that names it; shared by all workers.
pub trait Gate: Send + Sync {
    /// Whether a client may connect, before anything is read from it.
    fn admit(&self, client: IpAddr) -> Admission;
}

/// What a gate says.
pub enum Admission {
    /// Come in; what is there is dropped when the connection is over.
    Allow(Option<Box<dyn Any + Send>>),
    /// Stay out, for this reason.
    Refuse(&'static str),
}

/// Declares the TCP middlewares: [`Settings`], how they are read, and their gates.
macro_rules! tcp_middlewares {
    ($($module:ident::$kind:ident = $name:literal $(| $alias:literal)*,)+) => {
        $(pub use $module::$kind;)+

        /// A TCP middleware's settings.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub enum Settings {
            $(#[doc = concat!("`", $name, "`.")] $kind($kind),)+
        }

        /// As a file has it: exactly one kind.
        #[derive(Clone, Debug)]
        pub(crate) enum Raw {
            $($kind(Box<At<<$kind as Kind>::Raw>>),)+
        }

        impl Decode for Raw {
            fn decode(node: &Node, cx: &mut Cx) -> Option<Self> {
                let mut fields = Fields::of(node, cx)?;
                let before = cx.faults.len();
                let mut found = Vec::new();
                let mut faulty = false;
                $(
                    let field: Field<<$kind as Kind>::Raw> = fields.take(&[$name $(, $alias)*], cx);
                    faulty |= field.is_faulty();
                    if let Field::Given(at) = field {
                        found.push(($name, Self::$kind(at)));
                    }
                )+
                fields.finish(super::REFUSED, cx);
                faulty |= cx.faults.len() > before;
                super::only_one(node, found, faulty, "inFlightConn: { amount: 10 }", cx)
            }
        }

        impl Raw {
            /// From raw to validated; `None` where a fault was reported.
            pub(crate) fn check(&self, faults: &mut Vec<Fault>) -> Option<Settings> {
                match self {
                    $(Self::$kind(at) => $kind::check(at, faults).map(Settings::$kind),)+
                }
            }
        }

        impl Settings {
            /// Its kind, as configured: `inFlightConn`.
            pub const fn kind(&self) -> &'static str {
                match self {
                    $(Self::$kind(_) => $name,)+
                }
            }

            /// The gate for one router.
            pub fn gate(&self) -> Arc<dyn Gate> {
                match self {
                    $(Self::$kind(settings) => settings.gate(),)+
                }
            }
        }
    };
}

tcp_middlewares! {
    in_flight_conn::InFlightConn = "inFlightConn",
    ip_allow_list::TcpIpAllowList = "ipAllowList" | "ipWhiteList",
}

#[cfg(test)]
pub(crate) mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::syntax;

    /// Reads one as a file has it; the faults where it is none.
    pub(crate) fn read(yaml: &str) -> Result<Settings, Vec<String>> {
        let node = syntax::parse(Path::new("test.yaml"), yaml.as_bytes()).expect("YAML");
        let mut cx = Cx::new("test.yaml");
        let raw = Raw::decode(&node, &mut cx);
        let mut faults = cx.faults;
        let settings = raw.and_then(|raw| raw.check(&mut faults));
        if !faults.is_empty() {
            return Err(faults.iter().map(|fault| fault.message.clone()).collect());
        }
        Ok(settings.expect("what is refused has a fault"))
    }

    #[test]
    fn a_middleware_is_of_one_kind_that_tcp_has() {
        for (yaml, kind) in [
            ("inflightconn: { amount: '3' }", Ok("inFlightConn")),
            ("ipWhiteList: { sourceRange: [10.0.0.0/8] }", Ok("ipAllowList")),
            ("ipAllowList: { sourceRange: [] }", Err("shut everybody out")),
            ("ipAllowList: {}", Err("\"sourceRange\" is missing")),
            ("inFlightConn: {}", Err("\"amount\" is missing")),
            ("rateLimit: {}", Err("unknown key")),
            ("{}", Err("needs its kind, such as `inFlightConn")),
        ] {
            match (read(yaml), kind) {
                (Ok(settings), Ok(kind)) => assert_eq!(settings.kind(), kind, "{yaml}"),
                (Err(faults), Err(why)) => assert!(faults[0].contains(why), "{yaml}: {faults:?}"),
                (found, _) => panic!("{yaml}: {found:?}"),
            }
        }
    }
}
