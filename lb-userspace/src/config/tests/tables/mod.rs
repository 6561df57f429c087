//! What values come to: durations, addresses, weights, choices, in every format and case.

/// One named test for each row.
macro_rules! rows {
    ($($name:ident: $left:expr => $right:expr;)*) => {
        $( #[test] fn $name() { assert_eq!($left, $right); } )*
    };
}

mod checks;
mod consul;
mod datapath;
mod discovery;
mod durations;
mod entry_points;
mod formats;
mod host_ports;
mod http;
mod instance;
mod proxy;
mod routers;
mod servers;
mod services;
mod suggestions;
#[cfg(feature = "otel")]
mod tracing;
mod warnings;

use std::{net::IpAddr, time::Duration};

use super::load;
use crate::{
    config::{Loaded, duration},
    model::{
        Algorithm, CheckKind, HealthCheck, InterfaceChoice, LogLevel, Mode, OnDown, OnEmpty,
        PathChoice, Pem, Protocol, ReturnPath, Server, Service,
    },
};

fn sound(text: &str) -> Loaded {
    match load("lb.yaml", text) {
        Ok(loaded) => loaded,
        Err(faults) => panic!("{faults:#?}"),
    }
}

/// A service from what stands in its `loadBalancer`.
fn service_of(protocol: &str, inner: &str) -> Service {
    let text = format!("{protocol}: {{ services: {{ s: {{ loadBalancer: {{ {inner} }} }} }} }}");
    Service::clone(&sound(&text).dynamic.services[0])
}

fn service(inner: &str) -> Service {
    service_of("tcp", inner)
}

fn check(inner: &str) -> HealthCheck {
    service(&format!("healthCheck: {{ {inner} }}")).health_check.expect("a check")
}

fn server(inner: &str) -> Server {
    service(&format!("servers: [ {{ {inner} }} ]")).servers.remove(0)
}

const fn ms(n: u64) -> Option<Duration> {
    Some(Duration::from_millis(n))
}
