//! Real traffic through the real daemon: clients, `lb run` and servers in
//! network namespaces.

mod algorithms;
mod backends;
mod bulk;
mod config;
mod drain;
mod flood;
mod host;
mod kit;
mod lifetime;
mod network;
mod ports;
mod shapes;
