//! Floods of HTTP/2 frames: bounded memory, the right end, and everybody else served meanwhile.

use std::{
    io,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use anyhow::{Result, ensure};
use lb_tests::client::http2::{END, Frame, HEAD, Outcome, Wire, block, integer, kind};

use super::{
    kit::{WEB, World, app},
    watch::{FRESH, fresh, memory, p99},
};

/// What a flood may make the daemon grow by, in KiB.
const GROWTH: u64 = 64 * 1024;

const ENHANCE_YOUR_CALM: u32 = 11;

fn fields<'a>(method: &'a [u8], path: &'a [u8]) -> [(&'a [u8], &'a [u8]); 4] {
    [(b":method", method), (b":scheme", b"http"), (b":path", path), (b":authority", b"lb")]
}

fn get(stream: u32, path: &str) -> Frame {
    Frame::headers(END, stream, &fields(b"GET", path.as_bytes()))
}

/// Sends the same frames again and again until the other side has had enough, or so many times.
/// Whether it took all of them.
fn pour(wire: &mut Wire, times: usize, frames: impl Fn(u32) -> Vec<Frame>) -> bool {
    wire.socket().set_write_timeout(Some(Duration::from_secs(3))).is_ok()
        && (0..times).step_by(64).all(|first| {
            let bytes: Vec<u8> = (first..first + 64)
                .flat_map(|n| frames(1 + 2 * n as u32))
                .flat_map(|frame| frame.bytes())
                .collect();
            wire.write(&bytes).is_ok()
        })
}

/// What comes of a flood, while fresh clients are served.
fn flooded(act: impl FnOnce(&mut Wire) -> io::Result<Outcome> + Send) -> Result<Outcome> {
    let world = World::new(1)?;
    let daemon = world.start(&app(&[0], ""))?;
    fresh(&world, 20)?;
    let before = memory(&daemon)?;
    let over = AtomicBool::new(false);
    let (outcome, most) = std::thread::scope(|scope| -> Result<_> {
        let flood = scope.spawn(|| {
            let outcome = world.ns.run(|| act(&mut Wire::open(WEB)?));
            over.store(true, Ordering::Relaxed);
            outcome
        });
        let mut most = before;
        let mut took = Vec::new();
        while !over.load(Ordering::Relaxed) {
            took.extend(fresh(&world, 1)?);
            most = most.max(memory(&daemon)?);
        }
        took.sort();
        if !took.is_empty() {
            let (count, p99) = (took.len(), p99(&took));
            println!("{count} fresh clients meanwhile, p99 {p99:?}, {before} to {most} KiB");
            ensure!(p99 < FRESH, "fresh clients waited: p99 {p99:?}");
        }
        let outcome = flood.join().map_err(|_| anyhow::anyhow!("the flood panicked"))??;
        Ok((outcome, most))
    })?;
    let most = most.max(memory(&daemon)?);
    ensure!(most < before + GROWTH, "grew from {before} to {most} KiB");
    fresh(&world, 20)?;
    Ok(outcome)
}

/// CVE-2023-44487.
#[test]
fn requests_that_are_reset_at_once() -> Result<()> {
    let outcome = flooded(|wire| {
        let reset = |stream| {
            let cancel = Frame::new(kind::RST_STREAM, 0, stream, [0, 0, 0, 8]);
            vec![get(stream, "/slow/1000"), cancel]
        };
        let took_all = pour(wire, 50_000, reset);
        assert!(!took_all, "50,000 resets were borne");
        Ok(wire.outcome(u32::MAX))
    })?;
    assert!(matches!(outcome, Outcome::Goaway(ENHANCE_YOUR_CALM) | Outcome::Closed), "{outcome:?}");
    Ok(())
}

/// CVE-2024-27316.
#[test]
fn fields_that_never_end() -> Result<()> {
    let outcome = flooded(|wire| {
        let mut head = block(&fields(b"GET", b"/"));
        head.extend([0, 1, b'x']);
        integer(&mut head, 0, 7, 1 << 30);
        wire.send(&Frame::new(kind::HEADERS, END, 1, head))?;
        let more = |_| vec![Frame::new(kind::CONTINUATION, 0, 1, vec![b'a'; 16_000])];
        let took_all = pour(wire, 20_000, more);
        assert!(!took_all, "300 MB of fields were borne");
        Ok(wire.outcome(1))
    })?;
    assert!(matches!(outcome, Outcome::Goaway(_) | Outcome::Closed), "{outcome:?}");
    Ok(())
}

#[test]
fn fields_in_the_smallest_pieces() -> Result<()> {
    let outcome = flooded(|wire| {
        wire.send(&Frame::new(kind::HEADERS, END, 1, block(&fields(b"GET", b"/"))))?;
        let took_all = pour(wire, 200_000, |_| vec![Frame::new(kind::CONTINUATION, 0, 1, [])]);
        assert!(!took_all, "200,000 empty pieces were borne");
        Ok(wire.outcome(1))
    })?;
    assert!(matches!(outcome, Outcome::Goaway(_) | Outcome::Closed), "{outcome:?}");
    Ok(())
}

/// Answers that nobody reads don't pile up: the sender has to wait.
#[test]
fn settings() -> Result<()> {
    flooded(|wire| {
        let table_size = [0, 1, 0, 0, 16, 0];
        pour(wire, 200_000, |_| vec![Frame::new(kind::SETTINGS, 0, 0, table_size)]);
        Ok(Outcome::Closed)
    })?;
    Ok(())
}

#[test]
fn pings() -> Result<()> {
    flooded(|wire| {
        pour(wire, 400_000, |n| vec![Frame::new(kind::PING, 0, 0, u64::from(n).to_be_bytes())]);
        Ok(Outcome::Closed)
    })?;
    Ok(())
}

/// A few bytes that stand for megabytes (CVE-2016-6581).
#[test]
fn compressed_fields_that_grow() -> Result<()> {
    let outcome = flooded(|wire| {
        // Into the dynamic table, where it fits exactly; then that entry, over and over.
        let mut head = block(&fields(b"GET", b"/"));
        head.extend([0x40, 1, b'x']);
        integer(&mut head, 0, 7, 4000);
        head.extend([b'a'; 4000]);
        let references = 16_000 - head.len();
        head.extend(std::iter::repeat_n(0x80 | 62, references));
        wire.send(&Frame::new(kind::HEADERS, END | HEAD, 1, head))?;
        let first = wire.outcome(1);
        let mut again = block(&fields(b"GET", b"/"));
        again.extend([0x80 | 62; 16_000]);
        pour(wire, 640, |n| vec![Frame::new(kind::HEADERS, END | HEAD, n + 2, again.clone())]);
        Ok(first)
    })?;
    assert!(
        matches!(outcome, Outcome::Status(431) | Outcome::Reset(_) | Outcome::Goaway(_)),
        "{outcome:?}"
    );
    Ok(())
}

#[test]
fn data_without_bytes() -> Result<()> {
    flooded(|wire| {
        wire.send(&Frame::headers(0, 1, &fields(b"POST", b"/echo")))?;
        pour(wire, 300_000, |_| vec![Frame::data(0, 1, b"")]);
        Ok(Outcome::Closed)
    })?;
    Ok(())
}

/// Large answers that are never taken, and then by a byte at a time.
#[test]
fn windows_that_stay_shut() -> Result<()> {
    flooded(|wire| {
        wire.send(&Frame::new(kind::SETTINGS, 0, 0, [0, 4, 0, 0, 0, 0]))?;
        for n in 0..200 {
            wire.send(&get(1 + 2 * n, "/big/100000"))?;
        }
        std::thread::sleep(Duration::from_secs(1));
        pour(wire, 20_000, |n| {
            vec![Frame::new(kind::WINDOW_UPDATE, 0, (n % 400) | 1, [0, 0, 0, 1])]
        });
        Ok(Outcome::Closed)
    })?;
    Ok(())
}
