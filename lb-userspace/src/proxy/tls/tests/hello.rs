//! ClientHellos: real ones whole, in pieces and damaged; made-up ones at every edge.

use std::sync::Arc;

use proptest::prelude::*;
use rustls::{ClientConnection, RootCertStore, pki_types::ServerName};

use super::super::hello::{Hello, MAX_HELLO, Peeked, peek};

/// What rustls sends to `name`.
fn real(
    name: &str,
    alpn: &[&str],
    versions: &[&'static rustls::SupportedProtocolVersion],
) -> Vec<u8> {
    let mut config = super::client_with(RootCertStore::empty(), versions, None);
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let mut bytes = Vec::new();
    let mut conn = ClientConnection::new(Arc::new(config), name).unwrap();
    conn.write_tls(&mut bytes).unwrap();
    bytes
}

fn expected(name: Option<&str>, alpn: &[&str]) -> Peeked {
    Peeked::Hello(Hello {
        server_name: name.map(str::to_owned),
        alpn: alpn.iter().map(|name| name.as_bytes().to_vec()).collect(),
    })
}

/// A body between a length of two bytes and its end.
fn list(body: &[u8]) -> Vec<u8> {
    [&(body.len() as u16).to_be_bytes()[..], body].concat()
}

fn extension(kind: u16, body: &[u8]) -> Vec<u8> {
    [&kind.to_be_bytes()[..], &list(body)].concat()
}

fn sni(name: &[u8]) -> Vec<u8> {
    extension(0, &list(&[&[0][..], &list(name)].concat()))
}

/// A message of these extensions, with its header.
fn made(extensions: &[u8]) -> Vec<u8> {
    let mut body = vec![3, 3];
    body.extend([7; 32]);
    body.push(0);
    body.extend([0, 2, 0x13, 1]);
    body.extend([1, 0]);
    body.extend(extensions);
    let mut message = vec![1];
    message.extend(&(body.len() as u32).to_be_bytes()[1..]);
    message.extend(body);
    message
}

/// Cut into records of `size` bytes.
fn records(message: &[u8], size: usize) -> Vec<u8> {
    message.chunks(size).flat_map(|part| [&[22, 3, 1][..], &list(part)].concat()).collect()
}

fn of_extensions(extensions: &[u8]) -> Peeked {
    peek(&records(&made(&list(extensions)), 1 << 14))
}

#[test]
fn real_ones_are_read() {
    for versions in [rustls::ALL_VERSIONS, &[&rustls::version::TLS12]] {
        let bytes = real("Www.Example.COM", &["h2", "http/1.1"], versions);
        assert_eq!(peek(&bytes), expected(Some("www.example.com"), &["h2", "http/1.1"]));
        assert_eq!(peek(&real("192.0.2.7", &[], versions)), expected(None, &[]));
    }
}

#[test]
fn whatever_is_missing_is_waited_for() {
    let bytes = real("lb.test", &["h2"], rustls::ALL_VERSIONS);
    for end in 0..bytes.len() {
        assert_eq!(peek(&bytes[..end]), Peeked::More, "{end} of {}", bytes.len());
    }
    let more = [&bytes[..], b"and early data"].concat();
    assert_eq!(peek(&more), expected(Some("lb.test"), &["h2"]));
}

#[test]
fn pieces_are_put_together() {
    let message = &real("lb.test", &["h2"], rustls::ALL_VERSIONS)[5..];
    for size in [1, 2, 3, 4, 5, 63, message.len() - 1, message.len()] {
        let bytes = records(message, size);
        assert_eq!(peek(&bytes), expected(Some("lb.test"), &["h2"]), "records of {size}");
        for end in 0..bytes.len() {
            assert_eq!(peek(&bytes[..end]), Peeked::More, "{end} of records of {size}");
        }
    }
}

macro_rules! extensions {
    ($($name:ident: $bytes:expr => $expected:expr,)+) => {
        $(#[test] fn $name() { assert_eq!(of_extensions(&$bytes), $expected); })+
    };
}

const WRONG: Peeked = Peeked::Malformed("a length in the ClientHello is wrong");

extensions! {
    an_empty_list: [] => expected(None, &[]),
    a_name: sni(b"a.test") => expected(Some("a.test"), &[]),
    a_last_dot: sni(b"A.Test.") => expected(Some("a.test"), &[]),
    an_underscore: sni(b"_a.test") => expected(Some("_a.test"), &[]),
    an_address: sni(b"192.0.2.1") => expected(Some("192.0.2.1"), &[]),
    an_empty_name: sni(b"") => expected(None, &[]),
    a_dot_alone: sni(b".") => expected(None, &[]),
    a_name_that_is_no_host: sni(b"a b\r\n") => expected(None, &[]),
    a_name_beyond_ascii: sni("ä.test".as_bytes()) => expected(None, &[]),
    a_name_with_a_zero: sni(b"a\0.test") => expected(None, &[]),
    a_name_too_long: sni(&[b'a'; 254]) => expected(None, &[]),
    the_longest_name: sni(&[b'a'; 253]) => expected(Some("a".repeat(253).as_str()), &[]),
    a_name_of_another_kind:
        extension(0, &list(&[&[1][..], &list(b"a.test")].concat())) => expected(None, &[]),
    the_second_name_counts_where_the_first_is_of_another_kind:
        extension(0, &list(&[&[1][..], &list(b"x"), &[0], &list(b"a.test")].concat()))
            => expected(Some("a.test"), &[]),
    no_name_at_all: extension(0, &list(&[])) => expected(None, &[]),
    a_name_without_its_list: extension(0, &[]) => WRONG,
    a_name_that_ends_early: extension(0, &list(&[0, 0, 9, b'a'])) => WRONG,
    a_name_list_that_ends_early: extension(0, &[0, 9, 0]) => WRONG,
    protocols: extension(16, &list(b"\x02h2\x08http/1.1")) => expected(None, &["h2", "http/1.1"]),
    an_empty_protocol: extension(16, &list(b"\x00")) => expected(None, &[""]),
    a_protocol_that_ends_early: extension(16, &list(b"\x05h2")) => WRONG,
    protocols_without_their_list: extension(16, &[]) => WRONG,
    others_are_passed_over:
        [extension(10, &[1, 2, 3]), sni(b"a.test"), extension(0xfe0d, &[0; 200])].concat()
            => expected(Some("a.test"), &[]),
    an_extension_that_ends_early: [0, 10, 0, 9, 1] => WRONG,
    half_an_extension: [0, 10, 0] => WRONG,
}

#[test]
fn no_extensions_at_all() {
    assert_eq!(peek(&records(&made(&[]), 100)), expected(None, &[]));
}

#[test]
fn extensions_that_end_early() {
    assert_eq!(peek(&records(&made(&[0, 9, 0]), 100)), WRONG);
}

#[test]
fn what_is_no_client_hello() {
    let table: &[(&[u8], Peeked)] = &[
        (b"", Peeked::More),
        (b"\x16", Peeked::More),
        (b"G", Peeked::Other),
        (b"PRI * HTTP/2.0\r\n", Peeked::Other),
        (b"SSH-2.0-x", Peeked::Other),
        // SSL 2, an alert, application data, another major version.
        (b"\x80\x2e\x01\x03\x01", Peeked::Other),
        (b"\x15\x03\x01\x00\x02\x02\x28", Peeked::Other),
        (b"\x17\x03\x03\x00\x01a", Peeked::Other),
        (b"\x16\x02\x00\x00\x01\x01", Peeked::Other),
        (b"\x16\x03\x01\x00\x00", Peeked::Malformed("a record's length is out of bounds")),
        (b"\x16\x03\x01\x40\x01", Peeked::Malformed("a record's length is out of bounds")),
        (b"\x16\x03\x01\x00\x04\x02", Peeked::Malformed("the first message is no ClientHello")),
        (b"\x16\x03\x01\x00\x04\x01\x01\x00\x00", Peeked::Malformed("the ClientHello is too long")),
        (
            b"\x16\x03\x01\x00\x01\x01\x17\x03\x03\x00\x01a",
            Peeked::Malformed("a record of another kind"),
        ),
    ];
    for (bytes, expected) in table {
        assert_eq!(&peek(bytes), expected, "{bytes:02x?}");
    }
}

#[test]
fn the_longest_is_read_and_no_longer_one() {
    let fill = |total: usize| {
        let empty = made(&list(&extension(21, &[]))).len() - 4;
        records(&made(&list(&extension(21, &vec![0; total - empty]))), 1 << 14)
    };
    assert_eq!(peek(&fill(MAX_HELLO)), expected(None, &[]));
    assert_eq!(peek(&fill(MAX_HELLO + 1)), Peeked::Malformed("the ClientHello is too long"));
}

proptest! {
    #[test]
    fn nothing_panics(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        let _whatever = peek(&bytes);
        let _whatever = peek(&records(&[&[1, 0, 2, 0][..], &bytes].concat(), 97));
        let _whatever = of_extensions(&bytes);
    }

    #[test]
    fn damage_is_survived(at in 0usize..600, to in any::<u8>(), cut in 0usize..600) {
        let mut bytes = real("lb.test", &["h2", "http/1.1"], &[&rustls::version::TLS12]);
        let at = at % bytes.len();
        bytes[at] = to;
        let _whatever = peek(&bytes);
        bytes.truncate(cut);
        let _whatever = peek(&bytes);
    }
}
