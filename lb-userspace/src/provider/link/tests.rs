use std::{
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
    time::Duration,
};

use tempfile::TempDir;

use super::*;

/// Publishes numbers, as fast as it can.
struct Counter {
    upto: usize,
    then: Result<(), &'static str>,
    read: Arc<AtomicUsize>,
}

impl Source for Counter {
    type State = usize;

    fn name(&self) -> &'static str {
        "counter"
    }

    fn endpoint(&self) -> String {
        "here".to_owned()
    }

    fn follow<'a>(&'a self, outlet: &'a Outlet<usize>) -> Following<'a> {
        Box::pin(async move {
            for n in 1..=self.upto {
                outlet.publish(n);
                tokio::task::yield_now().await;
            }
            match self.then {
                Ok(()) => std::future::pending().await,
                Err(why) => Err(why.to_owned()),
            }
        })
    }

    fn reader(&self) -> Reader<usize> {
        let read = Arc::clone(&self.read);
        Box::new(move |n| {
            read.fetch_add(1, Relaxed);
            Outcome { serving: *n, ..Outcome::default() }
        })
    }
}

fn counter(upto: usize, then: Result<(), &'static str>) -> Counter {
    Counter { upto, then, read: Arc::default() }
}

fn around(folder: &TempDir, follows: bool) -> Around {
    let state = Some(folder.path().to_owned());
    Around { follows, throttle: Duration::ZERO, state, ..Around::default() }
}

/// Waits for changes until `wanted` says yes.
async fn until(link: &mut Box<dyn Provider>, wanted: impl Fn(&super::super::status::Seen) -> bool) {
    let status = link.status().expect("a status");
    let waiting = async {
        while !wanted(&status.seen()) {
            let _ = tokio::time::timeout(Duration::from_millis(20), link.changed()).await;
            link.read(false);
        }
    };
    tokio::time::timeout(Duration::from_secs(60), waiting).await.expect("it comes to that");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_is_read_now_and_then_and_its_end_is_not_missed() {
    let folder = TempDir::new().expect("a folder");
    let source = counter(100_000, Ok(()));
    let read = Arc::clone(&source.read);
    let mut link = Link::provider(source, &around(&folder, true));
    until(&mut link, |seen| seen.serving == 100_000).await;
    assert!(read.load(Relaxed) < 20_000, "{}", read.load(Relaxed));
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_are_counted_and_told_and_what_was_said_stays() {
    let folder = TempDir::new().expect("a folder");
    let mut link = Link::provider(counter(3, Err("it broke")), &around(&folder, true));
    until(&mut link, |seen| seen.failures >= 2).await;
    let status = link.status().expect("a status").row();
    assert_eq!(status.last_error.as_deref(), Some("it broke"));
    assert_eq!((status.serving, link.read(false).texts.len()), (3, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_run_begins_with_what_was_said_last() {
    let folder = TempDir::new().expect("a folder");
    let mut link = Link::provider(counter(7, Ok(())), &around(&folder, true));
    let file = folder.path().join("providers/counter.json");
    until(&mut link, |_| std::fs::read_to_string(&file).is_ok_and(|text| text == "7")).await;
    drop(link);
    let mut link = Link::provider(counter(0, Ok(())), &around(&folder, true));
    assert_eq!(link.read(false).texts.len(), 1);
    let status = link.status().expect("a status").row();
    assert_eq!((status.serving, status.kept, status.connected_since), (7, true, None));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_writes_what_came_a_moment_before() {
    let folder = TempDir::new().expect("a folder");
    let mut link = Link::provider(counter(50_000, Ok(())), &around(&folder, true));
    until(&mut link, |seen| seen.serving == 50_000).await;
    drop(link);
    let file = folder.path().join("providers/counter.json");
    assert_eq!(std::fs::read_to_string(file).expect("written"), "50000");
}

#[test]
fn kept_garbage_is_no_hindrance() {
    let folder = TempDir::new().expect("a folder");
    std::fs::create_dir(folder.path().join("providers")).expect("made");
    std::fs::write(folder.path().join("providers/counter.json"), "{{").expect("written");
    let mut link = Link::provider(counter(0, Ok(())), &around(&folder, false));
    assert_eq!(link.read(false).texts.len(), 0);
}

#[tokio::test]
async fn a_check_follows_nothing() {
    let folder = TempDir::new().expect("a folder");
    let mut link = Link::provider(counter(3, Ok(())), &around(&folder, false));
    let waited = tokio::time::timeout(Duration::from_millis(100), link.changed()).await;
    assert!(waited.is_err());
    assert_eq!(link.read(false).texts.len(), 0);
}
