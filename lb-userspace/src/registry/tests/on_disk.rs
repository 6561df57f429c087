//! What is on disk, and what comes of it.

use std::{fs, path::PathBuf};

use super::Bench;
use crate::registry::{hub::Hub, log::Log};

async fn filled() -> (Bench, PathBuf) {
    let bench = Bench::new();
    bench.service("x", "x1", r#","Tags":["t"],"Check":{"TTL":"1h","Status":"passing"}"#).await;
    bench.service("x", "x2", "").await;
    bench.put("/v1/agent/service/deregister/x2", "").await;
    bench.put("/v1/kv/a?flags=3", "\u{0}\n\u{ff}").await;
    bench.put("/v1/kv/b", "x").await;
    bench.ask("DELETE", "/v1/kv/b", "").await;
    let log = bench.folder.path().join("registry.log");
    (bench, log)
}

/// Everything a client can see.
async fn seen(bench: &Bench) -> Vec<String> {
    let mut seen = Vec::new();
    for path in ["/v1/health/service/x", "/v1/kv/?recurse", "/v1/agent/checks"] {
        seen.push(bench.get(path).await.body);
    }
    seen
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_that_was_acknowledged_is_there_again() {
    let (bench, _) = filled().await;
    let (before, index) = (seen(&bench).await, bench.hub.read().index);
    let Bench { folder, .. } = bench;
    let again = Bench::on(folder, false);
    assert_eq!(seen(&again).await, before);
    assert_eq!(again.hub.read().index, index);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_torn_last_line_is_cut_off_and_said_so() {
    let (bench, log) = filled().await;
    let before = seen(&bench).await;
    let whole = fs::read(&log).unwrap();
    let more = bench.ask("PUT", "/v1/kv/c", "never acknowledged").await;
    assert_eq!(more.body, "true");
    let longer = fs::read(&log).unwrap();
    for cut in [whole.len() + 1, whole.len() + 12, longer.len() - 1] {
        fs::write(&log, &longer[..cut]).unwrap();
        let (hub, notices) = Hub::open(&log).unwrap();
        let bytes = cut - whole.len();
        let wanted = format!("the last {bytes} bytes of a write that was never acknowledged");
        assert!(notices.len() == 1 && notices[0].contains(&wanted), "{notices:?}");
        assert_eq!(fs::read(&log).unwrap(), whole);
        assert!(!hub.read().pairs.contains_key("c"));
    }
    let Bench { folder, .. } = bench;
    assert_eq!(seen(&Bench::on(folder, false)).await, before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_line_before_the_end_is_passed_over_and_kept_aside() {
    let (bench, log) = filled().await;
    bench.put("/v1/kv/last", "x").await;
    let mut bytes = fs::read(&log).unwrap();
    bytes[20] ^= 1;
    fs::write(&log, &bytes).unwrap();
    let (hub, notices) = Hub::open(&log).unwrap();
    assert!(notices.iter().any(|notice| notice.contains("1 lines can't be read")), "{notices:?}");
    assert!(hub.read().pairs.contains_key("last"));
    assert_eq!(fs::read(log.with_extension("log.damaged")).unwrap(), bytes);
    assert!(Hub::open(&log).unwrap().1.is_empty(), "said once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_log_of_little_is_rewritten() {
    let bench = Bench::new();
    let value = "x".repeat(400_000);
    for round in 0..40 {
        bench.put("/v1/kv/a", &format!("{round}{value}")).await;
    }
    let log = bench.folder.path().join("registry.log");
    let length = fs::metadata(&log).unwrap().len();
    assert!(length < 12 << 20, "{length}");
    let index = bench.hub.read().index;
    let (_, replay) = Log::open(&log).unwrap();
    assert_eq!(replay.state.index, index);
    assert!(replay.state.pairs["a"].value.starts_with(b"39x"));
    assert_eq!(replay.state.pairs["a"].created, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_at_once_share_their_writes() {
    let bench = Bench::new();
    let all = (0..2000).map(|i| {
        let wish = super::super::change::Wish::Put {
            key: format!("k{i}"),
            value: b"v".to_vec(),
            flags: 0,
            cas: None,
        };
        bench.hub.wish(wish)
    });
    assert!(futures_util::future::join_all(all).await.iter().all(|held| *held == Ok(true)));
    assert_eq!(bench.hub.read().pairs.len(), 2000);
}
