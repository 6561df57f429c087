//! `buffering`: bodies are whole, and not too long, before they go on.

mod spool;
mod wish;

use std::sync::Arc;

use spool::{Failure, spool};
use wish::Wish;

use super::{
    Kind, Surroundings,
    expression::Expression,
    reasons,
    retry::{BUDGET, Budget},
};
use crate::{
    config::{
        decode::{At, Field, object},
        values::Whole,
    },
    model::Fault,
    proxy::{Exchange, Filter, Outcome, Reply, Retry, Step},
};

/// A number of bytes.
type Size = Whole<0, { i64::MAX }>;

object! {
    /// Its keys.
    pub(crate) struct Raw {
        max_request: Size = "maxRequestBodyBytes",
        mem_request: Size = "memRequestBodyBytes",
        max_response: Size = "maxResponseBodyBytes",
        mem_response: Size = "memResponseBodyBytes",
        retry: String = "retryExpression",
        stream_request: bool = "disableRequestBuffer",
        stream_response: bool = "disableResponseBuffer",
    }
}

/// Its settings.
#[derive(Clone, Debug, PartialEq)]
pub struct Buffering {
    request: Bounds,
    response: Bounds,
    retry: Option<Expression<Wish>>,
}

/// Of one direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Bounds {
    /// Longer bodies are refused; `None` for no bound.
    most: Option<u64>,
    /// What is longer is kept on disk.
    in_memory: usize,
    /// Whether bodies pass as they come.
    stream: bool,
}

const IN_MEMORY: usize = 1 << 20;
/// As many as Traefik makes, whatever the expression says.
const ATTEMPTS: u32 = 10;

impl Bounds {
    fn new(most: &Field<Size>, memory: &Field<Size>, stream: &Field<bool>) -> Self {
        let whole = |field: &Field<Size>| field.get().and_then(|n| u64::try_from(n.0).ok());
        let in_memory = whole(memory).and_then(|bytes| usize::try_from(bytes).ok());
        Self {
            most: whole(most).filter(|bytes| *bytes > 0),
            in_memory: in_memory.unwrap_or(IN_MEMORY),
            stream: stream.or_default(),
        }
    }

    fn excludes(&self, length: Option<u64>) -> bool {
        self.most.is_some_and(|most| length.is_some_and(|length| length > most))
    }
}

impl Kind for Buffering {
    type Raw = Raw;

    fn check(raw: &At<Raw>, faults: &mut Vec<Fault>) -> Option<Self> {
        let raw = &raw.value;
        let expression = raw.retry.at().filter(|at| !at.value.is_empty());
        let retry = expression
            .map(|at| Expression::parse(&at.value).map_err(|why| faults.push(at.spot.fault(why))));
        Some(Self {
            request: Bounds::new(&raw.max_request, &raw.mem_request, &raw.stream_request),
            response: Bounds::new(&raw.max_response, &raw.mem_response, &raw.stream_response),
            retry: retry.transpose().ok()?,
        })
    }

    fn filter(&self, _: &Surroundings<'_>) -> Result<Arc<dyn Filter>, String> {
        let retry = self.retry.clone().map(|when| Retry {
            attempts: ATTEMPTS,
            initial_interval: std::time::Duration::ZERO,
            timeout: None,
            max_body: None,
            when: Arc::new(when),
            any_method: true,
            budget: Arc::new(Budget::new(BUDGET.0, BUDGET.1)),
        });
        Ok(Arc::new(Buffer { request: self.request, response: self.response, retry }))
    }
}

struct Buffer {
    request: Bounds,
    response: Bounds,
    retry: Option<Retry>,
}

impl Filter for Buffer {
    fn request<'a>(&'a self, exchange: &'a mut Exchange) -> Step<'a> {
        if self.retry.is_some() {
            exchange.retry.clone_from(&self.retry);
        }
        let length = exchange.body.length();
        if self.request.excludes(length) {
            return Step::Reply(too_large());
        }
        if self.request.stream || length == Some(0) {
            return Step::Next;
        }
        Step::Wait(Box::pin(async move {
            match spool(&mut exchange.body, self.request).await {
                Ok(body) => {
                    exchange.body = body;
                    Outcome::Next
                }
                Err(Failure::TooLarge) => Outcome::Reply(too_large()),
                Err(Failure::BrokeOff) => {
                    let text = "Bad Request: the body broke off";
                    Outcome::Reply(Reply::text(400, reasons::BODY_BROKE_OFF, text))
                }
                Err(Failure::Disk(error)) => Outcome::Reply(disk(&error)),
            }
        }))
    }

    fn response<'a>(&'a self, exchange: &'a mut Exchange) -> Step<'a> {
        let length = exchange.answer.body.length();
        if self.response.stream || length == Some(0) || exchange.answer.head.status() == 101 {
            return Step::Next;
        }
        if self.response.excludes(length) {
            return Step::Reply(too_large_answer());
        }
        Step::Wait(Box::pin(async move {
            match spool(&mut exchange.answer.body, self.response).await {
                Ok(body) => {
                    exchange.answer.body = body;
                    Outcome::Next
                }
                Err(Failure::TooLarge) => Outcome::Reply(too_large_answer()),
                Err(Failure::BrokeOff) => {
                    let text = "Bad Gateway: the answer broke off";
                    Outcome::Reply(Reply::text(502, reasons::BUFFERING_FAILED, text))
                }
                Err(Failure::Disk(error)) => Outcome::Reply(disk(&error)),
            }
        }))
    }
}

fn too_large() -> Reply {
    Reply::text(413, reasons::REQUEST_TOO_LARGE, "Request Entity Too Large")
}

fn too_large_answer() -> Reply {
    Reply::text(500, reasons::RESPONSE_TOO_LARGE, "Internal Server Error: the answer is too long")
}

fn disk(error: &std::io::Error) -> Reply {
    tracing::warn!("a body can't be kept on disk: {error}");
    Reply::text(500, reasons::BUFFERING_FAILED, "Internal Server Error")
}

#[cfg(test)]
mod tests {
    use super::super::{
        streams::tests::parts,
        testing::{block_on, fault, filter, request, response, told},
    };
    use crate::proxy::{Body, BodyError, Exchange, Frame, Head, body::Source};

    fn four_kilobytes() -> Body {
        parts([Some(&[7; 1000]), None, Some(&[8; 1000]), Some(&[9; 1000]), None, Some(&[7; 1000])])
    }

    struct Broken;

    impl Source for Broken {
        fn poll_frame(
            &mut self,
            _: &mut std::task::Context<'_>,
        ) -> std::task::Poll<Option<Result<Frame, BodyError>>> {
            std::task::Poll::Ready(Some(Err(BodyError::Truncated)))
        }
    }

    fn broken() -> Body {
        Body::Stream(Box::new(Broken))
    }

    #[test]
    fn requests_are_whole_and_not_too_long() {
        for (keys, body, refused) in [
            ("", four_kilobytes(), None),
            ("memRequestBodyBytes: 1500", four_kilobytes(), None),
            ("memRequestBodyBytes: 0", four_kilobytes(), None),
            ("maxRequestBodyBytes: 4000", four_kilobytes(), None),
            ("maxRequestBodyBytes: 3999", four_kilobytes(), Some((413, "request_too_large"))),
            ("maxRequestBodyBytes: 3", Body::Full("four".into()), Some((413, "request_too_large"))),
            (
                "maxRequestBodyBytes: 3, disableRequestBuffer: true",
                Body::Full("four".into()),
                Some((413, "request_too_large")),
            ),
            ("", broken(), Some((400, "body_broke_off"))),
        ] {
            let filter = filter(&format!("buffering: {{ {keys} }}"));
            let mut exchange = Exchange::made_up("POST /");
            exchange.body = body;
            let reply = request(&*filter, &mut exchange);
            assert_eq!(told(reply.as_ref()), refused, "{keys}");
            if refused.is_none() {
                assert_eq!(exchange.body.length(), Some(4000), "{keys}");
                let (bytes, _) = block_on(exchange.body.collect(10_000)).unwrap();
                assert!(bytes[..1000] == [7; 1000] && bytes[2000..3000] == [9; 1000], "{keys}");
            }
        }
    }

    #[test]
    fn answers_are_whole_and_not_too_long() {
        for (keys, body, refused) in [
            ("memResponseBodyBytes: 1500", four_kilobytes(), None),
            ("maxResponseBodyBytes: 3999", four_kilobytes(), Some((500, "response_too_large"))),
            (
                "maxResponseBodyBytes: 3",
                Body::Full("four".into()),
                Some((500, "response_too_large")),
            ),
            ("", broken(), Some((502, "buffering_failed"))),
        ] {
            let filter = filter(&format!("buffering: {{ {keys} }}"));
            let mut exchange = Exchange::made_up("GET /");
            exchange.answer.head = Head::response(200);
            exchange.answer.body = body;
            let reply = response(&*filter, &mut exchange);
            assert_eq!(told(reply.as_ref()), refused, "{keys}");
            if refused.is_none() {
                assert_eq!(exchange.answer.body.length(), Some(4000), "{keys}");
                let (bytes, _) = block_on(exchange.answer.body.collect(10_000)).unwrap();
                assert_eq!(bytes.len(), 4000);
            }
        }
    }

    #[test]
    fn bodies_may_pass_as_they_come() {
        let keys =
            "disableRequestBuffer: true, disableResponseBuffer: true, maxResponseBodyBytes: 1";
        let filter = filter(&format!("buffering: {{ {keys} }}"));
        let mut exchange = Exchange::made_up("POST /");
        exchange.body = four_kilobytes();
        exchange.answer.body = four_kilobytes();
        assert!(request(&*filter, &mut exchange).is_none());
        assert!(response(&*filter, &mut exchange).is_none());
        assert_eq!((exchange.body.length(), exchange.answer.body.length()), (None, None));
    }

    #[test]
    fn requests_are_tried_again_as_the_expression_says() {
        for (expression, attempts, status, again) in [
            ("IsNetworkError() && Attempts() < 2", 1, None, true),
            ("IsNetworkError() && Attempts() < 2", 2, None, false),
            ("IsNetworkError() && Attempts() < 2", 1, Some(500), false),
            ("IsNetworkError()", 1, Some(502), true),
            ("ResponseCode() == 500 || ResponseCode() == 503", 1, Some(503), true),
            ("ResponseCode() == 500", 1, Some(501), false),
            ("ResponseCode() >= 500 && Attempts() <= 2", 2, Some(501), true),
        ] {
            let filter = filter(&format!("buffering: {{ retryExpression: '{expression}' }}"));
            let mut exchange = Exchange::made_up("GET /");
            assert!(request(&*filter, &mut exchange).is_none());
            let retry = exchange.retry.expect("retries");
            assert_eq!(retry.when.wants(attempts, status), again, "{expression} {status:?}");
        }
        let told = fault("buffering: { retryExpression: 'Attempt() < 2' }");
        assert!(told.contains("did you mean \"Attempts\"?"), "{told}");
    }
}
