//! A small name server for one name, and an `lb` that asks it alone.

use std::{
    fs,
    net::{Ipv4Addr, UdpSocket},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use anyhow::Result;
use lb_tests::{Namespace, daemon::binary};

/// What the zone says of every name.
#[derive(Clone, Debug)]
pub(super) enum Say {
    /// These addresses, for so many seconds.
    Addresses(Vec<Ipv4Addr>, u32),
    /// `SERVFAIL`.
    Failure,
}

/// A name server at 127.0.0.53 of a namespace.
pub(super) struct Zone {
    say: Arc<Mutex<Say>>,
    asked: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Zone {
    pub(super) fn start(ns: &Namespace, addresses: &[&str], ttl: u32) -> Result<Self> {
        let socket = ns.run(|| UdpSocket::bind("127.0.0.53:53"))?;
        // Short, so that the end is noticed soon.
        socket.set_read_timeout(Some(Duration::from_millis(50)))?;
        let say = Arc::new(Mutex::new(answer(addresses, ttl)?));
        let (asked, stop) = (Arc::default(), Arc::default());
        let thread = std::thread::spawn({
            let (say, asked, stop) = (Arc::clone(&say), Arc::clone(&asked), Arc::clone(&stop));
            move || serve(&socket, &say, &asked, &stop)
        });
        Ok(Self { say, asked, stop, thread: Some(thread) })
    }

    pub(super) fn set(&self, addresses: &[&str], ttl: u32) -> Result<()> {
        *self.say.lock().expect("the zone") = answer(addresses, ttl)?;
        Ok(())
    }

    pub(super) fn fail(&self) {
        *self.say.lock().expect("the zone") = Say::Failure;
    }

    /// Questions so far.
    pub(super) fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }
}

impl Drop for Zone {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

fn answer(addresses: &[&str], ttl: u32) -> Result<Say> {
    let addresses = addresses.iter().map(|ip| ip.parse()).collect::<Result<_, _>>()?;
    Ok(Say::Addresses(addresses, ttl))
}

/// `lb` with a mount namespace of its own, in which `/etc/resolv.conf` names the zone.
pub(super) fn binary_asking_it(folder: &Path) -> Result<PathBuf> {
    let resolv = folder.join("resolv.conf");
    fs::write(&resolv, "nameserver 127.0.0.53\noptions timeout:1 attempts:1\n")?;
    let (lb, script) = (binary(), folder.join("lb"));
    let text = format!(
        "#!/bin/sh\n[ \"$1\" = run ] || exec {lb} \"$@\"\n\
         exec unshare --mount sh -c 'mount --bind {resolv} /etc/resolv.conf && exec \"$@\"' sh {lb} \"$@\"\n",
        lb = lb.display(),
        resolv = resolv.display(),
    );
    fs::write(&script, text)?;
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755))?;
    Ok(script)
}

fn serve(socket: &UdpSocket, say: &Mutex<Say>, asked: &AtomicUsize, stop: &AtomicBool) {
    let mut buffer = [0; 1500];
    while !stop.load(Ordering::Relaxed) {
        let Ok((n, from)) = socket.recv_from(&mut buffer) else { continue };
        asked.fetch_add(1, Ordering::Relaxed);
        let said = say.lock().expect("the zone").clone();
        if let Some(reply) = reply(&buffer[..n], &said) {
            // A reply that is lost is asked for again.
            let _ = socket.send_to(&reply, from);
        }
    }
}

/// The answer to a query of one question (RFC 1035 §4.1).
fn reply(query: &[u8], say: &Say) -> Option<Vec<u8>> {
    const HEADER: usize = 12;
    const A: [u8; 2] = [0, 1];
    let name = query.get(HEADER..)?.iter().position(|&byte| byte == 0)? + 1;
    let question = query.get(HEADER..HEADER + name + 4)?;
    let kind = question.get(name..name + 2)?;
    let (code, addresses, ttl) = match say {
        Say::Failure => (2, &[][..], 0),
        Say::Addresses(addresses, ttl) if kind == A => (0, addresses.as_slice(), *ttl),
        Say::Addresses(_, ttl) => (0, &[][..], *ttl),
    };
    let mut reply = query.get(..2)?.to_vec();
    reply.extend([0x84, code, 0, 1, 0, u8::try_from(addresses.len()).ok()?, 0, 0, 0, 0]);
    reply.extend(question);
    for address in addresses {
        // The name by a pointer to the question, class IN.
        reply.extend([0xc0, 12, 0, 1, 0, 1]);
        reply.extend(ttl.to_be_bytes());
        reply.extend([0, 4]);
        reply.extend(address.octets());
    }
    Some(reply)
}
