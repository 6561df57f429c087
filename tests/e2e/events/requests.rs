//! `lb.api.*` and `lb.NODE.api.*`: two nodes and the real server.

use std::time::Duration;

use anyhow::{Context, Result};
use futures_util::StreamExt;
use lb_tests::{Daemon, Namespace};
use serde_json::{Value, json};

use super::kit::{Nats, PATIENCE};

const SERVER: &str = "10.0.1.5:5432";

/// A node with a service `pg`, which nothing leads to.
fn node(name: &str) -> String {
    format!(
        "events: {{ node: {name}, nats: {{ url: \"nats://127.0.0.1:4222\" }} }}\n\
         tcp: {{ services: {{ pg: {{ loadBalancer: {{ servers: [ {{ address: \"{SERVER}\" }} ] }} }} }} }}\n"
    )
}

/// Asks until somebody answers: a node may still be subscribing.
fn ask(nats: &Nats<'_>, subject: &str, body: &Value) -> Result<(Value, Option<String>)> {
    nats.client(async |client| {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let answer = loop {
            match client.request(subject.to_owned(), body.clone().into()).await {
                Ok(answer) => break answer,
                Err(error) if error.to_string().contains("no responders") => {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                Err(error) => return Err(error.into()),
            }
        };
        let code = answer.headers.as_ref().and_then(|all| all.get("Nats-Service-Error-Code"));
        Ok((serde_json::from_slice(&answer.payload)?, code.map(ToString::to_string)))
    })
}

fn row(daemon: &Daemon<'_>) -> Result<Value> {
    let rows = daemon.json(&["backends", "pg"])?;
    rows.get(0).cloned().context("a row")
}

#[test]
fn one_node_answers_for_all_and_each_for_itself() -> Result<()> {
    let ns = Namespace::new("requests")?;
    let nats = Nats::start(&ns)?;
    let (a, b) = (Daemon::start(&ns, &node("a"))?, Daemon::start(&ns, &node("b"))?);
    for (name, daemon) in [("a", &a), ("b", &b)] {
        let (status, code) = ask(&nats, &format!("lb.{name}.api.status"), &Value::Null)?;
        assert_eq!((&status["instance"], code), (&json!(daemon.instance), None));
    }
    // Each node has answered a later question when it is asked for itself again: what came until
    // then are all the answers there are.
    let answers = nats.client(async |client| {
        let inbox = client.new_inbox();
        let mut answers = client.subscribe(inbox.clone()).await?;
        for _ in 0..10 {
            client.publish_with_reply("lb.api.backends", inbox.clone(), "".into()).await?;
        }
        for name in ["a", "b"] {
            client.request(format!("lb.{name}.api.status"), "".into()).await?;
        }
        let mut count = 0;
        while let Ok(Some(answer)) =
            tokio::time::timeout(Duration::from_secs(2), answers.next()).await
        {
            let rows: Value = serde_json::from_slice(&answer.payload)?;
            assert_eq!(rows[0]["service"], "pg@file");
            count += 1;
        }
        Ok(count)
    })?;
    assert_eq!(answers, 10);
    Ok(())
}

#[test]
fn drains_and_weights_reach_all_nodes() -> Result<()> {
    let ns = Namespace::new("requests")?;
    let mut nats = Nats::start(&ns)?;
    let (a, b) = (Daemon::start(&ns, &node("a"))?, Daemon::start(&ns, &node("b"))?);
    let of = |more: Value| {
        let mut body = json!({ "service": "pg", "backend": SERVER });
        body.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap());
        body
    };
    let (rows, _) = ask(&nats, "lb.api.drain", &of(json!({})))?;
    assert_eq!((&rows[0]["drained"], &rows[0]["service"]), (&json!(true), &json!("pg@file")));
    let both = |what: &str, wanted: &dyn Fn(&Value) -> bool| -> Result<()> {
        for daemon in [&a, &b] {
            daemon.wait_for(what, PATIENCE, |daemon| Ok(wanted(&row(daemon)?)))?;
        }
        Ok(())
    };
    both("it is drained", &|row| row["drained"] == true)?;
    ask(&nats, "lb.b.api.weight", &of(json!({ "weight": 9 })))?;
    both("it has a weight", &|row| row["weightOverride"] == 9 && row["drained"] == true)?;

    // One that comes later, after a crash of the server, finds it.
    nats.kill()?;
    nats.run()?;
    let c = Daemon::start(&ns, &node("c"))?;
    c.wait_for("it knows", PATIENCE, |c| {
        let row = row(c)?;
        Ok(row["weightOverride"] == 9 && row["drained"] == true)
    })?;
    ask(&nats, "lb.api.drain", &of(json!({ "drain": false })))?;
    ask(&nats, "lb.api.weight", &of(json!({ "weight": null })))?;
    both("it is as configured", &|row| row["weightOverride"].is_null() && row["drained"] == false)
}

#[test]
fn what_makes_no_sense_is_refused_with_the_apis_words() -> Result<()> {
    let ns = Namespace::new("requests")?;
    let nats = Nats::start(&ns)?;
    let _a = Daemon::start(&ns, &node("a"))?;
    let table = [
        ("lb.api.drain", json!({ "service": "pgg", "backend": SERVER }), "404", "did you mean"),
        ("lb.api.drain", json!({ "service": "pg" }), "400", "\"backend\""),
        ("lb.api.weight", json!({ "service": "pg", "backend": SERVER }), "400", "\"weight\""),
        ("lb.api.weight", json!({ "wieght": 1 }), "400", "wieght"),
        ("lb.api.backends", json!({ "service": "nobody" }), "404", "nobody"),
        ("lb.api.reload", Value::Null, "404", "reload"),
    ];
    for (subject, body, code, words) in table {
        let (answer, got) = ask(&nats, subject, &body)?;
        let message = answer["message"].as_str().unwrap_or_default();
        assert_eq!(got.as_deref(), Some(code), "{subject} {body}: {answer}");
        assert!(message.contains(words), "{subject} {body}: {answer}");
    }
    Ok(())
}
