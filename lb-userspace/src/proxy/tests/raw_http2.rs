//! Raw HTTP/2, and what comes of it: refused, or passed on as sound HTTP/1.1 (RFC 9113 §8, and what
//! is known of smuggling by downgrades).

use std::time::Duration;

use super::{
    kit::{Origin, Running},
    wire::{END, Frame, HEAD, Outcome, Wire, block, kind},
};

use crate::model::EntryPointOptions;

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi";

type Fields<'a> = Vec<(&'a [u8], &'a [u8])>;

/// The fields of a sound request.
const SOUND: [(&[u8], &[u8]); 4] =
    [(b":method", b"GET"), (b":scheme", b"http"), (b":path", b"/a?b"), (b":authority", b"e.com")];

/// A sound request's fields and these.
fn with<'a>(more: &[(&'a [u8], &'a [u8])]) -> Fields<'a> {
    SOUND.into_iter().chain(more.iter().copied()).collect()
}

/// A sound request's fields, one of which is another.
fn but<'a>(name: &'a [u8], value: &'a [u8]) -> Fields<'a> {
    SOUND.into_iter().map(|field| if field.0 == name { (name, value) } else { field }).collect()
}

/// A sound request's fields, one of which is left out, and these.
fn without<'a>(name: &[u8], more: &[(&'a [u8], &'a [u8])]) -> Fields<'a> {
    let kept = SOUND.into_iter().filter(|field| field.0 != name);
    kept.chain(more.iter().copied()).collect()
}

/// A request without a body.
fn get(fields: &Fields<'_>) -> Vec<Frame> {
    vec![Frame::headers(END, 1, fields)]
}

/// A `POST` with these fields and the pieces of its body, the last of which ends it.
fn post(more: &[(&[u8], &[u8])], pieces: &[&[u8]]) -> Vec<Frame> {
    let mut fields = but(b":method", b"POST");
    fields.extend(more.iter().copied());
    let mut frames = vec![Frame::headers(0, 1, &fields)];
    for (at, piece) in pieces.iter().enumerate() {
        frames.push(Frame::data(if at + 1 == pieces.len() { END } else { 0 }, 1, piece));
    }
    frames
}

/// A `POST` of `body` with trailers.
fn trailing(trailers: &[(&[u8], &[u8])]) -> Vec<Frame> {
    let mut frames = post(&[], &[b"body", b""]);
    frames.pop();
    frames.push(Frame::headers(END, 1, trailers));
    frames
}

/// What becomes of stream 1, and what the origin saw.
fn exchange(frames: &[Frame]) -> (Outcome, String) {
    let origin = Origin::closing(OK);
    let running = Running::before(&[origin.address]);
    // Waits until it listens.
    drop(running.connect());
    let mut wire = Wire::open(running.address).unwrap();
    for frame in frames {
        // It may have been given up already.
        let _gone = wire.send(frame);
    }
    let outcome = wire.outcome(1);
    drop(wire);
    (outcome, origin.got())
}

/// Answered by the origin, which saw all of the first and none of the second.
macro_rules! passed {
    ($($test:ident: $frames:expr => [$($seen:literal),*] not [$($not:literal),*];)+) => {
        $(#[test]
        fn $test() {
            let (outcome, seen) = exchange(&$frames);
            assert_eq!(outcome, Outcome::Status(200), "{seen}");
            let seen = seen.to_ascii_lowercase();
            $(assert!(seen.contains($seen), "{} not in {seen}", $seen);)*
            let not: &[&str] = &[$($not),*];
            not.iter().for_each(|not| assert!(!seen.contains(not), "{not} in {seen}"));
            assert_eq!(seen.matches(" http/1.1\r\n").count(), 1, "{seen}");
        })+
    };
}

/// Refused as it ought to be, and nothing of it shown to the origin.
macro_rules! refused {
    ($($test:ident: $frames:expr => [$outcome:pat];)+) => {
        $(#[test]
        fn $test() {
            let (outcome, seen) = exchange(&$frames);
            assert!(matches!(outcome, $outcome), "{outcome:?}");
            assert_eq!(seen, "");
        })+
    };
}

/// Refused in the middle: the origin never saw the end of a request.
macro_rules! cut_off {
    ($($test:ident: $frames:expr;)+) => {
        $(#[test]
        fn $test() {
            let (outcome, seen) = exchange(&$frames);
            assert!(!matches!(outcome, Status(..400)), "{outcome:?}");
            assert!(!seen.contains("0\r\n\r\n"), "{seen}");
            assert!(!seen.contains("smuggled"), "{seen}");
        })+
    };
}

use Outcome::{Goaway, Reset, Status};

/// `PROTOCOL_ERROR`, `FLOW_CONTROL_ERROR`, `STREAM_CLOSED`, `FRAME_SIZE_ERROR`, `COMPRESSION_ERROR`.
const PROTOCOL: u32 = 1;
const FLOW: u32 = 3;
const CLOSED: u32 = 5;
const SIZE: u32 = 6;
const COMPRESSION: u32 = 9;

mod passed {
    use super::*;

    passed! {
        a_sound_request: get(&with(&[])) => ["get /a?b http/1.1\r\n", "host: e.com\r\n"] not ["transfer-encoding", "content-length"];
        a_host_in_place_of_the_authority: get(&without(b":authority", &[(b"host", b"e.com")])) => ["host: e.com\r\n"] not [];
        a_host_that_says_the_same: get(&with(&[(b"host", b"e.com")])) => ["host: e.com\r\n"] not [];
        an_authority_with_a_port: get(&but(b":authority", b"e.com:8443")) => ["host: e.com:8443\r\n"] not [];
        cookies_are_one_field: get(&with(&[(b"cookie", b"a=1"), (b"cookie", b"b=2")])) => ["cookie: a=1; b=2\r\n"] not [];
        te_trailers: get(&with(&[(b"te", b"trailers")])) => ["get /a?b"] not [];
        forwarded_fields_are_nobodys_word: get(&with(&[(b"x-forwarded-for", b"1.2.3.4")])) => ["x-forwarded-for: 127.0.0.1\r\n"] not ["1.2.3.4"];
        dots_are_resolved: get(&but(b":path", b"/a/../../etc")) => ["get /etc http/1.1\r\n"] not [".."];
        a_body_without_a_length: post(&[], &[b"hello", b" world"]) => ["transfer-encoding: chunked\r\n", "hello", " world", "\r\n0\r\n\r\n"] not ["content-length"];
        a_body_with_its_length: post(&[(b"content-length", b"5")], &[b"he", b"llo"]) => ["content-length: 5\r\n", "\r\n\r\nhello"] not ["transfer-encoding"];
        an_empty_body_with_a_length: post(&[(b"content-length", b"0")], &[b""]) => ["post /a?b"] not ["chunked"];
        a_body_that_looks_like_a_request: post(&[(b"content-length", b"27")], &[b"GET /smuggled HTTP/1.0\r\n\r\nx"]) => ["content-length: 27\r\n"] not [];
        trailers_behind_a_body: trailing(&[(b"x-sum", b"7")]) => ["4\r\nbody\r\n0\r\n", "x-sum: 7\r\n\r\n"] not [];
        trailers_that_would_frame: trailing(&[(b"content-length", b"4"), (b"x-sum", b"7")]) => ["x-sum: 7\r\n"] not ["content-length"];
        trailers_that_would_route: trailing(&[(b"host", b"evil.com"), (b"authorization", b"x"), (b"x-sum", b"7")]) => ["x-sum: 7\r\n"] not ["evil.com", "authorization"];
        a_pseudo_field_in_trailers: trailing(&[(b":path", b"/smuggled"), (b"x-sum", b"7")]) => ["x-sum: 7\r\n"] not ["smuggled", ":path"];
        fields_in_two_frames: [Frame::new(kind::HEADERS, END, 1, &block(&with(&[]))[..9]), Frame::new(kind::CONTINUATION, HEAD, 1, &block(&with(&[]))[9..])] => ["get /a?b"] not [];
        a_padded_request: {
            let mut payload = vec![3];
            payload.extend(block(&with(&[])));
            payload.extend([0; 3]);
            [Frame::new(kind::HEADERS, END | HEAD | 8, 1, payload)]
        } => ["get /a?b"] not [];
        a_frame_of_an_unknown_type: [Frame::new(0xf7, 0xff, 1, *b"anything"), get(&with(&[])).remove(0)] => ["get /a?b"] not ["anything"];
    }
}

mod refused {
    use super::*;

    refused! {
        no_method: get(&without(b":method", &[])) => [Reset(PROTOCOL) | Goaway(PROTOCOL)];
        no_path: get(&without(b":path", &[])) => [Reset(PROTOCOL) | Goaway(PROTOCOL)];
        no_scheme: get(&without(b":scheme", &[])) => [Reset(PROTOCOL) | Goaway(PROTOCOL)];
        no_authority_and_no_host: get(&without(b":authority", &[])) => [Status(400)];
        an_empty_authority: get(&but(b":authority", b"")) => [Status(400) | Reset(PROTOCOL)];
        an_authority_with_userinfo: get(&but(b":authority", b"u@e.com")) => [Status(400) | Reset(PROTOCOL)];
        an_authority_with_a_space: get(&but(b":authority", b"e.com evil")) => [Status(400) | Reset(PROTOCOL)];
        an_authority_with_a_line_end: get(&but(b":authority", b"e.com\r\nX: y")) => [Reset(PROTOCOL) | Goaway(PROTOCOL)];
        an_authority_with_a_path: get(&but(b":authority", b"e.com/evil")) => [Status(400) | Reset(PROTOCOL)];
        a_host_that_says_something_else: get(&with(&[(b"host", b"evil.com")])) => [Status(400)];
        two_hosts: get(&without(b":authority", &[(b"host", b"e.com"), (b"host", b"evil.com")])) => [Status(400)];
        an_empty_path: get(&but(b":path", b"")) => [Reset(PROTOCOL) | Goaway(PROTOCOL)];
        a_path_without_a_slash: get(&but(b":path", b"a")) => [Status(400) | Reset(PROTOCOL)];
        a_path_that_is_a_url: get(&but(b":path", b"http://evil.com/x")) => [Status(400) | Reset(PROTOCOL)];
        a_star_that_is_no_options: get(&but(b":path", b"*")) => [Status(400) | Reset(PROTOCOL)];
        a_path_with_a_space: get(&but(b":path", b"/a HTTP/1.1")) => [Status(400) | Reset(PROTOCOL)];
        a_path_with_a_line_end: get(&but(b":path", b"/ HTTP/1.1\r\nHost: evil.com\r\n\r\n")) => [Reset(PROTOCOL) | Goaway(PROTOCOL)];
        a_path_with_a_nul: get(&but(b":path", b"/\0")) => [Reset(PROTOCOL) | Goaway(PROTOCOL)];
        a_path_with_high_bytes: get(&but(b":path", b"/\xff")) => [Status(400) | Reset(PROTOCOL) | Goaway(PROTOCOL)];
        two_paths: get(&with(&[(b":path", b"/b")])) => [Reset(PROTOCOL) | Goaway(PROTOCOL)];
        two_methods: get(&with(&[(b":method", b"POST")])) => [Reset(PROTOCOL) | Goaway(PROTOCOL)];
        a_pseudo_field_behind_others: {
            let mut fields = without(b":path", &[(b"x-a", b"1")]);
            fields.push((b":path", b"/"));
            get(&fields)
        } => [Reset(PROTOCOL) | Goaway(PROTOCOL)];
        an_unknown_pseudo_field: get(&with(&[(b":own", b"1")])) => [Reset(PROTOCOL) | Goaway(PROTOCOL) | Goaway(COMPRESSION)];
        a_pseudo_field_of_answers: get(&with(&[(b":status", b"200")])) => [Reset(PROTOCOL) | Goaway(PROTOCOL)];
        a_protocol_that_was_not_offered: get(&with(&[(b":protocol", b"websocket")])) => [Reset(PROTOCOL) | Goaway(PROTOCOL) | Status(400)];
        connect: [Frame::headers(0, 1, &[(b":method", b"CONNECT"), (b":authority", b"e.com:443")])] => [Status(405)];
        a_method_with_a_space: get(&but(b":method", b"GET /x HTTP/1.1")) => [Reset(PROTOCOL) | Goaway(PROTOCOL)];
        an_empty_method: get(&but(b":method", b"")) => [Reset(PROTOCOL) | Goaway(PROTOCOL)];
        a_name_in_upper_case: get(&with(&[(b"X-Upper", b"1")])) => [Reset(PROTOCOL) | Goaway(PROTOCOL) | Goaway(COMPRESSION)];
        a_name_with_a_line_end: get(&with(&[(b"x: 1\r\ny", b"1")])) => [Reset(PROTOCOL) | Goaway(PROTOCOL) | Goaway(COMPRESSION)];
        a_name_with_a_colon: get(&with(&[(b"x:y", b"1")])) => [Reset(PROTOCOL) | Goaway(PROTOCOL) | Goaway(COMPRESSION)];
        an_empty_name: get(&with(&[(b"", b"1")])) => [Reset(PROTOCOL) | Goaway(PROTOCOL) | Goaway(COMPRESSION)];
        a_value_with_a_line_end: get(&with(&[(b"x-a", b"1\r\nTransfer-Encoding: chunked")])) => [Reset(PROTOCOL) | Goaway(PROTOCOL) | Goaway(COMPRESSION)];
        a_value_with_a_bare_lf: get(&with(&[(b"x-a", b"1\nx-b: 2")])) => [Reset(PROTOCOL) | Goaway(PROTOCOL) | Goaway(COMPRESSION)];
        a_value_with_a_nul: get(&with(&[(b"x-a", b"1\0")])) => [Reset(PROTOCOL) | Goaway(PROTOCOL) | Goaway(COMPRESSION)];
        connection: get(&with(&[(b"connection", b"x-a"), (b"x-a", b"1")])) => [Reset(PROTOCOL) | Goaway(PROTOCOL)];
        keep_alive: get(&with(&[(b"keep-alive", b"5")])) => [Reset(PROTOCOL) | Goaway(PROTOCOL)];
        proxy_connection: get(&with(&[(b"proxy-connection", b"close")])) => [Reset(PROTOCOL) | Goaway(PROTOCOL)];
        upgrade: get(&with(&[(b"upgrade", b"websocket")])) => [Reset(PROTOCOL) | Goaway(PROTOCOL)];
        a_coding_of_http1: post(&[(b"transfer-encoding", b"chunked")], &[b"0\r\n\r\nGET /smuggled HTTP/1.1\r\n\r\n"]) => [Reset(PROTOCOL) | Goaway(PROTOCOL)];
        te_with_a_coding: get(&with(&[(b"te", b"gzip")])) => [Reset(PROTOCOL) | Goaway(PROTOCOL)];
        a_length_that_is_none: post(&[(b"content-length", b"5x")], &[b"hello"]) => [Reset(PROTOCOL) | Goaway(PROTOCOL) | Status(400)];
        a_length_with_a_sign: post(&[(b"content-length", b"+5")], &[b"hello"]) => [Reset(PROTOCOL) | Goaway(PROTOCOL) | Status(400)];
        two_lengths: post(&[(b"content-length", b"5"), (b"content-length", b"4")], &[b"hello"]) => [Reset(PROTOCOL) | Goaway(PROTOCOL) | Status(400)];
        a_length_and_no_body: get(&with(&[(b"content-length", b"5")])) => [Reset(PROTOCOL) | Goaway(PROTOCOL) | Status(400)];
        too_many_fields: get(&with(&[(&b"x-a"[..], &b"1"[..]); 200])) => [Status(431)];
        a_list_in_too_long_a_frame: get(&with(&[(&b"x-a"[..], &[b'a'; 4000][..]); 40])) => [Status(431) | Reset(_) | Goaway(_)];
        fields_that_can_not_be_read: [Frame::new(kind::HEADERS, END | HEAD, 1, vec![0xff; 9])] => [Goaway(COMPRESSION | PROTOCOL)];
        an_even_stream: [Frame::headers(END, 2, &with(&[]))] => [Goaway(PROTOCOL)];
        fields_on_no_stream: [Frame::headers(END, 0, &with(&[]))] => [Goaway(PROTOCOL)];
        data_on_no_stream: [Frame::data(END, 0, b"x")] => [Goaway(PROTOCOL)];
        data_before_fields: [Frame::data(END, 1, b"x")] => [Goaway(PROTOCOL) | Goaway(CLOSED) | Reset(CLOSED)];
        a_promise: [Frame::new(kind::PUSH_PROMISE, HEAD, 1, [0, 0, 0, 2])] => [Goaway(PROTOCOL)];
        a_continuation_of_nothing: [Frame::new(kind::CONTINUATION, HEAD, 1, block(&with(&[])))] => [Goaway(PROTOCOL)];
        another_frame_among_fields: [Frame::new(kind::HEADERS, END, 1, block(&with(&[]))), Frame::new(kind::PING, 0, 0, [0; 8])] => [Goaway(PROTOCOL)];
        settings_of_a_wrong_size: [Frame::new(kind::SETTINGS, 0, 0, [0; 5])] => [Goaway(SIZE | PROTOCOL)];
        a_ping_of_a_wrong_size: [Frame::new(kind::PING, 0, 0, [0; 7])] => [Goaway(SIZE | PROTOCOL)];
        a_window_that_overflows: [Frame::new(kind::WINDOW_UPDATE, 0, 0, [0x7f, 0xff, 0xff, 0xff])] => [Goaway(FLOW)];
        a_window_that_does_not_open: [Frame::new(kind::WINDOW_UPDATE, 0, 0, [0; 4])] => [Goaway(PROTOCOL)];
        a_frame_that_is_too_long: [Frame::new(kind::DATA, 0, 1, vec![0; 20_000])] => [Goaway(SIZE) | Goaway(PROTOCOL)];
        padding_longer_than_the_frame: [Frame::new(kind::HEADERS, END | HEAD | 8, 1, [200, 0, 0])] => [Goaway(PROTOCOL)];
    }
}

mod cut_off {
    use super::*;

    cut_off! {
        less_than_the_length: post(&[(b"content-length", b"9")], &[b"hello"]);
        more_than_the_length: post(&[(b"content-length", b"2")], &[b"hello, GET /smuggled HTTP/1.1\r\n\r\n"]);
        trailers_that_do_not_end: {
            let mut frames = trailing(&[(b"x-sum", b"7")]);
            frames[2].flags = HEAD;
            frames
        };
    }
}

/// The origin may have had its request whole before that; of what came behind it sees nothing.
#[test]
fn more_than_the_length_in_a_later_frame() {
    let length: &[(&[u8], &[u8])] = &[(b"content-length", b"5")];
    let (_, seen) = exchange(&post(length, &[b"hello", b"GET /smuggled HTTP/1.1\r\n\r\n"]));
    assert!(!seen.contains("smuggled"), "{seen}");
}

#[test]
fn a_body_that_does_not_come_in_time() {
    let origin = Origin::closing(OK);
    let mut options = EntryPointOptions::default();
    options.timeouts.read = Duration::from_millis(300);
    let running = Running::with(&[origin.address], options, |_| {});
    drop(running.connect());
    let mut wire = Wire::open(running.address).unwrap();
    let mut frames = post(&[(b"content-length", b"9")], &[b"hello", b"!"]);
    frames.pop();
    frames.iter().for_each(|frame| wire.send(frame).unwrap());
    assert_eq!(wire.outcome(1), Status(408));
    drop(wire);
    assert!(!origin.got().contains('!'));
}
