//! Copies of requests for services that mirror others. Nobody waits for their answers.

use std::{
    collections::VecDeque,
    pin::Pin,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::{Bytes, BytesMut};

use super::{Body, BodyError, Exchange, Frame, body::Source, forward, table::Slot, worker::Worker};

/// Sends a copy to each service, of requests whose bodies are no longer than its bound. A request
/// with a body is read up to the longest bound before it goes on itself.
pub(crate) async fn send(
    worker: &Rc<Worker>,
    mirrors: Vec<(Arc<Slot>, Option<u64>)>,
    exchange: &mut Exchange,
) {
    if exchange.wants_upgrade() {
        return;
    }
    let longest = mirrors.iter().map(|(_, most)| most.unwrap_or(u64::MAX)).max().unwrap_or(0);
    let Some(body) = copy(&mut exchange.body, longest).await else { return };
    for (slot, most) in mirrors {
        if most.is_none_or(|most| body.len() as u64 <= most) {
            let full = if body.is_empty() { Body::Empty } else { Body::Full(body.clone()) };
            let copy = Exchange::new(exchange.client.clone(), exchange.request.clone(), full);
            tokio::task::spawn_local(ask(worker.clone(), slot, copy));
        }
    }
}

/// Asks a service and throws its answer away. Boxed, as it may mirror in its turn.
fn ask(
    worker: Rc<Worker>,
    slot: Arc<Slot>,
    mut exchange: Exchange,
) -> Pin<Box<dyn Future<Output = ()>>> {
    Box::pin(async move {
        let alarm = worker.alarms.alarm();
        forward::slot_answer(&worker, &slot, &mut exchange, &alarm).await;
        // Read to its end, so that the connection can be used again.
        while let Some(Ok(_)) = exchange.answer.body.frame().await {}
    })
}

/// What a body holds, which is as before; `None` where it is longer than `most` or breaks off.
async fn copy(body: &mut Body, most: u64) -> Option<Bytes> {
    match body {
        Body::Empty => return Some(Bytes::new()),
        Body::Full(bytes) => return (bytes.len() as u64 <= most).then(|| bytes.clone()),
        Body::Stream(_) if body.length().is_some_and(|length| length > most) => return None,
        Body::Stream(_) => {}
    }
    let mut read = VecDeque::new();
    let mut all = BytesMut::new();
    let end = loop {
        match body.frame().await {
            Some(Ok(Frame::Data(bytes))) => {
                all.extend_from_slice(&bytes);
                read.push_back(Ok(Frame::Data(bytes)));
                if all.len() as u64 > most {
                    break None;
                }
            }
            end => break Some(end),
        }
    };
    let Some(end) = end else {
        *body = Body::Stream(Box::new(Replayed { read, rest: std::mem::take(body) }));
        return None;
    };
    let all = all.freeze();
    let is_whole = !matches!(end, Some(Err(_)));
    *body = match end {
        None if all.is_empty() => Body::Empty,
        None => Body::Full(all.clone()),
        Some(last) => {
            read.push_back(last);
            Body::Stream(Box::new(Replayed { read, rest: Body::Empty }))
        }
    };
    is_whole.then_some(all)
}

/// A body of which some was read ahead.
struct Replayed {
    read: VecDeque<Result<Frame, BodyError>>,
    rest: Body,
}

impl Source for Replayed {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame, BodyError>>> {
        match self.read.pop_front() {
            Some(frame) => Poll::Ready(Some(frame)),
            None => self.rest.poll_frame(cx),
        }
    }

    fn length(&self) -> Option<u64> {
        let length = |frame: &Result<Frame, BodyError>| match frame {
            Ok(Frame::Data(bytes)) => bytes.len() as u64,
            _ => 0,
        };
        Some(self.rest.length()? + self.read.iter().map(length).sum::<u64>())
    }
}
