//! The engine over real sockets: a proxy of one worker, clients that say what they like, and
//! origins that answer what they like.

mod explain;
mod http1;
mod kit;
mod middlewares;
mod observe;
mod raw_answers;
mod raw_requests;
mod services;
mod transport;
