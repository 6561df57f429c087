//! HTTP/1.1 from end to end.

use std::{
    io::{Read, Write},
    net::TcpStream,
    sync::Arc,
};

use super::kit::{Origin, Running, read_request};

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-Own: yes\r\n\r\nhello";

#[test]
fn a_request_reaches_the_origin_and_its_answer_the_client() {
    let origin = Origin::closing(OK);
    let running = Running::before(&[origin.address]);
    let answer = running.say(b"GET /a HTTP/1.1\r\nHost: e.com\r\nConnection: close\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\nX-Own: yes\r\nDate: "), "{answer}");
    assert!(
        answer.ends_with("\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello"),
        "{answer}"
    );
    assert!(
        origin
            .got()
            .starts_with("GET /a HTTP/1.1\r\nHost: e.com\r\nX-Forwarded-For: 127.0.0.1\r\n")
    );
}

#[test]
fn requests_follow_each_other_on_both_connections() {
    let origin = Origin::answering(OK);
    let running = Running::before(&[origin.address]);
    let mut stream = running.connect();
    for _ in 0..3 {
        stream.write_all(b"GET / HTTP/1.1\r\nHost: e.com\r\n\r\n").unwrap();
        let mut answer = Vec::new();
        let mut byte = [0];
        while !answer.ends_with(b"hello") {
            stream.read_exact(&mut byte).unwrap();
            answer.push(byte[0]);
        }
    }
    drop(stream);
    assert_eq!(origin.seen.lock().unwrap().len(), 1, "one connection to the origin");
}

#[test]
fn pipelined_requests_are_answered_in_their_order() {
    let origin = Origin::with(Arc::new(|stream, seen| {
        while read_request(stream, seen).is_some() {
            let text = String::from_utf8_lossy(seen).into_owned();
            let path = text.rsplit("GET ").next().unwrap().split(' ').next().unwrap().to_owned();
            let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{path}", path.len());
            stream.write_all(answer.as_bytes()).unwrap();
        }
    }));
    let running = Running::before(&[origin.address]);
    let answer = running.say(
        b"GET /1 HTTP/1.1\r\nHost: e.com\r\n\r\nGET /2 HTTP/1.1\r\nHost: e.com\r\n\r\n\
          GET /3 HTTP/1.1\r\nHost: e.com\r\nConnection: close\r\n\r\n",
    );
    let bodies: Vec<_> = answer.split("\r\n\r\n").skip(1).map(|part| &part[..2]).collect();
    assert_eq!(bodies, ["/1", "/2", "/3"], "{answer}");
}

#[test]
fn a_body_with_a_length_and_one_in_chunks_arrive_whole() {
    let origin = Origin::answering(OK);
    let running = Running::before(&[origin.address]);
    let answer = running.say(
        b"POST /l HTTP/1.1\r\nHost: e.com\r\nContent-Length: 3\r\n\r\nabc\
          POST /c HTTP/1.1\r\nHost: e.com\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n\
          2;x=y\r\nde\r\n1\r\nf\r\n0\r\n\r\n",
    );
    assert_eq!(answer.matches("200 OK").count(), 2, "{answer}");
    drop(running);
    let got = origin.got();
    assert!(got.contains("Content-Length: 3\r\n\r\nabc"), "{got}");
    assert!(got.contains("\r\n\r\n2\r\nde\r\n1\r\nf\r\n0\r\n\r\n"), "{got}");
}

#[test]
fn no_router_is_404_and_no_origin_502() {
    let origin = Origin::closing(OK);
    let running = Running::before(&[origin.address]);
    let answer = running.say(b"GET / HTTP/1.1\r\nHost: other.com\r\nConnection: close\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 404 Not Found\r\n"), "{answer}");
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let running = Running::before(&[gone]);
    let answer = running.say(b"GET / HTTP/1.1\r\nHost: e.com\r\nConnection: close\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 502 Bad Gateway\r\n"), "{answer}");
    let running = Running::before(&[]);
    let answer = running.say(b"GET / HTTP/1.1\r\nHost: e.com\r\nConnection: close\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 503 Service Unavailable\r\n"), "{answer}");
}

#[test]
fn connections_of_two_hundred_requests_at_once_are_used_again() {
    const CLIENTS: usize = 200;
    let together = std::sync::Barrier::new(CLIENTS);
    let origin = Origin::with(Arc::new(move |stream, seen| {
        while read_request(stream, seen).is_some() {
            together.wait();
            if stream.write_all(OK).is_err() {
                return;
            }
        }
    }));
    let running = Running::before(&[origin.address]);
    let connect = || TcpStream::connect(running.address).unwrap();
    let mut clients: Vec<TcpStream> = (0..CLIENTS).map(|_| connect()).collect();
    for _ in 0..2 {
        for client in &mut clients {
            client.write_all(b"GET / HTTP/1.1\r\nHost: e.com\r\n\r\n").unwrap();
        }
        for client in &mut clients {
            read_request(client, &mut Vec::new()).expect("an answer");
        }
    }
    // One that is on its way back into the pool may be missed.
    let made = origin.seen.lock().unwrap().len();
    assert!((CLIENTS..CLIENTS + CLIENTS / 10).contains(&made), "{made} connections");
}
