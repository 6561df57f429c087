//! The L7 proxy: HTTP/1.1 and HTTP/2, TCP and UDP, on worker threads that share nothing on
//! the way of a request.

pub mod body;
pub mod exchange;
pub mod filter;
pub mod head;
pub mod io;
pub mod proxy_protocol;
pub mod tls;

pub use body::{Body, BodyError, Frame};
pub use exchange::{Answer, Client, Exchange, Retry, RetryBudget, TlsSession};
pub use filter::{Filter, Outcome, Reply, Step, Wait};
pub use head::Head;
pub use io::Stream;
