//! A small name server, and the files that point to it.

use std::{
    collections::HashMap,
    net::IpAddr,
    path::PathBuf,
    sync::{Arc, Mutex},
};

use hickory_resolver::proto::{
    op::{Message, ResponseCode},
    rr::{RData, Record, RecordType},
};
use tempfile::TempDir;
use tokio::{net::UdpSocket, task::AbortHandle};

use crate::health::dns::Dns;

/// What the zone says of one name and type.
#[derive(Clone, Debug)]
pub(super) enum Say {
    /// These addresses, for so many seconds.
    Addresses(Vec<IpAddr>, u32),
    Code(ResponseCode),
    Nothing,
}

pub(super) type Zone = Arc<Mutex<HashMap<(String, RecordType), Say>>>;

/// A name server with the files that point to it.
pub(super) struct Setup {
    zone: Zone,
    /// Questions as `name type`.
    asked: Arc<Mutex<Vec<String>>>,
    folder: TempDir,
    port: u16,
    task: AbortHandle,
}

impl Drop for Setup {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Setup {
    pub(super) async fn new() -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let port = socket.local_addr().unwrap().port();
        let (zone, asked) = (Zone::default(), Arc::new(Mutex::new(Vec::new())));
        let task = tokio::spawn(serve(socket, Arc::clone(&zone), Arc::clone(&asked)));
        let setup = Self {
            zone,
            asked,
            folder: tempfile::tempdir().unwrap(),
            port,
            task: task.abort_handle(),
        };
        setup.write("hosts", "127.0.0.1 localhost\n");
        setup.write("resolv.conf", "nameserver 127.0.0.1\noptions timeout:1 attempts:1\n");
        setup
    }

    pub(super) fn path(&self, file: &str) -> PathBuf {
        self.folder.path().join(file)
    }

    pub(super) fn write(&self, file: &str, text: &str) {
        std::fs::write(self.path(file), text).unwrap();
    }

    pub(super) fn say(&self, name: &str, kind: RecordType, say: Say) {
        self.zone.lock().unwrap().insert((name.to_owned(), kind), say);
    }

    pub(super) fn a(&self, name: &str, ttl: u32, addresses: &[&str]) {
        let addresses = addresses.iter().map(|a| a.parse().unwrap()).collect();
        self.say(name, RecordType::A, Say::Addresses(addresses, ttl));
    }

    pub(super) fn aaaa(&self, name: &str, ttl: u32, addresses: &[&str]) {
        let addresses = addresses.iter().map(|a| a.parse().unwrap()).collect();
        self.say(name, RecordType::AAAA, Say::Addresses(addresses, ttl));
    }

    pub(super) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }

    pub(super) fn dns(&self) -> Dns {
        Dns::new(self.path("hosts"), self.path("resolv.conf"), self.port)
    }

    pub(super) async fn lookup(&self, name: &str) -> Result<(Vec<String>, u64), String> {
        let answer = self.dns().lookup(name).await?;
        // What is left of the TTL: a second that has just begun counts.
        let seconds = answer.ttl.as_millis().div_ceil(1000) as u64;
        Ok((answer.addresses.iter().map(IpAddr::to_string).collect(), seconds))
    }
}

async fn serve(socket: UdpSocket, zone: Zone, asked: Arc<Mutex<Vec<String>>>) {
    let mut buffer = [0; 1500];
    while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
        let question = Message::from_vec(&buffer[..length]).unwrap();
        let query = question.queries[0].clone();
        let name = query.name().to_string();
        let name = name.trim_end_matches('.').to_owned();
        asked.lock().unwrap().push(format!("{name} {}", query.query_type()));
        let say = zone.lock().unwrap().get(&(name, query.query_type())).cloned();
        let mut reply = question.into_response();
        match say {
            Some(Say::Nothing) => continue,
            Some(Say::Code(code)) => reply.metadata.response_code = code,
            Some(Say::Addresses(addresses, ttl)) => {
                for address in addresses {
                    let record =
                        Record::from_rdata(query.name().clone(), ttl, RData::from(address));
                    reply.add_answer(record);
                }
            }
            None => reply.metadata.response_code = ResponseCode::NXDomain,
        }
        socket.send_to(&reply.to_vec().unwrap(), from).await.unwrap();
    }
}
