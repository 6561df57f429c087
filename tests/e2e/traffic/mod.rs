//! Real traffic through the real daemon: clients, `lb run` and servers in
//! network namespaces.

mod algorithms;
mod backends;
mod config;
mod drain;
mod kit;
mod lifetime;
mod shapes;
