//! One backend is drained: nothing new comes, and what is there stays.

use anyhow::{Result, ensure};
use lb_tests::client::http;

use crate::demo::held::Held;
use crate::demo::stage::Stage;

const CONNECTIONS: usize = 600;
const HELD: usize = 24;
const DRAINED: usize = 1;

pub(super) fn play(stage: &mut Stage<'_>) -> Result<()> {
    let mut held = Held::open(stage, HELD)?;
    let name = stage.lab.backends[DRAINED].name.clone();
    let backend = stage.backend(DRAINED);
    let there = held.on(&name);
    ensure!(there > 0, "none of {HELD} connections went to {name}");
    stage.screen.say(&format!("Clients hold {HELD} connections open, {there} of them on {name}."));
    stage.screen.space();
    stage.show(&["drain", "web", &backend])?;
    let web = stage.web();
    let spread = stage.lab.client.run(|| http::spread(web, CONNECTIONS))?;
    let still = held.answered(&[&name]);
    let shares = stage.lab.backends.iter().map(|host| {
        let count = spread.get(&host.name).copied().unwrap_or(0);
        format!("{} got {count}", host.name)
    });
    let shares: Vec<_> = shares.collect();
    stage.screen.space();
    stage.screen.say(&format!(
        "Of {CONNECTIONS} new connections {}.\nOf the {there} held on {name}, {still} still answer.",
        shares.join(", ")
    ));
    stage.screen.space();
    stage.show(&["backends", "web"])?;
    ensure!(!spread.contains_key(&name), "a drained backend got new connections");
    ensure!(still == there, "a drained backend lost connections");
    stage.show(&["undrain", "web", &backend])
}
