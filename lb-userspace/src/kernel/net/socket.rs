//! Two netlink sockets: one to ask and change, one to listen. Apart, because a
//! burst of events may overrun a socket's buffer, and would take answers with it.

use std::{io, pin::Pin, time::Duration};

use futures_util::{Stream, StreamExt};
use nix::sys::socket::{setsockopt, sockopt};
use rtnetlink::{
    Handle, MulticastGroup,
    packet_core::{
        NLM_F_ACK, NLM_F_CREATE, NLM_F_DUMP, NLM_F_EXCL, NLM_F_REQUEST, NetlinkMessage,
        NetlinkPayload,
    },
    packet_route::{AddressFamily, RouteNetlinkMessage},
    proto::Connection,
    sys::AsyncSocket,
};
use tokio::{task::JoinHandle, time::timeout};

/// Why the network could not be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum NetError {
    /// No netlink socket.
    #[error("opening a netlink socket: {0}; lb needs CAP_NET_ADMIN")]
    Open(#[source] io::Error),
    /// The kernel said no.
    #[error("{what}: {source}")]
    Refused {
        /// What was asked.
        what: String,
        /// Its errno.
        #[source]
        source: io::Error,
    },
    /// The answer never came.
    #[error("{what}: netlink gave no answer")]
    NoAnswer {
        /// What was asked.
        what: String,
    },
    /// A file.
    #[error("{path}: {source}")]
    File {
        /// Which one.
        path: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file that isn't what lb writes there.
    #[error("{path}: {message}")]
    Content {
        /// Which one.
        path: String,
        /// What is wrong.
        message: String,
    },
}

impl NetError {
    /// The kernel's errno, if it gave one.
    pub(crate) fn errno(&self) -> Option<i32> {
        match self {
            Self::Refused { source, .. } => source.raw_os_error(),
            _ => None,
        }
    }
}

/// Longest wait for an answer: the kernel answers within the system call, so
/// that this ends only a wait for an answer that was lost.
const ANSWER: Duration = Duration::from_secs(5);

/// The socket that asks.
pub(crate) struct Netlink {
    handle: Handle,
    driver: JoinHandle<()>,
}

impl Netlink {
    /// Opens it in the network namespace of this thread.
    pub(crate) fn open() -> Result<Self, NetError> {
        let (mut connection, handle, _) =
            rtnetlink::new_connection_with_strict_check().map_err(NetError::Open)?;
        enlarge(&mut connection, REQUEST_BUFFER);
        Ok(Self { handle, driver: tokio::spawn(connection) })
    }

    /// Asks for one thing.
    pub(crate) async fn get(
        &self,
        what: &str,
        message: RouteNetlinkMessage,
    ) -> Result<Vec<RouteNetlinkMessage>, NetError> {
        self.ask(what, message, NLM_F_REQUEST).await
    }

    /// Asks for all of a kind.
    pub(crate) async fn dump(
        &self,
        what: &str,
        message: RouteNetlinkMessage,
    ) -> Result<Vec<RouteNetlinkMessage>, NetError> {
        self.ask(what, message, NLM_F_REQUEST | NLM_F_DUMP).await
    }

    /// Asks for all of a kind and family. A kernel without IPv6 has none of it.
    pub(crate) async fn dump_family(
        &self,
        what: &str,
        message: RouteNetlinkMessage,
        family: AddressFamily,
    ) -> Result<Vec<RouteNetlinkMessage>, NetError> {
        match self.dump(what, message).await {
            Err(error) if family == AddressFamily::Inet6 && error.errno().is_some() => {
                Ok(Vec::new())
            }
            answers => answers,
        }
    }

    /// Changes or removes something.
    pub(crate) async fn set(
        &self,
        what: &str,
        message: RouteNetlinkMessage,
    ) -> Result<(), NetError> {
        self.ask(what, message, NLM_F_REQUEST | NLM_F_ACK).await.map(drop)
    }

    /// Creates something or changes what is there.
    pub(crate) async fn put(
        &self,
        what: &str,
        message: RouteNetlinkMessage,
    ) -> Result<(), NetError> {
        self.ask(what, message, NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE).await.map(drop)
    }

    /// Creates something that must not be there.
    pub(crate) async fn create(
        &self,
        what: &str,
        message: RouteNetlinkMessage,
    ) -> Result<(), NetError> {
        let flags = NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL;
        self.ask(what, message, flags).await.map(drop)
    }

    async fn ask(
        &self,
        what: &str,
        message: RouteNetlinkMessage,
        flags: u16,
    ) -> Result<Vec<RouteNetlinkMessage>, NetError> {
        let lost = || NetError::NoAnswer { what: what.to_owned() };
        let mut request = NetlinkMessage::from(message);
        request.header.flags = flags;
        let mut answers = Box::pin(self.handle.clone().request(request).map_err(|_| lost())?);
        let mut all = Vec::new();
        while let Some(answer) = timeout(ANSWER, answers.next()).await.map_err(|_| lost())? {
            match answer.payload {
                NetlinkPayload::InnerMessage(message) => all.push(message),
                NetlinkPayload::Error(error) if error.code.is_some() => {
                    return Err(NetError::Refused { what: what.to_owned(), source: error.to_io() });
                }
                _ => {}
            }
        }
        Ok(all)
    }
}

impl Drop for Netlink {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

/// What the listening socket brings.
#[derive(Debug)]
pub(crate) enum Heard {
    /// A change.
    Change(Box<RouteNetlinkMessage>),
    /// Changes were lost: everything must be read again.
    Overrun,
}

/// The socket that listens.
pub(crate) struct Events {
    messages: Messages,
    driver: JoinHandle<()>,
}

type Messages = Pin<Box<dyn Stream<Item = NetlinkMessage<RouteNetlinkMessage>> + Send>>;

const GROUPS: &[MulticastGroup] = &[
    MulticastGroup::Link,
    MulticastGroup::Neigh,
    MulticastGroup::Ipv4Ifaddr,
    MulticastGroup::Ipv4Route,
    MulticastGroup::Ipv4Rule,
    MulticastGroup::Ipv6Ifaddr,
    MulticastGroup::Ipv6Route,
    MulticastGroup::Ipv6Rule,
];

impl Events {
    /// Opens it in the network namespace of this thread, with a receive buffer
    /// of so many bytes.
    pub(crate) fn open(buffer: usize) -> Result<Self, NetError> {
        let (mut connection, _, messages) =
            rtnetlink::new_multicast_connection(GROUPS).map_err(NetError::Open)?;
        enlarge(&mut connection, buffer);
        Ok(Self {
            messages: Box::pin(messages.map(|(message, _)| message)),
            driver: tokio::spawn(connection),
        })
    }

    /// The next event; `None` when the socket is gone. Cancel-safe.
    pub(crate) async fn next(&mut self) -> Option<Heard> {
        loop {
            match self.messages.next().await?.payload {
                NetlinkPayload::InnerMessage(message) => {
                    return Some(Heard::Change(Box::new(message)));
                }
                NetlinkPayload::Overrun(_) => return Some(Heard::Overrun),
                _ => {}
            }
        }
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

/// Receive buffer of the listening socket: a full table of a thousand
/// neighbours or routes changing at once fits.
pub(crate) const EVENT_BUFFER: usize = 8 << 20;
const REQUEST_BUFFER: usize = 2 << 20;

/// A larger receive buffer where the kernel lets us: a smaller one only means more resyncs.
fn enlarge(connection: &mut Connection<RouteNetlinkMessage>, bytes: usize) {
    let socket = connection.socket_mut().socket_mut();
    if setsockopt(socket, sockopt::RcvBufForce, &bytes).is_err() {
        setsockopt(socket, sockopt::RcvBuf, &bytes).ok();
    }
}
