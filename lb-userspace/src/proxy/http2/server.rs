//! HTTP/2 towards clients.

use std::{cell::Cell, convert::Infallible, pin::pin, rc::Rc, sync::Arc, time::Instant};

use http::{Request, Response};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::TokioTimer;

use super::{
    Local,
    body::{Arriving, Leaving},
    convert,
    fair::Fair,
};
use crate::proxy::{
    Client, Exchange, Reply, forward,
    io::Stream,
    observe,
    table::{Entry, EntryTable},
    worker::Worker,
};

/// Requests and answers that a client may have under way in a burst of resets before it is cut
/// off (CVE-2023-44487).
const RESETS: usize = 50;

/// Serves a connection until it ends.
pub(crate) async fn serve(
    stream: Stream,
    client: Arc<Client>,
    entry: Arc<Entry>,
    worker: Rc<Worker>,
) {
    let options = Arc::clone(&entry.table.load().options);
    let busy = Rc::new(Cell::new(0usize));
    let service = service_fn(|request| {
        let (client, entry, worker) = (Arc::clone(&client), Arc::clone(&entry), Rc::clone(&worker));
        let exchange = exchange(request, client, entry, worker, Busy::new(&busy));
        // In a box, and made there: hyper and the runtime move what they are given several times.
        let exchange = Box::into_pin(Box::write(Box::new_uninit(), exchange));
        async move { Ok::<_, Infallible>(exchange.await) }
    });
    let mut builder = hyper::server::conn::http2::Builder::new(Local);
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(options.max_streams)
        .max_pending_accept_reset_streams(RESETS)
        .max_local_error_reset_streams(Some(RESETS))
        .max_header_list_size(u32::try_from(options.max_head).unwrap_or(u32::MAX))
        .max_send_buf_size(256 * 1024)
        .initial_stream_window_size(1 << 20)
        .initial_connection_window_size(4 << 20)
        .auto_date_header(false);
    let connection = builder.serve_connection(Fair::new(stream), service);
    let mut connection = pin!(connection);
    let (mut draining, mut idle) =
        (pin!(worker.draining()), pin!(idle(&busy, options.timeouts.idle)));
    let ended = std::future::poll_fn(|cx| {
        if let std::task::Poll::Ready(ended) = connection.as_mut().poll(cx) {
            return std::task::Poll::Ready(Some(ended));
        }
        match draining.as_mut().poll(cx).is_ready() || idle.as_mut().poll(cx).is_ready() {
            true => std::task::Poll::Ready(None),
            false => std::task::Poll::Pending,
        }
    })
    .await;
    let ended = match ended {
        Some(ended) => ended,
        None => {
            // GOAWAY: what runs may end, nothing new begins.
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if ended.is_err() {
        observe::refused(&entry, "http2_error");
    }
}

/// Resolves when no request has been under way for `patience`; never for 0.
async fn idle(busy: &Cell<usize>, patience: std::time::Duration) {
    if patience.is_zero() {
        return std::future::pending().await;
    }
    let mut since = Instant::now();
    loop {
        tokio::time::sleep(patience / 4).await;
        if busy.get() > 0 {
            since = Instant::now();
        } else if since.elapsed() >= patience {
            return;
        }
    }
}

/// Counts an exchange while it is under way.
struct Busy(Rc<Cell<usize>>);

impl Busy {
    fn new(count: &Rc<Cell<usize>>) -> Self {
        count.set(count.get() + 1);
        Self(Rc::clone(count))
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

/// Why a request goes no further, whatever the routers.
fn refusal(exchange: &Exchange, is_sound: bool, table: &EntryTable) -> Option<Reply> {
    let (status, text) = match exchange.request.method() {
        // With an authority, and without a path, for it has none (RFC 9113 §8.5).
        "CONNECT" => (405, "CONNECT is not offered here"),
        _ if !is_sound => (400, "the request is malformed"),
        _ if exchange.request.fields.len() > table.options.max_headers => {
            (431, "the head has too many fields")
        }
        _ => return None,
    };
    Some(Reply::text(status, "bad_request", text))
}

type Answered = Leaving<Box<dyn FnMut(u64, bool)>>;

/// One request and its answer.
fn exchange(
    request: Request<Incoming>,
    client: Arc<Client>,
    entry: Arc<Entry>,
    worker: Rc<Worker>,
    busy: Busy,
) -> impl Future<Output = Response<Answered>> {
    let table = entry.table.load_full();
    let mut head = worker.heads.take();
    let is_sound = convert::request(&request, &mut head).is_some();
    let body = Arriving::request(request.into_body(), &worker, table.options.timeouts.read);
    // In a box, for it goes on to whoever sees the end of the answer.
    let mut exchange = Box::write(Box::new_uninit(), Exchange::new(client, head, body));
    exchange.answer.head = worker.heads.take();
    // hyper's request is done with: what waits for an answer doesn't hold it.
    answered(exchange, is_sound, table, entry, worker, busy)
}

/// Routes a request and has it answered.
async fn answered(
    mut exchange: Box<Exchange>,
    is_sound: bool,
    table: Arc<EntryTable>,
    entry: Arc<Entry>,
    worker: Rc<Worker>,
    busy: Busy,
) -> Response<Answered> {
    let mut route = None;
    let mut reached = 0;
    if let Some(refusal) = refusal(&exchange, is_sound, &table) {
        exchange.answer = refusal.into();
    } else {
        table.prepare(&mut exchange);
        route = table.route(&exchange).cloned();
        observe::spans::begin(&entry, &table, route.as_deref(), &mut exchange);
        match &route {
            Some(route) => {
                let alarm = worker.alarms.alarm();
                reached = forward::run(&worker, route, &mut exchange, &alarm).await;
            }
            None => exchange.answer = Reply::text(404, "no_router", "404 page not found").into(),
        }
    }
    let body = std::mem::take(&mut exchange.answer.body);
    let is_head = exchange.request.is_method("HEAD");
    let mut response = Response::new(());
    *response.status_mut() = convert::status(&exchange.answer.head);
    *response.headers_mut() =
        convert::headers(&exchange.answer.head, is_head || body.length().is_some());
    if !response.headers().contains_key(http::header::DATE) {
        let date = worker.clock.date(|date| date.parse().ok());
        response.headers_mut().extend(date.map(|date| (http::header::DATE, date)));
    }
    let mut finished = Some((exchange, busy));
    let at_end: Box<dyn FnMut(u64, bool)> = Box::new(move |bytes, whole| {
        let Some((mut exchange, _busy)) = finished.take() else { return };
        exchange.bytes_out = bytes;
        exchange.broke = (!whole).then_some("client_gone");
        for filter in route.iter().flat_map(|route| &route.filters[..reached]) {
            filter.done(&exchange);
        }
        observe::finished(&worker, &entry, &table, route.as_deref(), &exchange);
        worker.heads.give_back(exchange.request);
        worker.heads.give_back(exchange.answer.head);
    });
    response.map(|()| Leaving::new(body, at_end))
}
