//! Where backends come from by themselves: lb's own registry and a real Consul.

mod consul;
mod kit;
mod registry;
