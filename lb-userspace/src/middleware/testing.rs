//! What the tests of middlewares share.

use std::{path::Path, sync::Arc};

use super::{Ask, Raw, Settings, Surroundings};
use crate::{
    config::{
        decode::{Cx, Decode},
        syntax,
    },
    model::{Id, Protocol},
    proxy::{Answer, Exchange, Filter, Outcome, Reply, Step, Wait},
};

/// Reads a middleware as a file has it; the faults where it is none.
pub(crate) fn read(yaml: &str) -> Result<Settings, Vec<String>> {
    let node = syntax::parse(Path::new("test.yaml"), yaml.as_bytes()).expect("the test's YAML");
    let mut cx = Cx::new("test.yaml");
    let raw = Raw::decode(&node, &mut cx);
    let mut faults = cx.faults;
    let settings = raw.and_then(|raw| raw.check(&mut faults));
    if !faults.is_empty() {
        return Err(faults.iter().map(ToString::to_string).collect());
    }
    Ok(settings.expect("what is refused has a fault"))
}

/// The one fault of a middleware, without its place.
pub(super) fn fault(yaml: &str) -> String {
    let faults = read(yaml).expect_err("a fault");
    assert_eq!(faults.len(), 1, "{faults:?}");
    faults[0].split_once(": ").expect("a place").1.to_owned()
}

/// A filter of what a file has.
pub(super) fn filter(yaml: &str) -> Arc<dyn Filter> {
    filter_with(yaml, Arc::new(Nobody))
}

/// A filter whose requests of its own `ask` answers.
pub(super) fn filter_with(yaml: &str, ask: Arc<dyn Ask>) -> Arc<dyn Filter> {
    let settings = read(yaml).unwrap_or_else(|faults| panic!("{faults:?}"));
    let id = Id::new(Protocol::Http, "middleware", "file");
    let router = Id::new(Protocol::Http, "router", "file");
    settings.filter(&Surroundings { id: &id, router: &router, ask }).expect("a filter")
}

struct Nobody;

impl Ask for Nobody {
    fn service<'a>(&'a self, service: &'a Id, _: Exchange) -> Wait<'a, Answer> {
        panic!("asks {service} although the test has no services");
    }
}

/// A request's way in; the reply, where one is made. Waits are waited for in virtual time.
pub(super) fn request(filter: &dyn Filter, exchange: &mut Exchange) -> Option<Reply> {
    step(filter.request(exchange))
}

/// An answer's way out.
pub(super) fn response(filter: &dyn Filter, exchange: &mut Exchange) -> Option<Reply> {
    step(filter.response(exchange))
}

fn step(step: Step<'_>) -> Option<Reply> {
    match step {
        Step::Next => None,
        Step::Reply(reply) => Some(reply),
        Step::Wait(wait) => match block_on(wait) {
            Outcome::Next => None,
            Outcome::Reply(reply) => Some(reply),
        },
    }
}

/// Runs to its end.
pub(super) fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    tokio::task::LocalSet::new().block_on(&runtime.expect("a runtime"), future)
}

/// Status and reason of a reply.
pub(super) fn told(reply: Option<&Reply>) -> Option<(u16, &'static str)> {
    reply.map(|reply| (reply.head.status(), reply.reason))
}
