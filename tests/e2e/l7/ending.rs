//! SIGTERM: what runs may end, nothing new begins, and the daemon ends by itself.

use anyhow::Result;
use lb_tests::client::http1::request;
use nix::sys::signal::Signal;

use super::{
    kit::{World, app},
    load::Load,
};

#[test]
fn an_idle_daemon_ends_at_once() -> Result<()> {
    let world = World::new(1)?;
    let text = app(&[0], "")
        .replace(":8080\" }", ":8080\", transport: { lifeCycle: { graceTimeOut: 1h } } }");
    let mut daemon = world.start(&text)?;
    let mut idle = world.connect()?;
    assert_eq!(idle.get("/", &[])?.status, 200);
    assert_eq!(daemon.terminate()?.code(), Some(0));
    assert!(idle.rest()?.is_empty());
    Ok(())
}

#[test]
fn a_running_request_is_finished() -> Result<()> {
    let world = World::new(1)?;
    let mut daemon = world.start(&app(&[0], ""))?;
    let mut slow = world.connect()?;
    slow.send(&request("GET", "/slow/1500", &[], b""))?;
    let mut dripping = world.connect()?;
    dripping.send(&request("GET", "/drip/20/100", &[], b""))?;
    assert_eq!(dripping.head()?.status, 200);
    while world.origins[0].requests() < 2 {
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    daemon.signal(Signal::SIGTERM)?;
    let answer = slow.answer("GET")?;
    assert_eq!(answer.brief(), (200, "a".to_owned()));
    assert_eq!(answer.header("connection"), Some("close"));
    assert!(slow.rest()?.is_empty());
    let mut lines = 0;
    while !dripping.chunk()?.is_empty() {
        lines += 1;
    }
    assert_eq!(lines, 20);
    assert_eq!(daemon.wait()?.code(), Some(0));
    assert!(world.connect().is_err(), "still listening");
    Ok(())
}

#[test]
fn what_takes_too_long_is_cut_off() -> Result<()> {
    let world = World::new(1)?;
    let text = app(&[0], "")
        .replace(":8080\" }", ":8080\", transport: { lifeCycle: { graceTimeOut: 500ms } } }");
    let mut daemon = world.start(&text)?;
    let mut endless = world.connect()?;
    endless.send(&request("GET", "/drip/100000/20", &[], b""))?;
    assert_eq!(endless.head()?.status, 200);
    assert_eq!(daemon.terminate()?.code(), Some(0));
    let end = std::iter::from_fn(|| Some(endless.chunk()))
        .find(|chunk| chunk.as_ref().map_or(true, Vec::is_empty));
    assert!(end.is_some_and(|end| end.is_err()), "passed off as whole");
    Ok(())
}

/// Clients that connect anew are refused, for there is no next daemon here. A kept connection may
/// end before its next request, which a client sends again (RFC 9112 §9.3.1); on a new one every
/// request is answered, and no answer breaks off.
#[test]
fn nobody_is_cut_off_in_the_middle() -> Result<()> {
    let world = World::new(1)?;
    let mut daemon = world.start(&app(&[0], ""))?;
    let load = Load::start(&world, 4, 4)?;
    load.wait_for(100)?;
    assert_eq!(daemon.terminate()?.code(), Some(0));
    let tally = load.finish()?;
    let cut: Vec<_> = tally
        .failures
        .iter()
        .filter(|failure| {
            let before_an_answer = ["ended after \"\"", "reset by peer", "sending"];
            let was_idle = failure.starts_with("kept connection")
                && !failure.contains("reading the body")
                && before_an_answer.iter().any(|part| failure.contains(part));
            !failure.contains("connecting to") && !was_idle
        })
        .collect();
    assert!(cut.is_empty(), "{cut:?}");
    Ok(())
}
