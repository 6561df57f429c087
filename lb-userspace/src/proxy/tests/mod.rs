//! The engine over real sockets: a proxy of one worker, clients that say what they like, and
//! origins that answer what they like.

mod explain;
mod http1;
mod kit;
mod middlewares;
mod observe;
mod raw_answers;
mod raw_http2;
mod raw_requests;
mod services;
mod transport;

#[path = "../../../../tests/src/client/http2.rs"]
#[allow(dead_code, unreachable_pub, reason = "the end-to-end tests use the rest of it")]
mod wire;
