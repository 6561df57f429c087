//! Clients. They use the network namespace of the thread that calls them: call
//! them inside [`crate::Namespace::run`].

pub mod http;
pub mod http1;
pub mod http2;
pub mod load;
pub mod tcp;
pub mod udp;

use std::collections::BTreeMap;

/// How many answers came from each server, by name.
pub type Spread = BTreeMap<String, u64>;
