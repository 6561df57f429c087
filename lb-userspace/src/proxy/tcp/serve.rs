//! A TCP router's connection, from its middlewares to its end.

use std::{any::Any, rc::Rc, sync::Arc};

use super::{Connection, Place, Refusal, Route, dial};
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
    let (mut server, place, delay) = match reached {
        Ok(reached) => reached,
        Err(refusal) => {
            route.stats.refuse(refusal);
            connection.stream.reset_on_drop();
            return;
        }
    };
    // The place is given back with the connection, whoever still looks at it.
    let place: Rc<dyn Place> = Rc::from(place);
    let looked_at = Rc::downgrade(&place);
    let cut = tools.cuts.watch(move || looked_at.upgrade().is_some_and(|place| place.must_end()));
    let (client, stats) = (&mut connection.stream, &*route.stats);
    match relay(client, &mut server, delay, tools, Some(&cut), stats).await {
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
