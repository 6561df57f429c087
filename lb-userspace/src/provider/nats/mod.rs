//! `providers.nats`: a key-value bucket of configuration keys, as Consul's and etcd's have them, and of
//! instances, `services/NAME/ID`, which go when they aren't renewed.

mod follow;
mod state;

use std::collections::HashSet;

use super::{
    Asked,
    discovery::{Assembler, Instance, Reason, Rules, Skipped},
    link::{Following, Link, Outcome, Outlet, Reader, Source},
};
use crate::{
    config::{
        build::{self, Document, Kind},
        flat::{Style, Tree, after_root},
    },
    model::{Id, NatsProvider, Settings},
    nats::Agreed,
};
use follow::Outage;
use state::State;

/// What stands behind the `@`.
const NAME: &str = "nats";

/// The provider, where `settings` asks for it.
pub(super) fn asked_for(settings: &Settings) -> Option<Asked> {
    let nats = settings.nats.clone()?;
    // Secrets are no part of what is shown of settings, but a change of them counts.
    let key = (NAME, format!("{nats:?}"), nats.server.login.digest(), settings.throttle);
    Some(Asked::new(&key, move |around| {
        let agreed = around.agreed.clone();
        Link::provider(Bucket { settings: nats, outage: Outage::default(), agreed }, around)
    }))
}

/// One bucket.
struct Bucket {
    settings: NatsProvider,
    outage: Outage,
    agreed: Agreed,
}

impl Source for Bucket {
    type State = State;

    fn name(&self) -> &'static str {
        NAME
    }

    fn endpoint(&self) -> String {
        format!("{}, bucket {}", self.settings.server.shown(), self.settings.bucket)
    }

    fn follow<'a>(&'a self, outlet: &'a Outlet<State>) -> Following<'a> {
        Box::pin(follow::follow(&self.settings, &self.outage, &self.agreed, outlet))
    }

    fn reader(&self) -> Reader<State> {
        let mut assembler = Assembler::new(Rules::new(NAME, &self.settings.exposure));
        let origin = format!("nats bucket {:?}", self.settings.bucket);
        Box::new(move |state| read(&origin, state, &mut assembler))
    }
}

fn read(origin: &str, state: &State, assembler: &mut Assembler) -> Outcome {
    let pairs = state.keys.iter().map(|(key, value)| (&**key, &**value));
    let tree = Tree::read(origin, Style::Slashed, pairs, |key| after_root(key, ""));
    let mut parsed = build::keys(&tree, NAME);
    let mut assembled = assembler.assemble(state.instances());
    let own = |name: &str| state.instances().any(|one| names_router(one, name));
    assembled.skipped.extend(add(&mut parsed.document, assembled.document, own));
    Outcome {
        parsed,
        out: assembled.faults,
        serving: assembled.serving + usize::from(!state.keys.is_empty()),
        skipped: assembled.skipped,
    }
}

/// Adds what instances bring. Where keys say something of the same name they stand, and what instances
/// say of it is reported; but a router that is written for a service of instances is no contradiction
/// of the default one. `own` tells whether a router is one that labels name.
fn add(document: &mut Document, mut more: Document, own: impl Fn(&str) -> bool) -> Vec<Skipped> {
    let mut conflicts = Vec::new();
    let by_keys: HashSet<(Kind, Id)> =
        document.objects().map(|(kind, id)| (kind, id.clone())).collect();
    let mut stays = |kind: Kind, id: &Id| {
        let is_said = !by_keys.is_empty() && by_keys.contains(&(kind, id.clone()));
        if is_said && (kind != Kind::Router || own(&id.name)) {
            conflicts.push(Skipped {
                instance: format!("nats {} {:?}", kind.name(), id.name),
                reason: Reason::Conflict,
                detail: "keys say it as well, and stand; what instances say of it is left out"
                    .into(),
            });
        }
        !is_said
    };
    more.routers.retain(|draft| stays(Kind::Router, &draft.config.id));
    more.services.retain(|draft| stays(Kind::Service, &draft.service.id));
    more.middlewares.retain(|draft| stays(Kind::Middleware, &draft.id));
    document.append(more);
    conflicts
}

/// Whether labels name a router.
fn names_router(instance: &Instance, name: &str) -> bool {
    instance.labels.keys().any(|label| {
        let parts: Vec<&str> = label.split('.').collect();
        parts.windows(2).any(|pair| {
            pair[0].eq_ignore_ascii_case("routers") && pair[1].eq_ignore_ascii_case(name)
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Exposure, Service, Shared};

    fn outcome(entries: &[(&str, &str)]) -> Outcome {
        let mut state = State::default();
        for (key, value) in entries {
            state.put(key, value.as_bytes(), 1);
        }
        let mut assembler = Assembler::new(Rules::new(NAME, &Exposure::default()));
        read("nats bucket \"lb\"", &state, &mut assembler)
    }

    fn services(outcome: &Outcome) -> Vec<String> {
        let services = outcome.parsed.document.services.iter().map(|draft| &draft.service);
        let words = |service: &Shared<Service>| {
            let servers = service.servers.iter().map(|s| format!("{}*{}", s.address(), s.weight));
            format!("{} {}", service.id, servers.collect::<Vec<_>>().join(" "))
        };
        services.map(words).collect()
    }

    #[test]
    fn keys_make_routers_and_services() {
        let outcome = outcome(&[
            ("http/routers/my=2Eapp/rule", "Host(`a.example`)"),
            ("http/routers/my=2Eapp/service", "v1.2"),
            ("http/services/v1.2/loadBalancer/servers/0/url", "http://10.0.0.1:80"),
            ("http/services/v1.2/loadBalancer/servers/1/url", "http://10.0.0.2:80"),
        ]);
        assert_eq!(outcome.parsed.faults, []);
        assert_eq!(services(&outcome), ["http/v1.2@nats 10.0.0.1:80*1 10.0.0.2:80*1"]);
        assert_eq!(outcome.parsed.document.routers[0].config.id.name, "my.app");
    }

    #[test]
    fn instances_of_one_name_are_one_service() {
        let outcome = outcome(&[
            ("services/api/1", r#"{"address":"10.0.0.1:80","weight":3}"#),
            ("services/api/2", r#"{"address":"10.0.0.2:80","tags":["traefik.enable=true"]}"#),
        ]);
        assert_eq!(services(&outcome), ["http/api@nats 10.0.0.1:80*3 10.0.0.2:80*1"]);
        assert_eq!(outcome.serving, 2);
        assert_eq!(outcome.parsed.document.routers.len(), 1);
    }

    #[test]
    fn router_by_keys_stands_in_place_of_the_default_one() {
        let outcome = outcome(&[
            ("http/routers/api/rule", "PathPrefix(`/api`)"),
            ("http/routers/api/service", "api"),
            ("services/api/1", r#"{"address":"10.0.0.1:80"}"#),
        ]);
        assert_eq!(outcome.parsed.faults, []);
        assert_eq!(outcome.skipped, []);
        let routers = &outcome.parsed.document.routers;
        let rule = routers[0].config.rule.as_ref().map(|rule| rule.text().to_owned());
        assert_eq!((routers.len(), rule.as_deref()), (1, Some("PathPrefix(`/api`)")));
    }

    #[test]
    fn what_keys_and_instances_both_say_is_reported() {
        let outcome = outcome(&[
            ("http/routers/api/rule", "PathPrefix(`/api`)"),
            ("http/routers/api/service", "api"),
            ("http/services/api/loadBalancer/servers/0/url", "http://10.0.0.9:80"),
            (
                "services/api/1",
                r#"{"address":"10.0.0.1:80","tags":["traefik.http.routers.api.rule=Path(`/`)"]}"#,
            ),
        ]);
        assert_eq!(services(&outcome), ["http/api@nats 10.0.0.9:80*1"]);
        let skipped = outcome.skipped.iter().map(|s| (s.instance.as_str(), s.reason));
        assert_eq!(
            skipped.collect::<Vec<_>>(),
            [("nats router \"api\"", Reason::Conflict), ("nats service \"api\"", Reason::Conflict)]
        );
    }

    #[test]
    fn instance_that_cant_be_read_is_skipped_alone() {
        let outcome = outcome(&[
            ("services/api/1", r#"{"address":"10.0.0.1:80"}"#),
            ("services/api/2", "{"),
            ("services/api/3", r#"{"address":"10.0.0.3:80","wieght":2}"#),
            ("services/api/4", r#"{"address":"10.0.0.4"}"#),
        ]);
        assert_eq!(services(&outcome), ["http/api@nats 10.0.0.1:80*1"]);
        assert_eq!(outcome.skipped.len(), 3, "{:?}", outcome.skipped);
        assert!(outcome.skipped[1].detail.contains("wieght"), "{:?}", outcome.skipped);
    }

    #[test]
    fn instance_that_is_renewed_stays_the_same_and_the_last_takes_its_service_along() {
        let mut state = State::default();
        let put = |state: &mut State, weight: &str, revision| {
            let value = format!(r#"{{"address":"10.0.0.1:80","weight":{weight},"ttl":"5s"}}"#);
            assert!(state.put("services/api/1", value.as_bytes(), revision).is_some());
        };
        put(&mut state, "1", 1);
        let before = state.clone();
        put(&mut state, "1", 2);
        let same = |state: &State| state.instances().zip(before.instances()).all(|(a, b)| a.is(b));
        assert!(same(&state));
        put(&mut state, "2", 3);
        assert!(!same(&state));
        state.remove("services/api/1");
        assert_eq!(state, State::default());
    }

    #[test]
    fn unknown_key_is_a_fault_that_names_it() {
        let outcome = outcome(&[("http/routers/api/rul", "x")]);
        let faults: Vec<_> = outcome.parsed.faults.iter().map(ToString::to_string).collect();
        assert!(faults.iter().any(|fault| fault.contains("http/routers/api/rul")), "{faults:?}");
    }
}
