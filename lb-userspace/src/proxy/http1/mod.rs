//! HTTP/1.1 towards clients: an engine of its own (RFC 9112). Requests are taken apart and made
//! anew for the server, answers for the client; nothing is relayed as it came but bodies.

mod answer;
mod body;
mod conn;
mod io;
mod relay;
mod tunnel;

pub(crate) use conn::serve;
pub(crate) use io::poll_read_into;
