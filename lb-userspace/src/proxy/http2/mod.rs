//! HTTP/2, by hyper, towards clients and servers: heads and bodies become those of the engine and
//! back, so that routers, filters and balancers know one kind of request.

mod body;
mod client;
mod convert;
mod fair;
mod server;

use std::future::Future;

pub(crate) use client::{Senders, adopt, forward};
pub(crate) use server::serve;

/// Spawns hyper's tasks on the worker's own thread.
#[derive(Clone, Copy, Debug)]
struct Local;

impl<F> hyper::rt::Executor<F> for Local
where
    F: Future<Output: 'static> + 'static,
{
    fn execute(&self, future: F) {
        // Nobody waits for it.
        drop(tokio::task::spawn_local(future));
    }
}
