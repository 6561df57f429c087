//! HTTP/2 towards servers: one connection for each server and worker, requests beside one another.

use std::{cell::RefCell, collections::HashMap, rc::Rc, sync::Arc, time::Instant};

use http::{Request, Uri, Version, uri::PathAndQuery};
use hyper::client::conn::http2::{Builder, SendRequest};
use hyper_util::rt::TokioTimer;

use super::{
    Local,
    body::{Arriving, Leaving},
    convert,
    fair::Fair,
};
use crate::{
    balance::Ticket,
    model::Scheme,
    proxy::{
        Body, Exchange,
        alarm::Alarm,
        io::Stream,
        table::Balanced,
        upstream::{SendError, write},
        worker::Worker,
    },
};

/// A body that nobody has to be told the end of.
type Untold = Leaving<fn(u64, bool)>;
type Sender = SendRequest<Untold>;

/// A worker's connections, by server.
#[derive(Default)]
pub(crate) struct Senders(RefCell<HashMap<u64, Sender>>);

impl Senders {
    /// One that is open.
    pub(crate) fn get(&self, server: u64) -> Option<Sender> {
        let mut all = self.0.borrow_mut();
        let sender = all.get(&server)?;
        if sender.is_closed() {
            all.remove(&server);
            return None;
        }
        Some(sender.clone())
    }
}

/// Speaks HTTP/2 over a new connection, from now on for all of this worker's requests.
///
/// # Errors
/// The server doesn't speak it.
pub(crate) async fn adopt(
    worker: &Rc<Worker>,
    service: &Balanced,
    server: u64,
    stream: Stream,
) -> Result<Sender, SendError> {
    let settings = &service.transport.settings;
    let mut builder = Builder::new(Local);
    builder
        .timer(TokioTimer::new())
        .initial_stream_window_size(1 << 20)
        .initial_connection_window_size(4 << 20);
    if !settings.ping_interval.is_zero() {
        builder
            .keep_alive_interval(settings.ping_interval)
            .keep_alive_timeout(settings.ping_timeout);
    }
    let shaken = builder.handshake(Fair::new(stream)).await;
    let (sender, connection) = shaken.map_err(|_| SendError::Bad("http2_handshake_failed"))?;
    crate::proxy::worker::spawn(async move {
        // Requests hear of its end by themselves.
        let _ended = connection.await;
    });
    worker.senders.0.borrow_mut().insert(server, sender.clone());
    Ok(sender)
}

/// Sends the exchange's request; the answer is in the exchange then.
///
/// # Errors
/// See [`SendError`].
pub(crate) async fn forward(
    mut sender: Sender,
    service: &Arc<Balanced>,
    ticket: Ticket,
    exchange: &mut Exchange,
    alarm: &Alarm,
    patience: std::time::Duration,
) -> Result<(), SendError> {
    let server = ticket.server().clone();
    let request = request(service, &server, exchange)?;
    let begun = Instant::now();
    alarm.set(patience);
    let answered = alarm
        .guard(async {
            sender.ready().await.map_err(|_| SendError::Closed)?;
            sender.send_request(request).await.map_err(|_| SendError::Bad("http2_failed"))
        })
        .await;
    alarm.clear();
    let response = answered.unwrap_or(Err(SendError::Timeout))?;
    let took = begun.elapsed();
    exchange.server_time = Some(took);
    ticket.finished(response.status().as_u16(), took);
    convert::response(&response, &mut exchange.answer.head);
    if let Some(cookie) = ticket.set_cookie() {
        exchange.answer.head.add("Set-Cookie", cookie);
    }
    exchange.answer.body = Arriving::answer(response.into_body(), ticket);
    exchange.answer.reason = None;
    Ok(())
}

fn request(
    service: &Balanced,
    server: &crate::balance::Server,
    exchange: &mut Exchange,
) -> Result<Request<Untold>, SendError> {
    let bad = |_| SendError::Bad("bad_target");
    let options = server.options();
    let is_tls = options.scheme == Scheme::Https;
    let own = write::host_of(server.name(), options.scheme);
    let host = match service.pass_host {
        true => exchange.request.text_of("host").unwrap_or(own),
        false => own,
    };
    let target = format!("{}{}", options.path, exchange.request.target());
    let target: PathAndQuery = target.parse().map_err(|_| SendError::Bad("bad_target"))?;
    let uri = Uri::builder()
        .scheme(if is_tls { "https" } else { "http" })
        .authority(host)
        .path_and_query(target)
        .build()
        .map_err(bad)?;
    let mut fields = convert::headers(&exchange.request, false);
    for name in write::OURS {
        fields.remove(*name);
    }
    write::for_each_forwarded(exchange, |name, value| {
        if let (Ok(name), Ok(value)) =
            (http::HeaderName::from_bytes(name.as_bytes()), http::HeaderValue::from_bytes(value))
        {
            fields.append(name, value);
        }
    });
    let method = exchange.request.method().parse().map_err(|_| SendError::Bad("bad_method"))?;
    let body = match &exchange.body {
        Body::Empty => Body::Empty,
        Body::Full(bytes) => Body::Full(bytes.clone()),
        Body::Stream(_) => {
            exchange.body_was_taken = true;
            std::mem::take(&mut exchange.body)
        }
    };
    let mut request = Request::new(Leaving::new(body, ignore as fn(u64, bool)));
    *request.method_mut() = method;
    *request.uri_mut() = uri;
    *request.version_mut() = Version::HTTP_2;
    *request.headers_mut() = fields;
    Ok(request)
}

fn ignore(_: u64, _: bool) {}
