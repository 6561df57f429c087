//! The L7 proxy: HTTP/1.1 and HTTP/2, TCP and UDP, on worker threads that share nothing on
//! the way of a request.

pub(crate) mod accept;
pub(crate) mod alarm;
pub(crate) mod ask;
pub mod body;
pub(crate) mod buffers;
pub(crate) mod chunked;
pub(crate) mod clock;
pub(crate) mod cuts;
pub mod exchange;
pub(crate) mod explain;
pub mod fetch;
pub mod filter;
pub(crate) mod forward;
pub(crate) mod framing;
pub mod head;
pub(crate) mod http1;
pub(crate) mod http2;
pub(crate) mod internal;
pub mod io;
pub(crate) mod mirror;
pub(crate) mod observe;
pub mod proxy_protocol;
pub(crate) mod relay;
mod run;
pub(crate) mod splice;
pub(crate) mod table;
pub(crate) mod target;
pub(crate) mod tcp;
pub mod tls;
mod troubles;
pub(crate) mod udp;
pub(crate) mod upstream;
mod view;
pub(crate) mod worker;

pub use body::{Body, BodyError, Frame};
pub use exchange::{Answer, Client, Exchange, Retry, RetryBudget, RetryWhen, TlsSession};
pub use filter::{Filter, Outcome, Reply, Step, Wait};
pub use head::Head;
pub use internal::Internals;
pub use io::Stream;
pub use run::{Listening, Proxy};
pub use tcp::ConnectionCounts;
pub use view::{Traffic, View};
#[cfg(test)]
mod tests;
