//! The sockets.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream, UdpSocket},
    sync::Semaphore,
    time::timeout,
};

use super::Zone;
use crate::registry::hub::Hub;

/// Connections at once.
const CONNECTIONS: usize = 256;
/// How long a connection may say nothing.
const IDLE: Duration = Duration::from_secs(10);

/// Answers on `address` until dropped.
///
/// # Errors
/// The address can't be listened on.
pub(crate) async fn serve(
    address: SocketAddr,
    zone: Zone,
    hub: Arc<Hub>,
) -> io::Result<impl Future<Output = ()> + Send + 'static> {
    let tcp = TcpListener::bind(address).await?;
    let udp = UdpSocket::bind(tcp.local_addr()?).await?;
    let zone = Arc::new(zone);
    Ok(async move {
        tokio::join!(datagrams(udp, &zone, &hub), connections(tcp, &zone, &hub));
    })
}

async fn datagrams(socket: UdpSocket, zone: &Zone, hub: &Hub) {
    let mut buffer = [0; 4096];
    loop {
        // Errors are those of answers before: nothing of this question's.
        let Ok((length, from)) = socket.recv_from(&mut buffer).await else { continue };
        let answer = zone.answer(&buffer[..length], &hub.read(), true);
        if let Some(answer) = answer {
            let _lost = socket.send_to(&answer, from).await;
        }
    }
}

async fn connections(listener: TcpListener, zone: &Arc<Zone>, hub: &Arc<Hub>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let mut open = tokio::task::JoinSet::new();
    loop {
        while open.try_join_next().is_some() {}
        let Ok(place) = places.clone().acquire_owned().await else { return };
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let (zone, hub) = (zone.clone(), hub.clone());
        open.spawn(async move {
            let _broken = connection(stream, &zone, &hub).await;
            drop(place);
        });
    }
}

async fn connection(mut stream: TcpStream, zone: &Zone, hub: &Hub) -> io::Result<()> {
    loop {
        let length = timeout(IDLE, stream.read_u16()).await??;
        let mut question = vec![0; length.into()];
        timeout(IDLE, stream.read_exact(&mut question)).await??;
        let answer = zone.answer(&question, &hub.read(), false);
        let Some(answer) = answer else { return Ok(()) };
        let length = u16::try_from(answer.len()).map_err(io::Error::other)?;
        let framed = [&length.to_be_bytes()[..], &answer].concat();
        timeout(IDLE, stream.write_all(&framed)).await??;
    }
}
