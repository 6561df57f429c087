//! Providers with their real engines: backends and routes that come and go by themselves.

mod compose;
mod docker;
mod http;
mod kit;
