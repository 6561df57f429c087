//! Choosing, counted exactly.

mod algorithms;
mod bounds;
mod composed;
mod passive;
mod reload;
mod slow_start;
mod sticky;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use super::*;
use crate::model::{
    Algorithm, Backend, BackendState, Health, HttpBalancing, Id, Protocol, ServerOptions, Service,
};

/// A service of servers 10.0.0.1, 10.0.0.2, … with these weights.
fn service(algorithm: Algorithm, weights: &[u32]) -> Service {
    let backends = weights.iter().enumerate().map(|(at, &weight)| backend(at, weight)).collect();
    let id = Id::new(Protocol::Http, "s", "file");
    Service { algorithm, backends, ..Service::new(id) }
}

fn with_http(service: Service, http: HttpBalancing) -> Service {
    Service { http: http.into(), ..service }
}

fn backend(at: usize, weight: u32) -> Backend {
    let address = SocketAddr::new([10, 0, 0, 1 + at as u8].into(), 80);
    Backend {
        address,
        server: address.to_string(),
        options: ServerOptions::default(),
        configured_weight: weight,
        weight_override: None,
        drained: false,
        leaving: false,
        expired: false,
        health: Health::default(),
    }
}

fn down() -> Health {
    Health { state: BackendState::Down, ..Health::default() }
}

fn key() -> Key<'static> {
    Key { client: [192, 0, 2, 1].into(), hash: 0, head: None }
}

fn client(n: u32) -> Key<'static> {
    Key { client: std::net::Ipv4Addr::from(n).into(), hash: u64::from(n), head: None }
}

/// Which server a ticket is for, counted from 0.
fn number(ticket: &Ticket) -> usize {
    match ticket.server().address.ip() {
        std::net::IpAddr::V4(ip) => usize::from(ip.octets()[3]) - 1,
        std::net::IpAddr::V6(_) => unreachable!("all are IPv4"),
    }
}

fn pick(group: &Group) -> usize {
    number(&group.pick(&key(), &[]).expect("a server"))
}

/// How often each of some servers is picked, one request after the other.
fn counts(group: &Group, servers: usize, picks: usize) -> Vec<usize> {
    let mut counts = vec![0; servers];
    for _ in 0..picks {
        counts[pick(group)] += 1;
    }
    counts
}

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// `n` requests at each server that stay, as many as its number in `each` says.
fn busy(group: &Group, each: &[u32]) -> Vec<Ticket> {
    let mut tickets = Vec::new();
    for (server, &n) in group.servers().iter().zip(each) {
        for _ in 0..n {
            assert!(server.enter());
            tickets.push(Ticket::of(server));
        }
    }
    tickets
}
