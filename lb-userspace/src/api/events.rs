//! `/api/events`: what happens, as server-sent events (WHATWG HTML, "Server-sent events").

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::{
    body::{Body, Bytes},
    http::{HeaderMap, header},
    response::{IntoResponse, Response},
};
use futures_util::stream;
use serde::Deserialize;
use tokio::time::timeout;

use crate::events::{Event, Hub, Loss, Next, Place, Reader};

/// How long it is silent before a comment says that the connection lives.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// `GET /api/events?…`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EventQuery {
    /// Types, or beginnings of them, with commas in between; all when empty.
    #[serde(rename = "type")]
    pub kind: String,
}

/// The stream of one reader: from now on, or from behind the event that `Last-Event-ID` names.
pub(super) fn stream(hub: &Arc<Hub>, headers: &HeaderMap, query: &EventQuery) -> Response {
    let last = headers.get("last-event-id").and_then(|value| value.to_str().ok());
    let last = last.filter(|id| !id.is_empty());
    let reader = hub.reader(last.map_or(Place::Now, Place::Behind));
    let kinds = query.kind.split(',').map(str::trim).filter(|kind| !kind.is_empty());
    let reading = Reading {
        hub: Arc::clone(hub),
        reader,
        kinds: kinds.map(str::to_owned).collect(),
        greets: true,
        ends: false,
    };
    let body = stream::unfold(reading, |mut reading| async move {
        let piece = reading.next().await?;
        Some((Ok::<_, Infallible>(piece), reading))
    });
    let headers = [
        (header::CONTENT_TYPE, "text/event-stream"),
        (header::CACHE_CONTROL, "no-cache"),
        // nginx and its like would hold events back.
        (header::HeaderName::from_static("x-accel-buffering"), "no"),
    ];
    (headers, Body::from_stream(body)).into_response()
}

struct Reading {
    hub: Arc<Hub>,
    reader: Reader,
    kinds: Vec<String>,
    /// Nothing was sent yet.
    greets: bool,
    ends: bool,
}

impl Reading {
    /// The next piece of the body; `None` at its end.
    async fn next(&mut self) -> Option<Bytes> {
        if self.ends {
            return None;
        }
        if std::mem::take(&mut self.greets) {
            // So that the head is sent at once, and clients come back within a second.
            return Some("retry: 1000\n\n".into());
        }
        loop {
            match timeout(KEEP_ALIVE, self.reader.next()).await {
                Err(_silence) => return Some(": alive\n\n".into()),
                Ok(Next::Event(event)) if self.wants(&event) => return Some(text(&event)),
                Ok(Next::Event(_)) => {}
                Ok(Next::Lost(count)) => {
                    self.hub.lose(Loss::SlowReader, count);
                    self.ends = true;
                    return Some(format!(": too slow, {count} events are lost\n\n").into());
                }
                Ok(Next::End) => return None,
            }
        }
    }

    fn wants(&self, event: &Event) -> bool {
        self.kinds.is_empty() || self.kinds.iter().any(|kind| event.kind.starts_with(kind))
    }
}

fn text(event: &Event) -> Bytes {
    format!("id: {}\nevent: {}\ndata: {}\n\n", event.id, event.kind, event.json).into()
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;
    use crate::events::What;

    fn hub() -> Arc<Hub> {
        let hub = Arc::new(Hub::new("n"));
        hub.follow("n", Some(4));
        hub
    }

    fn tell(hub: &Hub, count: u64) {
        for generation in 0..count {
            hub.tell(&What::DaemonStarted { version: "0", generation });
        }
    }

    /// The whole of a stream of which the hub is closed after `then`.
    fn read(hub: &Arc<Hub>, last: Option<&str>, kind: &str, then: impl FnOnce(&Hub)) -> String {
        let mut headers = HeaderMap::new();
        if let Some(last) = last {
            headers.insert("last-event-id", last.parse().unwrap());
        }
        let response = stream(hub, &headers, &EventQuery { kind: kind.to_owned() });
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        then(hub);
        hub.close();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let body = runtime.block_on(response.into_body().collect()).unwrap().to_bytes();
        String::from_utf8(body.to_vec()).unwrap()
    }

    #[test]
    fn event_has_id_type_and_data_in_one_line_each() {
        let text = read(&hub(), None, "", |hub| tell(hub, 1));
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines[..2], ["retry: 1000", ""]);
        assert!(lines[2].starts_with("id: ") && lines[2].ends_with("-1"), "{text}");
        assert_eq!(lines[3], "event: lb.daemon.started");
        assert!(lines[4].starts_with("data: {") && lines[4].ends_with('}'), "{text}");
        assert!(text.ends_with("}\n\n"), "{text}");
    }

    #[test]
    fn reader_goes_on_where_it_was() {
        let hub = hub();
        tell(&hub, 3);
        let all = read(&hub, Some("0"), "", |_| {});
        let id = all.lines().find_map(|line| line.strip_prefix("id: ")).unwrap().to_owned();
        assert_eq!(all.matches("event: ").count(), 3);
        assert_eq!(read(&hub, Some(&id), "", |_| {}).matches("event: ").count(), 2);
    }

    #[test]
    fn reader_chooses_types() {
        let text = read(&hub(), None, "lb.health,lb.daemon.stop", |hub| {
            tell(hub, 1);
            hub.tell(&What::DaemonStopping { reason: "x".into() });
        });
        assert_eq!(text.matches("event: ").count(), 1);
        assert!(text.contains("event: lb.daemon.stopping\n"));
    }

    #[test]
    fn slow_reader_is_sent_away_and_counted() {
        let hub = hub();
        let text = read(&hub, None, "", |hub| tell(hub, 10));
        assert_eq!(text, "retry: 1000\n\n: too slow, 6 events are lost\n\n");
        assert_eq!(hub.counts().lost["slow_reader"], 6);
    }
}
