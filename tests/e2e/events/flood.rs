//! A source that changes thousands of times a second: what isn't touched never fails, and what it
//! says last is in force. `--nocapture` prints how fast it was.

use std::{collections::BTreeMap, ops::Range, time::Instant};

use anyhow::{Result, ensure};
use async_nats::jetstream::kv::Store;
use futures_util::{StreamExt, TryStreamExt, stream};
use lb_tests::Daemon;

use super::{
    bucket::bucket,
    churn::web,
    kit::{Nats, PATIENCE, client_within},
};
use crate::l7::{
    kit::{WEB, World, origin_at},
    load::Load,
};

/// Changes, as fast as the server takes them.
const CHANGES: usize = 30_000;
/// Of so many instances.
const INSTANCES: usize = 50;
/// That wait for the server's acknowledgement at a time.
const UNDER_WAY: usize = 512;

/// Where the instance of this number is, and its weight after so many changes.
fn instance(number: usize, change: usize) -> (String, usize) {
    (format!("127.9.0.{}:80", 1 + number), 1 + change % 97)
}

/// Puts these changes; which of those under way comes first is the client's affair.
async fn put(store: &Store, changes: Range<usize>) -> Result<()> {
    let puts = stream::iter(changes).map(|change| async move {
        let number = change % INSTANCES;
        let (address, weight) = instance(number, change);
        let (name, value) = web(100 + number, &address, weight);
        store.put(format!("services/{name}/1"), value.into()).await.map(drop)
    });
    Ok(puts.buffer_unordered(UNDER_WAY).try_collect::<()>().await?)
}

/// Weights of the flood's instances by address.
fn weights(daemon: &Daemon<'_>) -> Result<BTreeMap<String, usize>> {
    let rows = daemon.json(&["backends"])?;
    let rows = rows.as_array().cloned().unwrap_or_default();
    let row = |row: &serde_json::Value| {
        Some((row["address"].as_str()?.to_owned(), row["weight"].as_u64()? as usize))
    };
    let all = rows.iter().filter_map(row);
    Ok(all.filter(|(address, _)| address.starts_with("127.9.")).collect())
}

#[test]
fn a_flood_takes_nothing_away_and_its_end_is_in_force() -> Result<()> {
    const HOST: &[(&str, &str)] = &[("Host", "s1")];
    let world = World::new(2)?;
    let _nats = Nats::start(&world.ns)?;
    let config = format!(
        "providers: {{ nats: {{ servers: \"nats://127.0.0.1:4222\", bucket: lb }} }}\n\
         entryPoints: {{ web: {{ address: \"{WEB}\" }} }}\n"
    );
    let daemon = Daemon::start(&world.ns, &config)?;
    let serves = |service: &'static str, origin: &'static str| {
        daemon.wait_for(origin, PATIENCE, |_| {
            let answer = world.connect()?.get("/", &[("Host", service)])?;
            Ok(answer.header("x-server") == Some(origin))
        })
    };
    client_within(&world.ns, 4 * PATIENCE, async |client| {
        let store = bucket(client).await?;
        for service in [1, 2] {
            let (name, value) = web(service, &origin_at(0).to_string(), 1);
            store.put(format!("services/{name}/1"), value.into()).await?;
        }
        serves("s1", "a")?;
        serves("s2", "a")?;
        let load = Load::asking(&world, 2, 1, HOST)?;
        let begun = Instant::now();
        put(&store, 0..CHANGES).await?;
        println!("{:.0} changes a second", CHANGES as f64 / begun.elapsed().as_secs_f64());
        put(&store, CHANGES..CHANGES + INSTANCES).await?;
        let (name, value) = web(2, &origin_at(1).to_string(), 1);
        store.put(format!("services/{name}/1"), value.into()).await?;
        let begun = Instant::now();
        serves("s2", "b")?;
        println!("the last one is in force after {:?}", begun.elapsed());
        let wanted: BTreeMap<_, _> = (0..INSTANCES).map(|n| instance(n, CHANGES + n)).collect();
        daemon.wait_for("the flood's end", PATIENCE, |daemon| Ok(weights(daemon)? == wanted))?;
        let tally = load.check()?;
        ensure!(tally.good() > 0, "nothing was asked meanwhile");
        Ok(())
    })
}
