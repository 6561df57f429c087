use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;

use super::super::{
    streams::tests::parts,
    testing::{block_on, filter, request, response, told},
};
use crate::proxy::{Body, BodyError, Exchange, Frame, Head, body::Source};

const YAML: &str = "grpcWeb: { allowOrigins: ['https://a.example', '*'] }";

/// A gRPC answer: a message, then trailers.
struct Message(Vec<Frame>);

impl Source for Message {
    fn poll_frame(
        &mut self,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<Frame, BodyError>>> {
        std::task::Poll::Ready((!self.0.is_empty()).then(|| Ok(self.0.remove(0))))
    }
}

fn answer(exchange: &mut Exchange) {
    let mut trailers = Head::default();
    trailers.add("Grpc-Status", "0");
    trailers.add("grpc-message", "ok");
    let data = Frame::Data(Bytes::from_static(b"\0\0\0\0\x02hi"));
    exchange.answer.body = Body::Stream(Box::new(Message(vec![data, Frame::Trailers(trailers)])));
    exchange.answer.head = Head::response(200);
    exchange.answer.head.add("Content-Type", "application/grpc+proto");
}

const LINES: &[u8] = b"\x80\0\0\0\x22grpc-status: 0\r\ngrpc-message: ok\r\n";

#[test]
fn requests_and_answers_are_translated() {
    let text = STANDARD.encode(b"\0\0\0\0\x03abc");
    for (kind, sent, back, is_text) in [
        ("application/grpc-web+proto", "\0\0\0\0\x03abc", "application/grpc-web+proto", false),
        ("application/grpc-web-text+proto", &*text, "application/grpc-web-text+proto", true),
        ("Application/Grpc-Web", "\0\0\0\0\x03abc", "application/grpc-web+proto", false),
    ] {
        let filter = filter(YAML);
        let mut exchange = Exchange::made_up(&format!(
            "POST /s/M\nContent-Type: {kind}\nOrigin: https://a.example"
        ));
        exchange.body = Body::Full(sent.to_owned().into());
        assert!(request(&*filter, &mut exchange).is_none());
        let grpc = exchange.request.text_of("Content-Type").unwrap();
        assert!(matches!(grpc, "application/grpc+proto" | "application/grpc"), "{grpc}");
        assert_eq!(exchange.request.text_of("TE"), Some("trailers"));
        let (bytes, _) = block_on(exchange.body.collect(100)).unwrap();
        assert_eq!(&bytes[..], b"\0\0\0\0\x03abc", "{kind}");

        answer(&mut exchange);
        assert!(response(&*filter, &mut exchange).is_none());
        let head = &exchange.answer.head;
        assert_eq!(head.text_of("Content-Type"), Some(back));
        assert_eq!(head.text_of("Access-Control-Allow-Origin"), Some("https://a.example"));
        assert_eq!(head.text_of("Access-Control-Allow-Credentials"), Some("true"));
        assert!(head.lists("Access-Control-Expose-Headers", "grpc-status"));
        let mut parts = Vec::new();
        while let Some(frame) = block_on(exchange.answer.body.frame()) {
            match frame.unwrap() {
                Frame::Data(bytes) if is_text => parts.push(STANDARD.decode(&bytes).unwrap()),
                Frame::Data(bytes) => parts.push(bytes.to_vec()),
                Frame::Trailers(_) => panic!("browsers have no trailers"),
            }
        }
        assert_eq!(parts, [b"\0\0\0\0\x02hi".to_vec(), LINES.to_vec()], "{kind}");
    }
}

#[test]
fn base64_may_come_in_any_pieces() {
    for (pieces, expected) in [
        (parts([Some(b"YQ=="), Some(b"Yg==")]), Ok("ab")),
        (parts([Some(b"YQ==Yg==YWJj")]), Ok("ababc")),
        (parts([Some(b"Y"), None, Some(b"WJ"), Some(b"jYW"), Some(b"Jj\n")]), Ok("abcabc")),
        (parts([Some(b"YWJjY")]), Err("its base64 is cut off")),
        (parts([Some(b"Y!==")]), Err("it is no base64")),
        (parts([]), Ok("")),
    ] {
        let mut exchange = Exchange::made_up("POST /\nContent-Type: application/grpc-web-text");
        exchange.body = pieces;
        assert!(request(&*filter("grpcWeb: {}"), &mut exchange).is_none());
        let found = block_on(exchange.body.collect(100)).map(|(bytes, _)| bytes);
        let expected = expected.map(Bytes::from).map_err(BodyError::Malformed);
        assert_eq!(found, expected);
    }
}

#[test]
fn everything_else_is_left_alone() {
    for lines in [
        "POST /\nContent-Type: application/grpc+proto",
        "POST /\nContent-Type: application/grpc-websocket",
        "GET /\nContent-Type: application/grpc-web",
        "POST /",
    ] {
        let filter = filter("grpcWeb: {}");
        let mut exchange = Exchange::made_up(lines);
        let before = format!("{:?}", exchange.request);
        assert!(request(&*filter, &mut exchange).is_none());
        assert_eq!(format!("{:?}", exchange.request), before);
        answer(&mut exchange);
        assert!(response(&*filter, &mut exchange).is_none());
        let kind = exchange.answer.head.text_of("Content-Type");
        assert_eq!(kind, Some("application/grpc+proto"));
    }
}

#[test]
fn preflights_are_answered_for_origins_that_may_ask() {
    let ask = |yaml: &str, origin: &str, headers: &str| {
        let lines = format!(
            "OPTIONS /s/M\nOrigin: {origin}\nAccess-Control-Request-Method: POST\n\
             Access-Control-Request-Headers: {headers}"
        );
        request(&*filter(yaml), &mut Exchange::made_up(&lines))
    };
    let headers = "content-type,X-Grpc-Web";
    let reply = ask(YAML, "https://a.example", headers).expect("an answer");
    assert_eq!(told(Some(&reply)), Some((200, "cors_preflight")));
    assert_eq!(reply.head.text_of("Access-Control-Allow-Headers"), Some(headers));
    assert_eq!(reply.head.text_of("Access-Control-Allow-Credentials"), Some("true"));
    let any = ask(YAML, "https://b.example", headers).expect("an answer");
    assert_eq!(any.head.text_of("Access-Control-Allow-Origin"), Some("https://b.example"));
    assert!(!any.head.has("Access-Control-Allow-Credentials"), "not to just anybody");
    let named = "grpcWeb: { allowOrigins: ['https://a.example'] }";
    assert!(ask(named, "https://b.example", headers).is_none());
    assert!(ask(YAML, "https://a.example", "content-type").is_none());
}
