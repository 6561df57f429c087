//! Choosing servers in the proxy.

use std::{
    net::{IpAddr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use crate::model::{self, ServerOptions};

static IDS: AtomicU64 = AtomicU64::new(1);

#[derive(Debug)]
pub struct Server {
    id: u64,
    address: SocketAddr,
    name: String,
    options: ServerOptions,
}

impl Server {
    pub fn id(&self) -> u64 {
        self.id
    }
    pub fn address(&self) -> SocketAddr {
        self.address
    }
    pub fn name(&self) -> &str {
        &self.name
    }
    pub fn options(&self) -> &ServerOptions {
        &self.options
    }
}

#[derive(Clone, Copy, Debug)]
pub struct Key {
    pub client: IpAddr,
    pub hash: u64,
}

#[derive(Clone, Copy, Debug)]
pub enum NoServer {
    None,
    Full,
    Timeout,
}

#[derive(Debug)]
pub struct Ticket(Arc<Server>);

impl Ticket {
    pub fn server(&self) -> &Arc<Server> {
        &self.0
    }
    pub fn finished(&self, _status: u16, _took: Duration) {}
    pub fn failed(&self) {}
}

#[derive(Debug, Default)]
pub struct Group {
    servers: Vec<Arc<Server>>,
    next: AtomicUsize,
}

impl Group {
    pub fn new(service: &model::Service, old: Option<&Self>) -> Self {
        let up = service.backends.iter().filter(|b| b.takes_new());
        let servers = up.map(|b| {
            let kept = old.and_then(|old| {
                old.servers.iter().find(|s| s.address == b.address && s.options == b.options)
            });
            kept.cloned().unwrap_or_else(|| {
                Arc::new(Server {
                    id: IDS.fetch_add(1, Ordering::Relaxed),
                    address: b.address,
                    name: b.server.clone(),
                    options: b.options.clone(),
                })
            })
        });
        Self { servers: servers.collect(), next: AtomicUsize::new(0) }
    }
    pub fn len(&self) -> usize {
        self.servers.len()
    }
    pub fn pick(&self, _key: Key, avoid: &[u64]) -> Result<Ticket, NoServer> {
        let n = self.servers.len();
        for _ in 0..n {
            let at = self.next.fetch_add(1, Ordering::Relaxed) % n;
            if !avoid.contains(&self.servers[at].id) {
                return Ok(Ticket(Arc::clone(&self.servers[at])));
            }
        }
        Err(NoServer::None)
    }
}
