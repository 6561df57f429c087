//! `train`: the loads of `l7` on lb alone, and requests as browsers and programs send them, for a
//! build that counts which ways they take. Nothing is measured.

use std::fs;

use anyhow::{Context, Result};
use lb_tests::{Daemon, Namespace};

use super::{
    load::{self, Load},
    process::Cpus,
    proxy::{Proxy, World},
};

/// Its set-ups.
const LB: [Proxy; 4] = [Proxy::Lb, Proxy::LbUnobserved, Proxy::LbObserved, Proxy::LbWithAll];

/// What a browser says of itself and of what it takes; loads of the bench say `Host` alone.
const BROWSER: [&str; 7] = [
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
    "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
    "Accept-Language: en-GB,en;q=0.5",
    "Accept-Encoding: gzip, deflate, br, zstd",
    "Connection: keep-alive",
    "Cookie: session=0123456789abcdef0123456789abcdef; theme=dark",
    "Cache-Control: max-age=0",
];

/// Where [`FEATURES`] are served.
const WEB: &str = "127.0.0.1:10900";

/// What sites switch on: middlewares, kinds of balancing, rules of all kinds.
const FEATURES: &str = include_str!("features.yaml");

/// Paths that find each of its routers.
const PATHS: [&str; 6] = ["/64k", "/guarded", "/edited/v1/x", "/safe?q=1", "/split/a", "/asked"];

/// What they ask of a request.
const ASKS: [&str; 2] = ["Authorization: Basic dGVzdDp0ZXN0", "X-Version: 2"];

/// A script for wrk: bodies of 2,000 bytes.
const POST: &str = "wrk.method = \"POST\"\nwrk.body = string.rep(\"x\", 2000)\n";

/// Puts every load on every set-up of lb that it suits, and ends them in order.
pub(crate) fn run() -> Result<()> {
    let world = World::start(Cpus::take()?, &LB)?;
    let script = world.folder().join("post.lua");
    fs::write(&script, POST)?;
    let script = script.to_string_lossy();
    for (proxy, _) in &world.proxies {
        for load in Load::ALL.into_iter().filter(|load| load.suits(*proxy)) {
            let done = load.run(&world.ns, *proxy);
            let done = done.with_context(|| format!("{}, {}", proxy.name(), load.name()))?;
            println!("{}, {load:?}: {done:.0}", proxy.name());
        }
        for origin in [format!("http://{}", proxy.plain()), format!("https://{}", proxy.tls())] {
            let url = format!("{origin}/small?from=here");
            let got = load::wrk(&world.ns, 16, &url, &said(&BROWSER))?;
            let posted = load::wrk(&world.ns, 16, &url, &["-s", &script])?;
            println!("{}, {origin}: {got} as from a browser, {posted} with a body", proxy.name());
        }
    }
    features(&world.ns)?;
    world.end()
}

/// Asks each router of [`FEATURES`].
fn features(ns: &Namespace) -> Result<()> {
    let mut lb = Daemon::start(ns, FEATURES)?;
    let fields = [&BROWSER[..], &ASKS].concat();
    for path in PATHS {
        let done = load::wrk(ns, 16, &format!("http://{WEB}{path}"), &said(&fields))?;
        println!("features, {path}: {done}");
    }
    lb.terminate()?;
    Ok(())
}

/// Header fields as arguments of wrk.
fn said<'a>(fields: &[&'a str]) -> Vec<&'a str> {
    fields.iter().flat_map(|field| ["-H", field]).collect()
}
