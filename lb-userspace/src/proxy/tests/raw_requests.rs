//! Raw requests, and what comes of them: refused, or passed on made anew (RFC 9112, and what is
//! known of smuggling).

use super::kit::{Origin, Running};

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi";

/// The proxy's answer, and what the origin saw of it.
fn exchange(request: &[u8]) -> (String, String) {
    let origin = Origin::closing(OK);
    let running = Running::before(&[origin.address]);
    let answer = running.say(request);
    (answer, origin.got())
}

/// Refused with a status, the connection closed, and nothing of it shown to the origin.
macro_rules! refused {
    ($($test:ident: $request:literal => $status:literal;)+) => {
        $(#[test]
        fn $test() {
            let mut request = $request.to_vec();
            // What would be smuggled.
            request.extend_from_slice(b"GET /smuggled HTTP/1.1\r\nHost: e.com\r\n\r\n");
            let (answer, seen) = exchange(&request);
            assert!(answer.starts_with(concat!("HTTP/1.1 ", $status, " ")), "{answer}");
            assert_eq!(answer.matches("\r\n\r\n").count(), 1, "{answer}");
            assert!(answer.contains("Connection: close\r\n"), "{answer}");
            assert_eq!(seen, "");
        })+
    };
}

mod refused {
    use super::*;

    refused! {
        no_host: b"GET / HTTP/1.1\r\n\r\n" => 400;
        two_hosts: b"GET / HTTP/1.1\r\nHost: e.com\r\nHost: e.com\r\n\r\n" => 400;
        a_host_with_a_space: b"GET / HTTP/1.1\r\nHost: e.com evil\r\n\r\n" => 400;
        a_host_with_a_slash: b"GET / HTTP/1.1\r\nHost: e.com/x\r\n\r\n" => 400;
        a_host_with_userinfo: b"GET / HTTP/1.1\r\nHost: u@e.com\r\n\r\n" => 400;
        a_host_with_a_bad_port: b"GET / HTTP/1.1\r\nHost: e.com:8x\r\n\r\n" => 400;
        a_host_with_a_long_port: b"GET / HTTP/1.1\r\nHost: e.com:123456\r\n\r\n" => 400;
        a_host_list: b"GET / HTTP/1.1\r\nHost: e.com, f.com\r\n\r\n" => 400;
        space_before_the_colon: b"GET / HTTP/1.1\r\nHost : e.com\r\n\r\n" => 400;
        space_before_the_colon_of_a_length: b"POST / HTTP/1.1\r\nHost: e.com\r\nContent-Length : 3\r\n\r\nabc" => 400;
        a_folded_line: b"GET / HTTP/1.1\r\nHost: e.com\r\nX-A: b\r\n c\r\n\r\n" => 400;
        a_first_line_that_is_folded: b"GET / HTTP/1.1\r\n Host: e.com\r\n\r\n" => 400;
        a_name_with_a_control: b"GET / HTTP/1.1\r\nHost: e.com\r\nX\x01: b\r\n\r\n" => 400;
        a_name_that_is_empty: b"GET / HTTP/1.1\r\nHost: e.com\r\n: b\r\n\r\n" => 400;
        a_name_with_a_bracket: b"GET / HTTP/1.1\r\nHost: e.com\r\nX(a): b\r\n\r\n" => 400;
        a_name_with_high_bytes: b"GET / HTTP/1.1\r\nHost: e.com\r\nX\xff: b\r\n\r\n" => 400;
        a_line_without_a_colon: b"GET / HTTP/1.1\r\nHost: e.com\r\nnothing\r\n\r\n" => 400;
        a_value_with_a_nul: b"GET / HTTP/1.1\r\nHost: e.com\r\nX: a\x00b\r\n\r\n" => 400;
        a_value_with_a_bare_cr: b"GET / HTTP/1.1\r\nHost: e.com\r\nX: a\rb\r\n\r\n" => 400;
        a_value_with_a_delete: b"GET / HTTP/1.1\r\nHost: e.com\r\nX: a\x7fb\r\n\r\n" => 400;
        a_bare_lf_behind_the_request_line: b"GET / HTTP/1.1\nHost: e.com\r\n\r\n" => 400;
        a_bare_lf_behind_a_field: b"GET / HTTP/1.1\r\nHost: e.com\nX: y\r\n\r\n" => 400;
        a_bare_lf_at_the_end: b"GET / HTTP/1.1\r\nHost: e.com\r\n\n" => 400;
        bare_lfs_alone: b"GET / HTTP/1.1\nHost: e.com\n\n" => 400;
        no_version: b"GET /\r\nHost: e.com\r\n\r\n" => 400;
        version_0_9: b"GET / HTTP/0.9\r\nHost: e.com\r\n\r\n" => 505;
        version_1_2: b"GET / HTTP/1.2\r\nHost: e.com\r\n\r\n" => 505;
        version_2_0: b"GET / HTTP/2.0\r\nHost: e.com\r\n\r\n" => 505;
        version_in_lower_case: b"GET / http/1.1\r\nHost: e.com\r\n\r\n" => 400;
        a_version_with_two_digits: b"GET / HTTP/1.11\r\nHost: e.com\r\n\r\n" => 400;
        three_spaces: b"GET  / HTTP/1.1\r\nHost: e.com\r\n\r\n" => 400;
        a_tab_for_a_space: b"GET\t/ HTTP/1.1\r\nHost: e.com\r\n\r\n" => 400;
        a_space_in_the_target: b"GET /a b HTTP/1.1\r\nHost: e.com\r\n\r\n" => 400;
        a_target_without_a_slash: b"GET a HTTP/1.1\r\nHost: e.com\r\n\r\n" => 400;
        a_target_with_a_fragment: b"GET /a#b HTTP/1.1\r\nHost: e.com\r\n\r\n" => 400;
        a_target_with_high_bytes: b"GET /\xc3\xa4 HTTP/1.1\r\nHost: e.com\r\n\r\n" => 400;
        a_target_with_a_control: b"GET /\x01 HTTP/1.1\r\nHost: e.com\r\n\r\n" => 400;
        a_star_for_get: b"GET * HTTP/1.1\r\nHost: e.com\r\n\r\n" => 400;
        another_scheme: b"GET ftp://e.com/ HTTP/1.1\r\nHost: e.com\r\n\r\n" => 400;
        an_absolute_target_without_authority: b"GET http:///x HTTP/1.1\r\nHost: e.com\r\n\r\n" => 400;
        an_absolute_target_with_userinfo: b"GET http://u:p@e.com/ HTTP/1.1\r\nHost: e.com\r\n\r\n" => 400;
        an_absolute_target_and_two_hosts: b"GET http://e.com/ HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n" => 400;
        connect: b"CONNECT e.com:443 HTTP/1.1\r\nHost: e.com\r\n\r\n" => 405;
        connect_with_a_path: b"CONNECT / HTTP/1.1\r\nHost: e.com\r\n\r\n" => 405;
        a_method_with_a_bracket: b"G(T / HTTP/1.1\r\nHost: e.com\r\n\r\n" => 400;
        no_method: b" / HTTP/1.1\r\nHost: e.com\r\n\r\n" => 400;
        length_and_chunked: b"POST / HTTP/1.1\r\nHost: e.com\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" => 400;
        chunked_and_length: b"POST / HTTP/1.1\r\nHost: e.com\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n" => 400;
        chunked_and_a_length_of_nothing: b"POST / HTTP/1.1\r\nHost: e.com\r\nTransfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n0\r\n\r\n" => 400;
        two_lengths_that_differ: b"POST / HTTP/1.1\r\nHost: e.com\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc" => 400;
        two_lengths_that_agree: b"POST / HTTP/1.1\r\nHost: e.com\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc" => 400;
        a_list_of_lengths: b"POST / HTTP/1.1\r\nHost: e.com\r\nContent-Length: 3, 3\r\n\r\nabc" => 400;
        a_length_with_a_sign: b"POST / HTTP/1.1\r\nHost: e.com\r\nContent-Length: +3\r\n\r\nabc" => 400;
        a_negative_length: b"POST / HTTP/1.1\r\nHost: e.com\r\nContent-Length: -3\r\n\r\nabc" => 400;
        a_length_in_hex: b"POST / HTTP/1.1\r\nHost: e.com\r\nContent-Length: 0x3\r\n\r\nabc" => 400;
        a_length_with_a_space_inside: b"POST / HTTP/1.1\r\nHost: e.com\r\nContent-Length: 1 2\r\n\r\nabc" => 400;
        an_empty_length: b"POST / HTTP/1.1\r\nHost: e.com\r\nContent-Length: \r\n\r\nabc" => 400;
        a_length_beyond_64_bits: b"POST / HTTP/1.1\r\nHost: e.com\r\nContent-Length: 99999999999999999999\r\n\r\nabc" => 400;
        a_length_with_a_fraction: b"POST / HTTP/1.1\r\nHost: e.com\r\nContent-Length: 3.0\r\n\r\nabc" => 400;
        an_unknown_coding: b"POST / HTTP/1.1\r\nHost: e.com\r\nTransfer-Encoding: gzip\r\n\r\n0\r\n\r\n" => 501;
        identity: b"POST / HTTP/1.1\r\nHost: e.com\r\nTransfer-Encoding: identity\r\n\r\n" => 501;
        chunked_twice: b"POST / HTTP/1.1\r\nHost: e.com\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n" => 400;
        chunked_in_two_fields: b"POST / HTTP/1.1\r\nHost: e.com\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" => 400;
        chunked_then_identity: b"POST / HTTP/1.1\r\nHost: e.com\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n" => 400;
        gzip_then_chunked: b"POST / HTTP/1.1\r\nHost: e.com\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n" => 400;
        chunked_with_a_tab: b"POST / HTTP/1.1\r\nHost: e.com\r\nTransfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n" => 400;
        chunked_with_a_parameter: b"POST / HTTP/1.1\r\nHost: e.com\r\nTransfer-Encoding: chunked;q=1\r\n\r\n0\r\n\r\n" => 400;
        chunked_in_quotes: b"POST / HTTP/1.1\r\nHost: e.com\r\nTransfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n" => 400;
        an_empty_coding: b"POST / HTTP/1.1\r\nHost: e.com\r\nTransfer-Encoding: \r\n\r\n0\r\n\r\n" => 400;
        xchunked: b"POST / HTTP/1.1\r\nHost: e.com\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" => 501;
        chunked_in_1_0: b"POST / HTTP/1.0\r\nHost: e.com\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" => 400;
        another_expectation: b"POST / HTTP/1.1\r\nHost: e.com\r\nContent-Length: 1\r\nExpect: 200-ok\r\n\r\nx" => 417;
        tls_on_a_plain_port: b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03\r\n\r\n" => 400;
        nonsense: b"\x00\x01\x02\x03\r\n\r\n" => 400;
        socks: b"\x05\x01\x00\r\n\r\n" => 400;
    }
}

/// The head is sound and the body isn't: 400, and the origin never sees a whole request.
macro_rules! broken {
    ($($test:ident: $body:literal;)+) => {
        $(#[test]
        fn $test() {
            let head = b"POST / HTTP/1.1\r\nHost: e.com\r\nTransfer-Encoding: chunked\r\n\r\n";
            let (answer, seen) = exchange(&[head, &$body[..]].concat());
            assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
            assert!(!seen.ends_with("0\r\n\r\n"), "{seen}");
        })+
    };
}

mod broken {
    use super::*;

    broken! {
        a_chunk_size_that_is_none: b"zz\r\nabc\r\n0\r\n\r\n";
        a_chunk_size_with_a_sign: b"+3\r\nabc\r\n0\r\n\r\n";
        a_chunk_size_with_a_prefix: b"0x3\r\nabc\r\n0\r\n\r\n";
        a_chunk_size_of_17_digits: b"00000000000000003\r\nabc\r\n0\r\n\r\n";
        a_chunk_size_with_space_in_front: b" 3\r\nabc\r\n0\r\n\r\n";
        a_chunk_size_with_space_behind: b"3 \r\nabc\r\n0\r\n\r\n";
        a_chunk_size_line_with_a_bare_lf: b"3\nabc\r\n0\r\n\r\n";
        a_chunk_that_is_longer: b"3\r\nabcd\r\n0\r\n\r\n";
        a_chunk_without_its_line_end: b"3\r\nabc0\r\n\r\n";
        a_chunk_that_ends_with_a_bare_lf: b"3\r\nabc\n0\r\n\r\n";
        an_extension_with_a_control: b"3;a=\x01\r\nabc\r\n0\r\n\r\n";
        an_extension_with_a_bare_cr: b"3;a\rb\r\nabc\r\n0\r\n\r\n";
        a_malformed_trailer: b"3\r\nabc\r\n0\r\nX Y: z\r\n\r\n";
        a_folded_trailer: b"3\r\nabc\r\n0\r\nX: y\r\n z\r\n\r\n";
        chunks_that_break_off: b"3\r\nab";
        chunks_without_an_end: b"3\r\nabc\r\n";
        a_last_chunk_without_its_line: b"3\r\nabc\r\n0\r\n";
    }
}

/// Passed on, with something in it and something else not.
macro_rules! passed {
    ($($test:ident: $request:literal => $holds:literal, $lacks:literal;)+) => {
        $(#[test]
        fn $test() {
            let (answer, seen) = exchange($request);
            assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
            assert!(seen.contains($holds), "{seen}");
            assert!(!seen.contains($lacks), "{seen}");
        })+
    };
}

mod passed {
    use super::*;

    passed! {
        a_plain_get: b"GET /x HTTP/1.1\r\nHost: e.com\r\nConnection: close\r\n\r\n" => "GET /x HTTP/1.1\r\nHost: e.com\r\n", "Connection";
        lower_case_names: b"GET / HTTP/1.1\r\nhost: e.com\r\nconnection: close\r\n\r\n" => "host: e.com\r\n", "connection: close";
        an_empty_line_in_front: b"\r\nGET /x HTTP/1.1\r\nHost: e.com\r\nConnection: close\r\n\r\n" => "GET /x HTTP/1.1\r\n", "\r\nGET";
        no_space_behind_the_colon: b"GET / HTTP/1.1\r\nHost:e.com\r\nX-A:b\r\nConnection:close\r\n\r\n" => "X-A: b\r\n", "Connection";
        white_space_around_a_value: b"GET / HTTP/1.1\r\nHost: e.com\r\nX-A: \t b \t \r\nConnection: close\r\n\r\n" => "X-A: b\r\n", "\t";
        an_empty_value: b"GET / HTTP/1.1\r\nHost: e.com\r\nX-A:\r\nConnection: close\r\n\r\n" => "X-A: \r\n", "Connection";
        high_bytes_in_a_value: b"GET / HTTP/1.1\r\nHost: e.com\r\nX-A: caf\xe9\r\nX-B: c\r\nConnection: close\r\n\r\n" => "X-B: c\r\n", "Connection";
        an_absolute_target: b"GET http://e.com/x?y HTTP/1.1\r\nHost: other.com\r\nConnection: close\r\n\r\n" => "GET /x?y HTTP/1.1\r\nHost: e.com\r\n", "other.com";
        an_absolute_target_without_a_path: b"GET http://e.com HTTP/1.1\r\nHost: e.com\r\nConnection: close\r\n\r\n" => "GET / HTTP/1.1\r\n", "http://";
        an_absolute_target_with_a_query_alone: b"GET http://e.com?q HTTP/1.1\r\nHost: e.com\r\nConnection: close\r\n\r\n" => "GET /?q HTTP/1.1\r\n", "http://";
        a_star_for_options: b"OPTIONS * HTTP/1.1\r\nHost: e.com\r\nConnection: close\r\n\r\n" => "OPTIONS * HTTP/1.1\r\n", "Connection";
        an_unknown_method: b"BREW /pot HTTP/1.1\r\nHost: e.com\r\nConnection: close\r\n\r\n" => "BREW /pot HTTP/1.1\r\n", "Connection";
        fields_that_connection_names: b"GET / HTTP/1.1\r\nHost: e.com\r\nX-Secret: s\r\nConnection: close, X-Secret\r\n\r\n" => "GET / HTTP/1.1\r\n", "X-Secret";
        fields_that_connection_names_in_another_case: b"GET / HTTP/1.1\r\nHost: e.com\r\nx-SECRET: s\r\nConnection: X-Secret\r\nConnection: close\r\n\r\n" => "GET / HTTP/1.1\r\n", "x-SECRET";
        keep_alive_fields: b"GET / HTTP/1.1\r\nHost: e.com\r\nKeep-Alive: 9\r\nProxy-Connection: x\r\nConnection: close\r\n\r\n" => "GET / HTTP/1.1\r\n", "Keep-Alive";
        te_trailers: b"GET / HTTP/1.1\r\nHost: e.com\r\nTE: trailers\r\nConnection: close\r\n\r\n" => "TE: trailers\r\n", "Connection";
        te_gzip: b"GET / HTTP/1.1\r\nHost: e.com\r\nTE: gzip\r\nConnection: close\r\n\r\n" => "GET / HTTP/1.1\r\n", "TE:";
        an_upgrade_to_h2c: b"GET / HTTP/1.1\r\nHost: e.com\r\nUpgrade: h2c\r\nHTTP2-Settings: AA\r\nConnection: Upgrade, HTTP2-Settings, close\r\n\r\n" => "GET / HTTP/1.1\r\n", "pgrade";
        senders_that_are_not_believed: b"GET / HTTP/1.1\r\nHost: e.com\r\nX-Forwarded-For: 6.6.6.6\r\nX-Forwarded-Proto: https\r\nForwarded: for=6.6.6.6\r\nX-Real-Ip: 6.6.6.6\r\nConnection: close\r\n\r\n" => "X-Forwarded-For: 127.0.0.1\r\nX-Forwarded-Proto: http\r\n", "6.6.6.6";
        a_body_with_a_length: b"POST / HTTP/1.1\r\nHost: e.com\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc" => "Content-Length: 3\r\n\r\nabc", "chunked";
        a_length_with_leading_zeros: b"POST / HTTP/1.1\r\nHost: e.com\r\nContent-Length: 003\r\nConnection: close\r\n\r\nabc" => "Content-Length: 3\r\n\r\nabc", "003";
        a_length_of_nothing: b"POST / HTTP/1.1\r\nHost: e.com\r\nContent-Length: 0\r\nConnection: close\r\n\r\n" => "Content-Length: 0\r\n\r\n", "chunked";
        a_post_without_a_length: b"POST / HTTP/1.1\r\nHost: e.com\r\nConnection: close\r\n\r\n" => "Content-Length: 0\r\n\r\n", "chunked";
        a_get_with_a_body: b"GET / HTTP/1.1\r\nHost: e.com\r\nContent-Length: 2\r\nConnection: close\r\n\r\nab" => "Content-Length: 2\r\n\r\nab", "chunked";
        chunks_are_made_anew: b"POST / HTTP/1.1\r\nHost: e.com\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n0003;ext=1\r\nabc\r\n0\r\n\r\n" => "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", "ext";
        chunked_in_another_case: b"POST / HTTP/1.1\r\nHost: e.com\r\nTransfer-Encoding: ChUnKeD\r\nConnection: close\r\n\r\n1\r\nx\r\n0\r\n\r\n" => "Transfer-Encoding: chunked\r\n", "ChUnKeD";
        a_host_with_a_port: b"GET / HTTP/1.1\r\nHost: e.com:8080\r\nConnection: close\r\n\r\n" => "Host: e.com:8080\r\n", "Connection";
        a_host_in_upper_case: b"GET / HTTP/1.1\r\nHost: E.COM\r\nConnection: close\r\n\r\n" => "Host: E.COM\r\n", "Connection";
        dots_in_the_path: b"GET /a/../b/./c//d HTTP/1.1\r\nHost: e.com\r\nConnection: close\r\n\r\n" => "GET /b/c/d HTTP/1.1\r\n", "..";
        percent_dots_in_the_path: b"GET /a/%2e%2e/%2E%2e/b HTTP/1.1\r\nHost: e.com\r\nConnection: close\r\n\r\n" => "GET /b HTTP/1.1\r\n", "%2";
        dots_in_the_query: b"GET /a?b=/../c HTTP/1.1\r\nHost: e.com\r\nConnection: close\r\n\r\n" => "GET /a?b=/../c HTTP/1.1\r\n", "Connection";
        several_fields_of_a_name: b"GET / HTTP/1.1\r\nHost: e.com\r\nX-A: 1\r\nX-A: 2\r\nConnection: close\r\n\r\n" => "X-A: 1\r\nX-A: 2\r\n", "Connection";
    }
}
