//! Instances of one service that a source tells one after the other: a run in which nothing has changed
//! costs a look at its pointers.

use std::sync::Arc;

use super::{Instance, assemble::Read};
use crate::model::Shared;

/// Neighbours of one service. Never empty.
#[derive(Debug)]
pub(super) struct Run {
    instances: Vec<Shared<Instance>>,
    pub(super) reads: Vec<Arc<Read>>,
    /// Hashes of the objects that they name.
    pub(super) objects: Vec<u64>,
}

/// How far from its place a run of the state before is looked for. One that isn't found is read again.
const NEAR: usize = if cfg!(test) { 1 } else { 8 };

/// The runs of a state, those of the state before where they are the same. What an instance says is
/// read by `read`, unless that is known.
pub(super) fn runs<'a>(
    before: &[Arc<Run>],
    instances: impl IntoIterator<Item = &'a Shared<Instance>>,
    read: impl Fn(&Shared<Instance>) -> Read,
) -> Vec<Arc<Run>> {
    let all: Vec<&Shared<Instance>> = instances.into_iter().collect();
    let mut runs = Vec::with_capacity(before.len());
    let (mut rest, mut next) = (&all[..], 0);
    while let Some(first) = rest.first() {
        let there = before.get(next).filter(|run| run.leads(rest));
        let place = match there {
            Some(_) => Some(next),
            None => near(before, next, &first.service),
        };
        let known = place.map(|place| &before[place]);
        let run = match known.filter(|run| run.leads(rest)) {
            Some(run) => Arc::clone(run),
            None => {
                let others = rest.iter().position(|one| one.service != first.service);
                let run = &rest[..others.unwrap_or(rest.len())];
                Arc::new(Run::new(run, known.map(|run| &**run), &read))
            }
        };
        rest = &rest[run.instances.len()..];
        next = place.map_or(next, |place| place + 1);
        runs.push(run);
    }
    runs
}

/// The place of a run of this service, next to where it should be.
fn near(before: &[Arc<Run>], next: usize, service: &str) -> Option<usize> {
    let from = next.saturating_sub(NEAR);
    let mut places = from..(next + NEAR + 1).min(before.len());
    places.find(|place| before[*place].service() == service)
}

impl Run {
    fn new(
        instances: &[&Shared<Instance>],
        known: Option<&Self>,
        read: impl Fn(&Shared<Instance>) -> Read,
    ) -> Self {
        let known = known.map_or(&[][..], |run| &run.reads);
        let read = |instance: &Shared<Instance>| {
            let same = known.iter().find(|known| known.instance.id == instance.id);
            let same = same.filter(|known| known.instance == *instance);
            same.cloned().unwrap_or_else(|| Arc::new(read(instance)))
        };
        let reads: Vec<Arc<Read>> = instances.iter().map(|one| read(one)).collect();
        let mut objects: Vec<u64> =
            reads.iter().flat_map(|read| read.objects.iter().copied()).collect();
        // The first one names a group: it stays.
        objects[1..].sort_unstable();
        objects.dedup();
        Self { instances: instances.iter().map(|one| (*one).clone()).collect(), reads, objects }
    }

    fn service(&self) -> &str {
        &self.instances[0].service
    }

    /// Whether it is how `all` begin.
    fn leads(&self, all: &[&Shared<Instance>]) -> bool {
        let len = self.instances.len();
        all.len() >= len
            && self.instances.iter().zip(all).all(|(one, other)| one.is(other))
            && all.get(len).is_none_or(|after| after.service != self.service())
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::{
        super::{assemble::Said, tests::other},
        *,
    };

    fn instance(n: u8, service: &str) -> Shared<Instance> {
        Instance { service: service.to_owned(), ..other(n, &[]) }.into()
    }

    /// How many instances the next state has read.
    fn reads(before: &mut Vec<Arc<Run>>, state: &[&Shared<Instance>]) -> usize {
        let count = Cell::new(0);
        let read = |instance: &Shared<Instance>| {
            count.set(count.get() + 1);
            Read { instance: instance.clone(), said: Said::Sound(Box::default()), objects: vec![1] }
        };
        *before = runs(before, state.iter().copied(), read);
        let all = before.iter().flat_map(|run| run.reads.iter().map(|read| &read.instance));
        assert!(all.eq(state.iter().copied()));
        count.get()
    }

    #[test]
    fn only_what_has_changed_is_read() {
        let [a, b, c, d] =
            [(1, "one"), (2, "one"), (3, "two"), (4, "three")].map(|(n, name)| instance(n, name));
        let mut runs = Vec::new();
        assert_eq!(reads(&mut runs, &[&a, &b, &c, &d]), 4);
        assert_eq!(reads(&mut runs, &[&a, &b, &c, &d]), 0);
        assert_eq!(reads(&mut runs, &[&b, &c, &d]), 0, "one is gone");
        assert_eq!(reads(&mut runs, &[&a, &b, &c, &d]), 1, "it is back");
        assert_eq!(reads(&mut runs, &[&a, &b, &d]), 0, "a service is gone");
        assert_eq!(reads(&mut runs, &[&a, &b, &c, &d]), 1, "it is back");
        let other = Shared::from(Instance { tcp: vec![81], ..Instance::clone(&b) });
        assert_eq!(reads(&mut runs, &[&a, &other, &c, &d]), 1, "one has changed");
        assert_eq!(reads(&mut runs, &[]), 0);
    }

    #[test]
    fn services_may_come_by_turns() {
        let [a, b, c, d] =
            [(1, "one"), (2, "two"), (3, "one"), (4, "two")].map(|(n, name)| instance(n, name));
        let mut runs = Vec::new();
        assert_eq!(reads(&mut runs, &[&a, &b, &c, &d]), 4);
        assert_eq!(reads(&mut runs, &[&b, &c, &d]), 0);
        assert_eq!(reads(&mut runs, &[&b, &d, &c]), 1, "one has another neighbour");
    }
}
