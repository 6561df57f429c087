//! Objects by name: the only ones of which there may be very many.

use std::{collections::HashMap, panic::resume_unwind, thread};

use super::{
    decode::{At, Cx, Decode, Field, Fields},
    trail::Step,
    tree::{Key, Node},
};

/// Objects by name, as in `services: {NAME: …}`, in the order of the file.
#[derive(Clone, Debug)]
pub(crate) struct ByName<T> {
    pub(crate) objects: Vec<(String, At<T>)>,
    /// Names whose objects couldn't be read at all: there, so that references to them resolve.
    pub(crate) faulty: Vec<String>,
}

impl<T> Default for ByName<T> {
    fn default() -> Self {
        Self { objects: Vec::new(), faulty: Vec::new() }
    }
}

/// More objects than this are read, and built, by two threads.
pub(crate) const MANY: usize = 10_000;

impl<T: Decode + Send> Decode for ByName<T> {
    fn decode(node: &Node, cx: &mut Cx) -> Option<Self> {
        let fields = Fields::of(node, cx)?;
        let mut seen = HashMap::with_capacity(fields.entries.len());
        let mut once = Vec::with_capacity(fields.entries.len());
        for (key, node, _) in fields.entries {
            match seen.insert(key.name.as_str(), key) {
                Some(first) => cx.twice(key, first),
                None => once.push((key, node)),
            }
        }
        if once.len() < MANY {
            return Some(Self::of(&once, cx));
        }
        let (entries, others) = once.split_at(once.len() / 2);
        let mut beside = cx.beside();
        let (mut named, rest) = thread::scope(|scope| {
            let rest = scope.spawn(|| Self::of(others, &mut beside));
            (Self::of(entries, cx), rest.join())
        });
        let rest = rest.unwrap_or_else(|panic| resume_unwind(panic));
        named.objects.extend(rest.objects);
        named.faulty.extend(rest.faulty);
        cx.faults.append(&mut beside.faults);
        Some(named)
    }
}

impl<T: Decode> ByName<T> {
    fn of(entries: &[(&Key, &Node)], cx: &mut Cx) -> Self {
        let mut named = Self { objects: Vec::with_capacity(entries.len()), faulty: Vec::new() };
        for (key, node) in entries {
            match cx.step(Step::Name(key.name.as_str().into()), key.pos, node) {
                Field::Given(at) => named.objects.push((key.name.clone(), *at)),
                Field::Absent | Field::Faulty => named.faulty.push(key.name.clone()),
            }
        }
        named
    }
}

#[cfg(test)]
mod tests {
    use std::{fmt::Write, path::Path};

    use super::MANY;
    use crate::config::{HostPorts, load_bytes};

    #[test]
    fn of_very_many_all_are_read_and_all_faults_are_told() {
        let mut text = "http:\n  services:\n".to_owned();
        for n in 0..=MANY {
            writeln!(text, "    s{n}:\n      loadBalancer:\n        algorithm: wrr").unwrap();
        }
        let load =
            |text: &str| load_bytes(Path::new("lb.yaml"), text.as_bytes(), &HostPorts::default());
        assert_eq!(load(&text).expect("sound").dynamic.services.len(), MANY + 1);
        for name in ["s1".to_owned(), format!("s{MANY}")] {
            text = text.replace(&format!("{name}:\n"), &format!("{name}:\n      x: 1\n"));
        }
        let faults = load(&text).expect_err("two keys that nobody knows");
        let paths: Vec<&str> = faults.iter().map(|fault| fault.path.as_str()).collect();
        assert_eq!(paths, ["http.services.s1.x", &format!("http.services.s{MANY}.x")]);
    }
}
