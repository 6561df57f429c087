//! A TCP router's connection, from its middlewares to its end.

use std::{any::Any, sync::Arc};

use super::{Connection, Refusal, Route, dial};
use crate::{
    middleware::tcp::Admission,
    proxy::relay::{Broken, Tools, relay},
};

/// Serves a connection to its end. What goes wrong is counted.
pub(crate) async fn serve(mut connection: Connection, route: Arc<Route>, tools: Tools<'_>) {
    let _open = route.stats.open();
    let Some(_passes) = admit(&route, &connection) else {
        route.stats.refuse(Refusal::Gate);
        connection.stream.reset_on_drop();
        return;
    };
    let reached = match route.service.now(connection.ends) {
        Some(upstream) => dial::dial(upstream, &connection).await,
        None => Err(Refusal::NoServer),
    };
    let (mut server, _place, delay) = match reached {
        Ok(reached) => reached,
        Err(refusal) => {
            route.stats.refuse(refusal);
            connection.stream.reset_on_drop();
            return;
        }
    };
    match relay(&mut connection.stream, &mut server, delay, tools, &*route.stats).await {
        Ok(()) => {}
        Err(Broken::Client(error)) => {
            tracing::debug!("{}: {} broke off: {error}", route.id, connection.ends.source);
            route.stats.refuse(Refusal::ClientBroke);
        }
        Err(Broken::Server(error)) => {
            tracing::debug!("{}: the server broke off: {error}", route.id);
            route.stats.refuse(Refusal::ServerBroke);
        }
    }
}

/// What has to be held while the connection lives; `None` where a middleware is against it.
fn admit(route: &Route, connection: &Connection) -> Option<Vec<Box<dyn Any + Send>>> {
    let client = connection.ends.source.ip().to_canonical();
    let mut held = Vec::new();
    for (_, gate) in &route.gates {
        match gate.admit(client) {
            Admission::Allow(pass) => held.extend(pass),
            Admission::Refuse(why) => {
                tracing::debug!("{}: {client} is refused: {why}", route.id);
                return None;
            }
        }
    }
    Some(held)
}
