//! Raw answers of origins, and what clients see of them.

use super::kit::{Origin, Running};

fn answered(answer: &'static [u8]) -> String {
    let origin = Origin::closing(answer);
    let running = Running::before(&[origin.address]);
    running.say(b"GET / HTTP/1.1\r\nHost: e.com\r\nConnection: close\r\n\r\n")
}

/// Passed on, with something in it and something else not.
macro_rules! passed {
    ($($test:ident: $answer:literal => $first:literal, $holds:literal, $lacks:literal;)+) => {
        $(#[test]
        fn $test() {
            let seen = answered($answer);
            assert!(seen.starts_with($first), "{seen}");
            assert!(seen.contains($holds), "{seen}");
            assert!(!seen.contains($lacks), "{seen}");
        })+
    };
}

mod passed {
    use super::*;

    passed! {
        a_length_answer: b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi" => "HTTP/1.1 200 OK\r\n", "Content-Length: 2\r\n", "chunked";
        a_chunked_answer: b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;x\r\nhi\r\n0\r\n\r\n" => "HTTP/1.1 200 OK\r\n", "2\r\nhi\r\n0\r\n\r\n", ";x";
        a_chunked_answer_with_trailers: b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nX-Sum: 7\r\n\r\n" => "HTTP/1.1 200 OK\r\n", "0\r\nX-Sum: 7\r\n\r\n", "Content-Length";
        a_trailer_that_would_smuggle: b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nContent-Length: 7\r\n\r\n" => "HTTP/1.1 200 OK\r\n", "0\r\n\r\n", "Content-Length";
        an_answer_that_ends_with_the_connection: b"HTTP/1.1 200 OK\r\n\r\nhello" => "HTTP/1.1 200 OK\r\n", "5\r\nhello\r\n0\r\n\r\n", "Content-Length";
        an_answer_of_1_0: b"HTTP/1.0 200 OK\r\n\r\nhello" => "HTTP/1.1 200 OK\r\n", "hello", "HTTP/1.0";
        no_content: b"HTTP/1.1 204 No Content\r\n\r\n" => "HTTP/1.1 204 No Content\r\n", "Date:", "Content-Length";
        no_content_with_a_length: b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n" => "HTTP/1.1 204 No Content\r\n", "Date:", "Content-Length";
        not_modified: b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\nETag: x\r\n\r\n" => "HTTP/1.1 304 Not Modified\r\n", "Content-Length: 5\r\n", "chunked";
        an_unknown_status: b"HTTP/1.1 599 Odd\r\nContent-Length: 0\r\n\r\n" => "HTTP/1.1 599 \r\n", "Content-Length: 0\r\n", "Odd";
        an_interim_answer_first: b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi" => "HTTP/1.1 200 OK\r\n", "hi", "Early";
        fields_of_the_hop: b"HTTP/1.1 200 OK\r\nConnection: X-Hop\r\nX-Hop: 1\r\nKeep-Alive: 5\r\nContent-Length: 0\r\n\r\n" => "HTTP/1.1 200 OK\r\n", "Content-Length: 0\r\n", "X-Hop";
        two_cookies: b"HTTP/1.1 200 OK\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nContent-Length: 0\r\n\r\n" => "HTTP/1.1 200 OK\r\n", "Set-Cookie: a=1\r\nSet-Cookie: b=2\r\n", "chunked";
        a_date_of_its_own: b"HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nContent-Length: 0\r\n\r\n" => "HTTP/1.1 200 OK\r\n", "1994", "Date: Wed";
    }
}

/// Of no use: 502 in its place.
macro_rules! bad {
    ($($test:ident: $answer:literal;)+) => {
        $(#[test]
        fn $test() {
            let seen = answered($answer);
            assert!(seen.starts_with("HTTP/1.1 502 Bad Gateway\r\n"), "{seen}");
            assert_eq!(seen.matches("HTTP/1.1").count(), 1, "{seen}");
        })+
    };
}

mod bad {
    use super::*;

    bad! {
        an_answer_with_two_lengths: b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nhi!";
        an_answer_with_the_same_length_twice: b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nhi";
        an_answer_with_a_malformed_length: b"HTTP/1.1 200 OK\r\nContent-Length: two\r\n\r\nhi";
        an_answer_with_length_and_chunks: b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n";
        an_answer_with_an_unknown_coding: b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nhi";
        an_answer_that_switches_unasked: b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n";
        an_answer_of_another_protocol: b"SSH-2.0-OpenSSH\r\n\r\n";
        an_answer_of_version_2: b"HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n";
        an_answer_with_a_status_of_two_digits: b"HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n";
        an_answer_with_a_status_of_six_hundred: b"HTTP/1.1 600 No\r\nContent-Length: 0\r\n\r\n";
        an_answer_with_a_folded_line: b"HTTP/1.1 200 OK\r\nX-A: b\r\n c\r\nContent-Length: 0\r\n\r\n";
        an_answer_with_a_bare_lf: b"HTTP/1.1 200 OK\nContent-Length: 0\r\n\r\n";
        an_answer_with_a_malformed_name: b"HTTP/1.1 200 OK\r\nX A: b\r\nContent-Length: 0\r\n\r\n";
        an_answer_that_breaks_off_in_its_head: b"HTTP/1.1 200 OK\r\nContent-";
        no_answer_at_all: b"";
    }
}

/// Breaks off: the client gets what came, and never an end that makes it look whole.
macro_rules! torn {
    ($($test:ident: $answer:literal;)+) => {
        $(#[test]
        fn $test() {
            let seen = answered($answer);
            assert!(seen.starts_with("HTTP/1.1 200 OK\r\n"), "{seen}");
            assert!(!seen.ends_with("0\r\n\r\n"), "{seen}");
            let body = seen.split("\r\n\r\n").nth(1).unwrap_or_default();
            assert!(!seen.contains("Content-Length: 10") || body.len() < 10, "{seen}");
        })+
    };
}

mod torn {
    use super::*;

    torn! {
        a_length_that_is_not_reached: b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello";
        chunks_that_break_off: b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n";
        a_chunk_that_breaks_off: b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nhello";
        a_chunk_size_that_is_malformed: b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nxyz\r\n";
        a_trailer_that_is_malformed: b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX Y: z\r\n\r\n";
    }
}
