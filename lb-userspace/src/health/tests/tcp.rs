//! `mode: tcp`.

use std::net::SocketAddr;

use tokio::{io::AsyncReadExt, net::TcpListener};

use super::check;
use crate::model::CheckKind;

async fn tcp(address: SocketAddr) -> Result<String, String> {
    check(&CheckKind::Tcp, "127.0.0.1", address).await
}

#[tokio::test]
async fn a_server_that_accepts_passes() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    assert_eq!(tcp(listener.local_addr().unwrap()).await.unwrap(), "connected");
}

#[tokio::test]
async fn an_ipv6_server_that_accepts_passes() {
    let listener = TcpListener::bind("[::1]:0").await.unwrap();
    assert_eq!(tcp(listener.local_addr().unwrap()).await.unwrap(), "connected");
}

#[tokio::test]
async fn a_closed_port_is_refused() {
    let address = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    assert_eq!(tcp(address).await.unwrap_err(), "connection refused");
}

#[tokio::test]
async fn an_address_without_route_is_told_in_words() {
    // 240.0.0.0/4 is reserved (RFC 1112 §4): no router carries it, and Linux refuses to try.
    let error = tcp("255.255.255.255:80".parse().unwrap()).await.unwrap_err();
    assert!(!error.contains("os error"), "{error}");
    assert!(error.contains("network is unreachable") || error.contains("not permitted"), "{error}");
}

#[tokio::test]
async fn the_check_closes_by_reset() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (checked, accepted) = tokio::join!(tcp(address), listener.accept());
    checked.unwrap();
    let error = accepted.unwrap().0.read(&mut [0; 1]).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
}
