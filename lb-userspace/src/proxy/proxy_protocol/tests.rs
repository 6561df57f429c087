//! Tables of headers; real sockets for what takes time.

use proptest::prelude::*;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use super::*;

const LONG: Duration = Duration::from_secs(30);

fn ends(source: &str, destination: &str) -> Option<Ends> {
    let (source, destination) = (source.parse().unwrap(), destination.parse().unwrap());
    Some(Ends { source, destination })
}

fn whole(length: usize, ends: Option<Ends>) -> Header {
    Header::Whole { length, ends }
}

fn v2(command: u8, family: u8, body: &[u8]) -> Vec<u8> {
    [&V2[..], &[command, family], &(body.len() as u16).to_be_bytes(), body].concat()
}

const V4_BODY: &[u8] = &[192, 0, 2, 7, 198, 51, 100, 10, 0x9c, 0x40, 1, 0xbb];

fn v6_body() -> Vec<u8> {
    let ip = |text: &str| text.parse::<Ipv6Addr>().unwrap().octets();
    [&ip("2001:db8::7")[..], &ip("2001:db8::10"), &[0x9c, 0x40, 1, 0xbb]].concat()
}

#[test]
fn lines_of_version_1() {
    let wrong = Header::Malformed("the line is wrong");
    let long = format!("PROXY UNKNOWN {}\r\n", "f".repeat(91));
    let too_long = format!("PROXY UNKNOWN {}\r\n", "f".repeat(92));
    let table: &[(&str, Header)] = &[
        (
            "PROXY TCP4 192.0.2.7 198.51.100.10 40000 443\r\nGET /",
            whole(46, ends("192.0.2.7:40000", "198.51.100.10:443")),
        ),
        (
            "PROXY TCP6 2001:db8::7 2001:db8::10 40000 443\r\n",
            whole(47, ends("[2001:db8::7]:40000", "[2001:db8::10]:443")),
        ),
        (
            "PROXY TCP4 255.255.255.255 0.0.0.0 65535 0\r\n",
            whole(44, ends("255.255.255.255:65535", "0.0.0.0:0")),
        ),
        ("PROXY UNKNOWN\r\nx", whole(15, None)),
        ("PROXY UNKNOWN ff::1 ff::2 1 2\r\n", whole(31, None)),
        (&long, whole(107, None)),
        (&too_long, Header::Malformed("the line is too long")),
        ("PROXY TCP4 192.0.2.7 198.51.100.10 40000 443\r", Header::More),
        ("PROXY TCP4 192.0.2.7 198.51.100.10 40000 443\n", Header::More),
        ("PROXY TCP4 192.0.2.7 198.51.100.10 40000\r\n", wrong),
        ("PROXY TCP4 192.0.2.7 198.51.100.10 40000 443 \r\n", wrong),
        ("PROXY TCP4 192.0.2.7 198.51.100.10 40000 443 x\r\n", wrong),
        ("PROXY TCP4  192.0.2.7 198.51.100.10 40000 443\r\n", wrong),
        ("PROXY TCP4 192.0.2.7 198.51.100.10 40000 65536\r\n", wrong),
        ("PROXY TCP4 192.0.2.7 198.51.100.10 +1 443\r\n", wrong),
        ("PROXY TCP4 192.0.2.7 198.51.100.10 040 443\r\n", wrong),
        ("PROXY TCP4 192.0.2.7 198.51.100.10  443\r\n", wrong),
        ("PROXY TCP4 192.0.2.256 198.51.100.10 1 443\r\n", wrong),
        ("PROXY TCP4 2001:db8::7 2001:db8::10 1 443\r\n", wrong),
        ("PROXY TCP6 192.0.2.7 198.51.100.10 1 443\r\n", wrong),
        ("PROXY UDP4 192.0.2.7 198.51.100.10 1 443\r\n", wrong),
        ("PROXY tcp4 192.0.2.7 198.51.100.10 1 443\r\n", wrong),
        ("PROXY UNKNOWNX\r\n", wrong),
        ("PROXY \r\n", wrong),
        ("proxy TCP4 1.1.1.1 2.2.2.2 1 2\r\n", Header::Absent),
        ("PROXYTCP4", Header::Absent),
        ("GET / HTTP/1.1\r\n", Header::Absent),
        ("P", Header::More),
        ("PRI * HTTP/2.0", Header::Absent),
        ("", Header::More),
    ];
    for (bytes, expected) in table {
        assert_eq!(parse(bytes.as_bytes()), *expected, "{bytes:?}");
    }
    assert_eq!(parse(b"PROXY \xff\r\n"), Header::Malformed("the line is no text"));
}

#[test]
fn headers_of_version_2() {
    let v4 = ends("192.0.2.7:40000", "198.51.100.10:443");
    let v6 = ends("[2001:db8::7]:40000", "[2001:db8::10]:443");
    let with_tlvs = [V4_BODY, &[3, 0, 4, 1, 2, 3, 4], &[0x20, 0xff, 0xff]].concat();
    let table: &[(&str, Vec<u8>, Header)] = &[
        ("IPv4", v2(0x21, 0x11, V4_BODY), whole(28, v4)),
        ("IPv6", v2(0x21, 0x21, &v6_body()), whole(52, v6)),
        ("TLVs, the last one wrong", v2(0x21, 0x11, &with_tlvs), whole(38, v4)),
        ("LOCAL", v2(0x20, 0, &[]), whole(16, None)),
        ("LOCAL with addresses", v2(0x20, 0x11, V4_BODY), whole(28, None)),
        ("LOCAL with half of them", v2(0x20, 0x11, &[1, 2]), whole(18, None)),
        ("unspecified", v2(0x21, 0, &[9; 7]), whole(23, None)),
        ("datagrams", v2(0x21, 0x12, V4_BODY), whole(28, None)),
        ("a socket of the host", v2(0x21, 0x31, &[0; 216]), whole(232, None)),
        ("the longest", v2(0x21, 0, &[0; MAX_V2]), whole(16 + MAX_V2, None)),
        ("one longer", v2(0x21, 0, &[0; MAX_V2 + 1]), Header::Malformed("the header is too long")),
        ("version 1", v2(0x11, 0x11, V4_BODY), Header::Malformed("there is no such version")),
        ("version 3", v2(0x31, 0x11, V4_BODY), Header::Malformed("there is no such version")),
        ("command 2", v2(0x22, 0x11, V4_BODY), Header::Malformed("there is no such command")),
        ("family 4", v2(0x21, 0x41, V4_BODY), Header::Malformed("there is no such family")),
        ("transport 3", v2(0x21, 0x13, V4_BODY), Header::Malformed("there is no such family")),
        (
            "half of the addresses",
            v2(0x21, 0x21, V4_BODY),
            Header::Malformed("the addresses are cut off"),
        ),
    ];
    for (name, bytes, expected) in table {
        assert_eq!(parse(bytes), *expected, "{name}");
    }
    let whole = v2(0x21, 0x11, V4_BODY);
    for end in 0..whole.len() {
        assert_eq!(parse(&whole[..end]), Header::More, "{end} bytes");
    }
    assert_eq!(parse(b"\r\n\r\nGET"), Header::Absent);
}

#[test]
fn what_is_sent_is_what_is_read() {
    for (source, destination) in
        [("192.0.2.7:40000", "198.51.100.10:443"), ("[2001:db8::7]:40000", "[2001:db8::10]:443")]
    {
        let ends = ends(source, destination);
        for version in [1, 2] {
            let bytes = header(version, ends.unwrap());
            assert_eq!(parse(&bytes), whole(bytes.len(), ends));
        }
    }
    let mixed = ends("192.0.2.7:1", "[2001:db8::10]:2").unwrap();
    let text = header(1, mixed);
    assert_eq!(text, b"PROXY TCP6 ::ffff:192.0.2.7 2001:db8::10 1 2\r\n");
    let mapped = ends("[::ffff:192.0.2.7]:1", "[::ffff:192.0.2.8]:2").unwrap();
    assert_eq!(header(1, mapped), b"PROXY TCP4 192.0.2.7 192.0.2.8 1 2\r\n");
}

proptest! {
    #[test]
    fn nothing_panics(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        for start in [V1, V2, b""] {
            let bytes = [start, &bytes].concat();
            if let Header::Whole { length, .. } = parse(&bytes) {
                prop_assert!(length <= bytes.len());
            }
        }
    }
}

async fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    (client, listener.accept().await.unwrap().0)
}

async fn all_of(plain: Plain) -> String {
    let mut text = String::new();
    super::super::Stream::Plain(plain).read_to_string(&mut text).await.unwrap();
    text
}

#[tokio::test]
async fn the_header_is_taken_off_in_whatever_pieces_it_comes() {
    let (mut near, far) = pair().await;
    let sending = async {
        near.set_nodelay(true).unwrap();
        for byte in b"PROXY TCP4 192.0.2.7 198.51.100.10 40000 443\r\nhello" {
            near.write_all(&[*byte]).await.unwrap();
            tokio::task::yield_now().await;
        }
        near.shutdown().await.unwrap();
    };
    let (got, ()) = tokio::join!(accept(far, LONG), sending);
    let (plain, found) = got.unwrap();
    assert_eq!(found, ends("192.0.2.7:40000", "198.51.100.10:443"));
    assert_eq!(all_of(plain).await, "hello");
}

#[tokio::test]
async fn without_a_header_nothing_is_lost() {
    let (mut near, far) = pair().await;
    near.write_all(b"PROPER").await.unwrap();
    near.shutdown().await.unwrap();
    let (plain, found) = accept(far, LONG).await.unwrap();
    assert_eq!(found, None);
    assert_eq!(all_of(plain).await, "PROPER");
}

#[tokio::test]
async fn what_is_wrong_or_never_whole_is_refused() {
    let (mut near, far) = pair().await;
    near.write_all(b"PROXY TCP9 \r\n").await.unwrap();
    let error = accept(far, LONG).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.to_string().as_str()),
        (io::ErrorKind::InvalidData, "the line is wrong")
    );

    let (mut near, far) = pair().await;
    near.write_all(b"PROXY TCP4 ").await.unwrap();
    near.shutdown().await.unwrap();
    assert_eq!(accept(far, LONG).await.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);

    let (mut near, far) = pair().await;
    near.write_all(b"PROXY TCP4 ").await.unwrap();
    let error = accept(far, Duration::from_millis(50)).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::TimedOut);
}
