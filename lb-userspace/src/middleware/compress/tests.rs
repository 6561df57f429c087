use std::io::Read;

use bytes::Bytes;

use super::super::{
    streams::tests::parts,
    testing::{block_on, fault, filter, read, response},
};
use crate::proxy::{Body, BodyError, Exchange, Frame, Head, body::Source};

const TEXT: &str = "all work and no play makes a dull day. ";

fn text() -> String {
    TEXT.repeat(100)
}

/// An answer on its way out, of `name: value` lines and a body.
fn answer(yaml: &str, request: &str, head: &str, body: Body) -> Exchange {
    let mut exchange = Exchange::made_up(request);
    exchange.answer.head = Head::response(200);
    for (name, value) in head.lines().filter_map(|line| line.split_once(": ")) {
        exchange.answer.head.add(name, value);
    }
    exchange.answer.body = body;
    assert!(response(&*filter(yaml), &mut exchange).is_none());
    exchange
}

fn plain(encoding: &str, bytes: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    let read = match encoding {
        "gzip" => flate2::read::MultiGzDecoder::new(bytes).read_to_end(&mut plain),
        "br" => brotli::Decompressor::new(bytes, 4096).read_to_end(&mut plain),
        "zstd" => zstd::stream::read::Decoder::new(bytes).unwrap().read_to_end(&mut plain),
        _ => panic!("{encoding}"),
    };
    read.unwrap_or_else(|error| panic!("{encoding}: {error}"));
    plain
}

const HTML: &str = "Content-Type: text/html\nETag: \"x\"\nAccept-Ranges: bytes\nVary: Origin";

#[test]
fn bodies_come_back_whole() {
    let stream = || {
        let part = Some(TEXT.as_bytes());
        parts([part, part, None, part, None, None, part])
    };
    for encoding in ["gzip", "br", "zstd"] {
        for (body, expected) in [
            (Body::Full(text().into()), text()),
            (stream(), TEXT.repeat(4)),
            (parts([]), String::new()),
        ] {
            let request = format!("GET /\nAccept-Encoding: {encoding}");
            let mut exchange = answer("compress: {}", &request, HTML, body);
            let head = &exchange.answer.head;
            assert_eq!(head.text_of("Content-Encoding"), Some(encoding));
            assert!(head.lists("Vary", "Accept-Encoding") && head.lists("Vary", "Origin"));
            assert_eq!(head.text_of("ETag"), Some("W/\"x\""));
            assert!(!head.has("Accept-Ranges") && !head.has("Content-Length"));
            let (bytes, _) = block_on(exchange.answer.body.collect(1 << 20)).unwrap();
            assert_eq!(plain(encoding, &bytes), expected.as_bytes(), "{encoding}");
        }
    }
}

#[test]
fn what_was_sent_never_waits_for_more() {
    for encoding in ["gzip", "br", "zstd"] {
        let request = format!("GET /\nAccept-Encoding: {encoding}");
        let body = parts([Some(b"data: 1\n\n"), None, Some(b"data: 2\n\n"), None]);
        let head = "Content-Type: text/event-stream";
        let mut exchange = answer("compress: true", &request, head, body);
        let mut so_far = Vec::new();
        for expected in ["data: 1\n\n", "data: 1\n\ndata: 2\n\n"] {
            match block_on(exchange.answer.body.frame()) {
                Some(Ok(Frame::Data(bytes))) => so_far.extend_from_slice(&bytes),
                other => panic!("{encoding}: {other:?}"),
            }
            let mut seen = Vec::new();
            let mut decoder: Box<dyn Read> = match encoding {
                "gzip" => Box::new(flate2::read::GzDecoder::new(&so_far[..])),
                "br" => Box::new(brotli::Decompressor::new(&so_far[..], 4096)),
                _ => Box::new(zstd::stream::read::Decoder::new(&so_far[..]).unwrap()),
            };
            // The stream isn't over, so that reading ends in an error once all is there.
            let _ = decoder.read_to_end(&mut seen);
            assert_eq!(String::from_utf8_lossy(&seen), expected, "{encoding}");
        }
    }
}

#[test]
fn only_what_gains_is_compressed() {
    let gzip = "GET /\nAccept-Encoding: gzip";
    let html = "Content-Type: text/html; charset=utf-8";
    let excluded = "compress: { excludedContentTypes: ['Text/HTML; x=y'] }";
    let included = "compress: { includedContentTypes: [application/json, text/plain] }";
    let long = |n: usize| Body::Full(Bytes::from("x".repeat(n)));
    for (yaml, request, head, body, compressed, varies) in [
        ("compress: {}", gzip, html, long(1024), true, true),
        ("compress: {}", gzip, html, long(1023), false, false),
        ("compress: { minResponseBodyBytes: 10 }", gzip, html, long(10), true, true),
        ("compress: { minResponseBodyBytes: 0 }", gzip, html, long(0), false, false),
        ("compress: {}", gzip, html, parts([Some(b"short")]), true, true),
        ("compress: {}", "GET /", html, long(2000), false, true),
        ("compress: { defaultEncoding: gzip }", "GET /", html, long(2000), true, true),
        ("compress: { encodings: [br] }", gzip, html, long(2000), false, true),
        ("compress: {}", "HEAD /\nAccept-Encoding: gzip", html, Body::Empty, false, false),
        ("compress: {}", gzip, "Content-Encoding: br", long(2000), false, false),
        ("compress: {}", gzip, "Content-Range: bytes 0-1/2", long(2000), false, false),
        ("compress: {}", gzip, "Cache-Control: private, no-transform", long(2000), false, false),
        ("compress: {}", gzip, "Content-Type: application/grpc+proto", long(2000), false, false),
        (excluded, gzip, html, long(2000), false, false),
        (excluded, gzip, "Content-Type: text/plain", long(2000), true, true),
        (included, gzip, html, long(2000), false, false),
        (included, gzip, "Content-Type: application/json", long(2000), true, true),
        (included, gzip, "", long(2000), true, true),
    ] {
        let exchange = answer(yaml, request, head, body);
        let found = exchange.answer.head.has("Content-Encoding") && !head.contains("Encoding");
        assert_eq!(found, compressed, "{yaml} {request} {head}");
        assert_eq!(exchange.answer.head.has("Vary"), varies, "{yaml} {request} {head}");
    }
    for status in [204, 206, 304] {
        let mut exchange = Exchange::made_up(gzip);
        exchange.answer.head = Head::response(status);
        exchange.answer.head.add("Content-Type", "text/html");
        exchange.answer.body = long(2000);
        assert!(response(&*filter("compress: {}"), &mut exchange).is_none());
        assert!(!exchange.answer.head.has("Content-Encoding"), "{status}");
    }
}

/// Breaks off, or ends with trailers.
struct Ending(Vec<Result<Frame, BodyError>>);

impl Source for Ending {
    fn poll_frame(
        &mut self,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<Frame, BodyError>>> {
        std::task::Poll::Ready((!self.0.is_empty()).then(|| self.0.remove(0)))
    }
}

#[test]
fn ends_are_passed_on() {
    let data = || Ok(Frame::Data(Bytes::from_static(b"data")));
    let mut trailers = Head::default();
    trailers.add("X-Sum", "1");
    let compress = |end| {
        let body = Body::Stream(Box::new(Ending(vec![data(), end])));
        let mut exchange = answer("compress: {}", "GET /\nAccept-Encoding: gzip", HTML, body);
        block_on(exchange.answer.body.collect(1 << 20))
    };
    let (bytes, found) = compress(Ok(Frame::Trailers(trailers))).unwrap();
    assert_eq!(plain("gzip", &bytes), b"data");
    assert_eq!(found.unwrap().text_of("x-sum"), Some("1"));
    assert_eq!(compress(Err(BodyError::Truncated)).err(), Some(BodyError::Truncated));
}

#[test]
fn it_may_be_true_as_labels_have_it() {
    assert_eq!(read("compress: true"), read("compress: {}"));
    assert_eq!(read("compress: 'true'"), read("compress:"));
    for (yaml, why) in [
        ("compress: false", "leave it out"),
        ("compress: 1", "expected a mapping"),
        ("compress: { encodings: [] }", "name one encoding"),
        ("compress: { encodings: [gzp, br] }", "did you mean \"gzip\"?"),
        ("compress: { includedContentTypes: [a], excludedContentTypes: [b] }", "not both"),
    ] {
        assert!(fault(yaml).contains(why), "{yaml}");
    }
}
