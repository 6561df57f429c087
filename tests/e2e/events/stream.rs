//! Events in a JetStream stream of the real server: started, killed, started again.

use std::{collections::BTreeSet, time::Duration};

use anyhow::{Context, Result};
use async_nats::jetstream;
use lb_tests::{Daemon, Namespace};
use nix::sys::signal::Signal;
use serde_json::Value;

use super::kit::{Nats, PATIENCE, config, counter};

const EVENTS: &str = "events: { node: edge.1, nats: { servers: \"nats://127.0.0.1:4222\" } }";
const WEIGHT: &str = "lb.events.edge%2E1.weight.http/app@file";
const SERVER: &str = "127.0.1.1:8000";

/// The weights that came, in their order.
fn weights(events: &[(String, Value)]) -> Vec<u64> {
    let of = events.iter().filter(|(subject, _)| subject == WEIGHT);
    of.filter_map(|(_, event)| event["data"]["to"].as_u64()).collect()
}

fn set(daemon: &Daemon<'_>, weights: std::ops::RangeInclusive<u64>) -> Result<()> {
    for weight in weights {
        daemon.ok(&["weight", "app", SERVER, &weight.to_string()])?;
    }
    Ok(())
}

#[test]
fn events_are_kept_in_a_stream_made_on_demand() -> Result<()> {
    let ns = Namespace::new("events")?;
    let nats = Nats::start(&ns)?;
    let daemon = Daemon::start(&ns, &config(EVENTS))?;
    set(&daemon, 5..=5)?;
    let events = nats.wait_for("weight", |events| !weights(events).is_empty())?;
    let (_, event) = events.iter().find(|(subject, _)| subject == WEIGHT).context("the weight")?;
    assert_eq!((&event["specversion"], &event["source"]), (&"1.0".into(), &"edge.1".into()));
    assert_eq!(event["type"], "lb.weight.changed");
    assert!(events[0].0.ends_with(".daemon.started"), "the start is told as well: {events:?}");
    nats.client(async |client| {
        let context = jetstream::new(client);
        let config = context.get_stream("LB_EVENTS").await?.cached_info().config.clone();
        assert_eq!(config.subjects, ["lb.events.>"]);
        assert_eq!(config.storage, jetstream::stream::StorageType::File);
        assert_eq!(config.retention, jetstream::stream::RetentionPolicy::Limits);
        assert_eq!(config.max_age, Duration::from_secs(86_400));
        Ok(())
    })
}

#[test]
fn what_happens_while_nats_is_away_arrives_once_and_in_order() -> Result<()> {
    let ns = Namespace::new("events")?;
    let mut nats = Nats::start(&ns)?;
    let daemon = Daemon::start(&ns, &config(EVENTS))?;
    set(&daemon, 2..=5)?;
    nats.wait_for("weights", |events| weights(events).len() == 4)?;
    nats.kill()?;
    set(&daemon, 6..=20)?;
    daemon.wait_for("lb status says that NATS is away", PATIENCE, |daemon| {
        Ok(daemon.json(&["status"])?["faults"].to_string().contains("events: NATS at"))
    })?;
    nats.run()?;
    let events = nats.wait_for("weights", |events| weights(events).len() >= 19)?;
    assert_eq!(weights(&events), (2..=20).collect::<Vec<_>>());
    let ids: BTreeSet<String> = events.iter().map(|(_, event)| event["id"].to_string()).collect();
    assert_eq!(ids.len(), events.len());
    assert_eq!(counter(&daemon, "lb_events_dropped_total{reason=\"nats_away\"}")?, 0);
    daemon.wait_for("lb status is content", PATIENCE, |daemon| {
        Ok(daemon.json(&["status"])?["faults"] == serde_json::json!([]))
    })
}

#[test]
fn the_oldest_are_given_up_and_counted_when_nats_is_away_for_too_long() -> Result<()> {
    let ns = Namespace::new("events")?;
    let mut nats = Nats::start(&ns)?;
    let small = EVENTS.replace("node:", "buffer: 16, node:");
    let daemon = Daemon::start(&ns, &config(&small))?;
    set(&daemon, 2..=2)?;
    nats.wait_for("weight", |events| weights(events).len() == 1)?;
    nats.kill()?;
    set(&daemon, 3..=42)?;
    daemon.wait_for("losses are counted", PATIENCE, |daemon| {
        Ok(counter(daemon, "lb_events_dropped_total{reason=\"nats_away\"}")? == 24)
    })?;
    nats.run()?;
    let events = nats.wait_for("the last weight", |events| weights(events).last() == Some(&42))?;
    let expected: Vec<u64> = [2].into_iter().chain(27..=42).collect();
    assert_eq!(weights(&events), expected);
    Ok(())
}

#[test]
fn a_burst_beyond_the_buffer_is_counted_where_nats_has_not_kept_up() -> Result<()> {
    let ns = Namespace::new("events")?;
    let nats = Nats::start(&ns)?;
    let small = EVENTS.replace("node:", "buffer: 16, node:");
    let weighing = |weight: u32| {
        let server = |n| format!("{{ url: \"http://127.0.2.{n}:80\", weight: {weight} }}");
        let servers: Vec<String> = (1..=100).map(server).collect();
        let text = config(&small);
        let (head, _) = text.split_once("servers: [").expect("servers");
        format!("{head}servers: [ {} ] }} }}\n", servers.join(", "))
    };
    let daemon = Daemon::start(&ns, &weighing(1))?;
    nats.wait_for("the start", |events| !events.is_empty())?;
    // Connected, but nothing is acknowledged.
    nats.signal(Signal::SIGSTOP)?;
    daemon.configure(&weighing(2))?;
    daemon.ok(&["reload"])?;
    nats.signal(Signal::SIGCONT)?;
    let is_last = |event: &Value| event["data"]["backend"] == "127.0.2.100:80";
    let events =
        nats.wait_for("the last weight", |events| events.last().is_some_and(|(_, e)| is_last(e)))?;
    let told = |kind: &str| counter(&daemon, &format!("lb_events_total{{type=\"{kind}\"}}"));
    let all = told("lb.daemon.started")? + told("lb.reload.succeeded")?;
    assert_eq!(all + told("lb.weight.changed")?, 102);
    let lost = counter(&daemon, "lb_events_dropped_total{reason=\"buffer_full\"}")?;
    assert_eq!(events.len() as u64 + lost, 102, "{events:?}");
    assert!(lost > 0 && events.len() > 16, "{lost} lost, {events:?}");
    Ok(())
}

#[test]
fn nats_may_come_later() -> Result<()> {
    let ns = Namespace::new("events")?;
    let mut daemon = Daemon::start(&ns, &config(EVENTS))?;
    set(&daemon, 2..=3)?;
    let nats = Nats::start(&ns)?;
    nats.wait_for("weights", |events| weights(events) == [2, 3])?;
    assert!(daemon.terminate()?.success());
    nats.wait_for("the end", |events| {
        events.last().is_some_and(|(subject, _)| subject.ends_with(".daemon.stopping"))
    })?;
    Ok(())
}

#[test]
fn a_stream_that_takes_other_subjects_is_left_alone_and_named() -> Result<()> {
    let ns = Namespace::new("events")?;
    let nats = Nats::start(&ns)?;
    nats.client(async |client| {
        let subjects = vec!["orders.*".to_owned()];
        let name = "LB_EVENTS".to_owned();
        let config = jetstream::stream::Config { name, subjects, ..Default::default() };
        jetstream::new(client).create_stream(config).await?;
        Ok(())
    })?;
    let daemon = Daemon::start(&ns, &config(EVENTS))?;
    daemon.wait_for("lb status names the stream", PATIENCE, |daemon| {
        let faults = daemon.json(&["status"])?["faults"].to_string();
        Ok(faults.contains("LB_EVENTS") && faults.contains("orders.*"))
    })
}
