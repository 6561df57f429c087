//! What a fault takes down, file by file.

use std::{fs, path::PathBuf};

use tempfile::TempDir;

use super::{Checked, Reload, Scope, Sources, check};
use crate::{model::Dynamic, reconcile::Event};

/// A folder with a main file `lb.yaml` and, behind `providers.file`, `conf.d`.
pub(crate) struct Site(TempDir);

const MAIN: &str = r#"
entryPoints:
  pg: { address: "198.51.100.10:5432" }
  web: { address: "198.51.100.10:80" }
providers: { file: { directory: conf.d } }
"#;

impl Site {
    pub(crate) fn new(main: &str, files: &[(&str, &str)]) -> Self {
        let site = Self(TempDir::new().expect("a folder"));
        fs::create_dir(site.path("conf.d")).expect("conf.d");
        site.write("lb.yaml", main);
        for (file, text) in files {
            site.write(&format!("conf.d/{file}"), text);
        }
        site
    }

    pub(crate) fn path(&self, file: &str) -> PathBuf {
        self.0.path().join(file)
    }

    pub(crate) fn write(&self, file: &str, text: &str) {
        fs::write(self.path(file), text).expect("file written");
    }

    pub(super) fn open(&self) -> (Sources, Reload) {
        Sources::open(self.path("lb.yaml")).expect("a sound main file")
    }

    fn check(&self) -> Checked {
        check(&self.path("lb.yaml"))
    }

    /// Faults without the folder's name.
    pub(super) fn lines(&self, faults: &[crate::model::Fault]) -> Vec<String> {
        let folder = format!("{}/", self.0.path().display());
        faults.iter().map(|fault| fault.to_string().replace(&folder, "")).collect()
    }
}

/// A router of this name at an entry point, to a service.
fn router(name: &str, entry_point: &str, service: &str) -> String {
    format!(
        "tcp:\n  routers:\n    {name}: {{ entryPoints: [{entry_point}], service: {service} }}\n"
    )
}

/// A service of this name with one server.
fn service(name: &str, server: &str) -> String {
    format!(
        "tcp:\n  services:\n    {name}: {{ loadBalancer: {{ servers: [ {{ address: \"{server}\" }} ] }} }}\n"
    )
}

/// The dynamic part that a reload put in force, if it did.
pub(super) fn update(reload: &Reload) -> Option<&Dynamic> {
    reload.events.iter().find_map(|event| match event {
        Event::Update { dynamic, .. } => Some(dynamic),
        _ => None,
    })
}

pub(super) fn routers(reload: &Reload) -> Vec<&str> {
    let dynamic = update(reload).expect("an update");
    dynamic.routers.iter().map(|router| router.id.name.as_str()).collect()
}

fn services(reload: &Reload) -> Vec<&str> {
    let dynamic = update(reload).expect("an update");
    dynamic.services.iter().map(|service| service.id.name.as_str()).collect()
}

#[test]
fn files_and_main_file_are_one_provider() {
    let main = format!("{MAIN}{}", router("pg", "pg", "pg"));
    let site = Site::new(&main, &[("a.yaml", &service("pg", "10.0.1.5:5432"))]);
    let (_, reload) = site.open();
    assert_eq!(reload.faults, []);
    assert_eq!(routers(&reload), ["pg"]);
    assert_eq!(services(&reload), ["pg"]);
    assert!(matches!(reload.events[0], Event::Static { .. }), "the static part comes first");
}

#[test]
fn the_first_reading_tells_every_object_as_added() {
    let main = format!("{MAIN}{}", router("pg", "pg", "pg"));
    let site = Site::new(&main, &[("a.yaml", &service("pg", "10.0.1.5:5432"))]);
    let (_, reload) = site.open();
    assert_eq!(
        reload.changes,
        [
            "entry point pg: added",
            "entry point web: added",
            "router tcp/pg@file: added",
            "service tcp/pg@file: added"
        ]
    );
}

#[test]
fn nothing_changed_is_no_event() {
    let site = Site::new(MAIN, &[("a.yaml", &service("pg", "10.0.1.5:5432"))]);
    let (mut sources, _) = site.open();
    let reload = sources.reload(Scope::All);
    assert!(reload.events.is_empty() && reload.changes.is_empty() && reload.faults.is_empty());
    assert!(reload.is_again);
}

#[test]
fn a_faulty_file_keeps_its_last_good_state() {
    let site = Site::new(
        MAIN,
        &[("a.yaml", &service("a", "10.0.1.5:1")), ("b.yaml", &service("b", "10.0.1.6:1"))],
    );
    let (mut sources, _) = site.open();
    site.write("conf.d/a.yaml", "tcp: { services: { a: { loadBalancr: {} } } }");
    site.write("conf.d/b.yaml", &service("b", "10.0.1.7:1"));
    let reload = sources.reload(Scope::Providers);
    assert_eq!(
        site.lines(&reload.faults),
        [
            "conf.d/a.yaml:1:20: tcp.services.a: \"loadBalancer\" is missing",
            "conf.d/a.yaml:1:25: tcp.services.a.loadBalancr: unknown key; did you mean \"loadBalancer\"?",
        ]
    );
    assert_eq!(
        reload.changes,
        ["service tcp/b@file: 10.0.1.6:1 removed, 10.0.1.7:1 added with weight 1"]
    );
    assert_eq!(services(&reload), ["a", "b"]);
}

#[test]
fn reload_tells_faults_that_the_watcher_has_refused_before() {
    let site = Site::new(MAIN, &[("a.yaml", &service("a", "10.0.1.5:1"))]);
    let (mut sources, _) = site.open();
    site.write("conf.d/a.yaml", "tcp: [");
    let first = sources.reload(Scope::Providers);
    let again = sources.reload(Scope::All);
    assert_eq!(first.faults, again.faults);
    assert_eq!(again.faults.len(), 1);
    assert!(!first.is_again && again.is_again);
}

#[test]
fn a_faulty_main_file_keeps_its_last_good_state_on_reload() {
    let main = format!("{MAIN}{}", service("pg", "10.0.1.5:5432"));
    let site = Site::new(&main, &[]);
    let (mut sources, _) = site.open();
    site.write("lb.yaml", "entryPoints: { pg: { adress: ':1' } }");
    let reload = sources.reload(Scope::All);
    assert!(reload.events.is_empty());
    assert_eq!(reload.faults.len(), 2);
    site.write("conf.d/b.yaml", &router("b", "web", "pg"));
    let reload = sources.reload(Scope::Providers);
    assert_eq!(reload.faults, [], "the last good main file counts");
    assert_eq!(routers(&reload), ["b"]);
}

#[test]
fn a_faulty_main_file_is_an_error_at_start() {
    let site = Site::new("entryPoints: []", &[]);
    let faults = Sources::open(site.path("lb.yaml")).err().expect("faults");
    assert_eq!(
        site.lines(&faults),
        ["lb.yaml:1:14: entryPoints: expected a mapping (`key: value`), found an empty list"]
    );
}

#[test]
fn a_missing_main_file_is_an_error_at_start() {
    let site = Site::new(MAIN, &[]);
    let faults = Sources::open(site.path("no.yaml")).err().expect("faults");
    assert_eq!(
        site.lines(&faults),
        ["no.yaml: can't be read: No such file or directory (os error 2)"]
    );
}

#[test]
fn a_faulty_file_at_start_takes_only_itself_out() {
    let site = Site::new(MAIN, &[("a.yaml", "tcp: ["), ("b.yaml", &service("b", "10.0.1.6:1"))]);
    let (_, reload) = site.open();
    assert_eq!(reload.faults.len(), 1);
    assert_eq!(services(&reload), ["b"]);
}

#[test]
fn a_main_router_waits_for_a_service_of_a_faulty_file() {
    let main = format!("{MAIN}{}", router("pg", "pg", "pg"));
    let site = Site::new(&main, &[("a.yaml", "tcp: [")]);
    let (mut sources, reload) = site.open();
    assert_eq!(routers(&reload), [""; 0]);
    assert_eq!(reload.faults.len(), 2, "the file's own, and the router that is off");
    site.write("conf.d/a.yaml", &service("pg", "10.0.1.5:5432"));
    let reload = sources.reload(Scope::Providers);
    assert_eq!(reload.faults, []);
    assert_eq!(routers(&reload), ["pg"]);
}

#[test]
fn a_missing_folder_does_not_stop_the_start() {
    let site = Site::new(&MAIN.replace("conf.d", "nowhere"), &[]);
    let (_, reload) = site.open();
    assert_eq!(
        site.lines(&reload.faults),
        ["nowhere: can't be read: No such file or directory (os error 2)"]
    );
}

#[test]
fn a_folder_that_vanishes_keeps_its_last_good_state() {
    let site = Site::new(MAIN, &[("a.yaml", &service("a", "10.0.1.5:1"))]);
    let (mut sources, _) = site.open();
    fs::remove_dir_all(site.path("conf.d")).expect("removed");
    let reload = sources.reload(Scope::All);
    assert!(reload.events.is_empty());
    assert_eq!(reload.faults.len(), 1);
}

#[test]
fn a_removed_file_takes_its_objects_along() {
    let site = Site::new(
        MAIN,
        &[("a.yaml", &service("a", "10.0.1.5:1")), ("b.yaml", &service("b", "10.0.1.6:1"))],
    );
    let (mut sources, _) = site.open();
    fs::remove_file(site.path("conf.d/a.yaml")).expect("removed");
    let reload = sources.reload(Scope::Providers);
    assert_eq!(reload.faults, []);
    assert_eq!(reload.changes, ["service tcp/a@file: removed"]);
}

#[test]
fn a_file_that_takes_away_what_another_needs_is_refused() {
    let site = Site::new(
        MAIN,
        &[
            ("a.yaml", &router("r", "pg", "b")),
            ("b.yaml", &service("b", "10.0.1.6:1")),
            ("c.yaml", &service("c", "10.0.1.7:1")),
        ],
    );
    let (mut sources, _) = site.open();
    site.write("conf.d/b.yaml", &service("bb", "10.0.1.6:1"));
    site.write("conf.d/c.yaml", &service("c", "10.0.1.8:1"));
    let reload = sources.reload(Scope::Providers);
    assert_eq!(
        site.lines(&reload.faults),
        ["conf.d/a.yaml:3:38: tcp.routers.r.service: no service \"b\"; did you mean \"bb\"?"]
    );
    assert_eq!(services(&reload), ["b", "c"], "the router keeps its service");
    assert_eq!(
        reload.changes,
        ["service tcp/c@file: 10.0.1.7:1 removed, 10.0.1.8:1 added with weight 1"]
    );
}

#[test]
fn a_removed_file_that_another_needs_stays_in_force() {
    let site = Site::new(
        MAIN,
        &[("a.yaml", &router("r", "pg", "b")), ("b.yaml", &service("b", "10.0.1.6:1"))],
    );
    let (mut sources, _) = site.open();
    fs::remove_file(site.path("conf.d/b.yaml")).expect("removed");
    let reload = sources.reload(Scope::Providers);
    assert_eq!(reload.faults.len(), 1);
    assert!(reload.events.is_empty());
}

#[test]
fn a_main_file_that_takes_away_an_entry_point_in_use_is_refused() {
    let site = Site::new(
        MAIN,
        &[(
            "a.yaml",
            &(router("r", "pg", "a") + &service("a", "10.0.1.6:1").replace("tcp:\n", "")),
        )],
    );
    let (mut sources, _) = site.open();
    site.write("lb.yaml", &MAIN.replace("  pg:", "  pgsql:"));
    let reload = sources.reload(Scope::All);
    assert_eq!(
        site.lines(&reload.faults),
        [
            "conf.d/a.yaml:3:24: tcp.routers.r.entryPoints[0]: no entry point \"pg\"; did you mean \"pgsql\"?"
        ]
    );
    assert!(reload.events.is_empty());
}

#[test]
fn a_name_twice_in_two_files_refuses_the_newcomer() {
    let site = Site::new(MAIN, &[("b.yaml", &service("pg", "10.0.1.5:1"))]);
    let (mut sources, _) = site.open();
    site.write("conf.d/a.yaml", &service("pg", "10.0.1.9:1"));
    let reload = sources.reload(Scope::Providers);
    let folder = site.path("conf.d/a.yaml");
    assert_eq!(
        site.lines(&reload.faults)
            .join("\n")
            .replace(&folder.display().to_string(), "conf.d/a.yaml"),
        "conf.d/b.yaml:3:5: tcp.services.pg: stands twice, first at conf.d/a.yaml:3:5; all these files are `@file`, so rename one"
    );
    assert!(reload.events.is_empty(), "the one in force stays");
}

#[test]
fn a_name_twice_at_start_leaves_the_first() {
    let site = Site::new(
        &format!("{MAIN}{}", service("pg", "10.0.1.5:1")),
        &[("a.yaml", &service("pg", "10.0.1.9:1"))],
    );
    let (_, reload) = site.open();
    assert_eq!(reload.faults.len(), 1);
    assert_eq!(update(&reload).expect("an update").services[0].servers[0].host, "10.0.1.5");
}

#[test]
fn a_router_whose_rule_does_not_build_is_off_alone() {
    let bad = router("bad", "web", "pg").replace(" }", ", rule: 'HostSNI(`a`' }");
    let site = Site::new(
        &format!("{MAIN}{}", service("pg", "10.0.1.5:1")),
        &[("a.yaml", &bad), ("b.yaml", &router("good", "pg", "pg"))],
    );
    let (_, reload) = site.open();
    assert_eq!(routers(&reload), ["good"]);
    assert_eq!(reload.faults.len(), 1);
}

#[test]
fn a_router_to_another_providers_service_is_no_fault() {
    let site = Site::new(MAIN, &[("a.yaml", &router("r", "pg", "db@docker"))]);
    let (_, reload) = site.open();
    assert_eq!(reload.faults, []);
    assert_eq!(update(&reload).expect("an update").routers[0].service, "db@docker");
}

#[test]
fn an_empty_file_is_half_written() {
    let site = Site::new(MAIN, &[("a.yaml", &service("a", "10.0.1.5:1"))]);
    let (mut sources, _) = site.open();
    site.write("conf.d/a.yaml", "");
    let reload = sources.reload(Scope::Providers);
    assert!(reload.events.is_empty());
    assert_eq!(reload.faults.len(), 1);
}

#[test]
fn static_keys_in_a_providers_file_are_refused() {
    let site = Site::new(MAIN, &[("a.yaml", "entryPoints: {}\nlog: {}\n")]);
    let (_, reload) = site.open();
    assert_eq!(
        site.lines(&reload.faults),
        [
            "conf.d/a.yaml:1:1: entryPoints: belongs into the main file; a provider's file has `http`, `tcp`, `udp` and `tls` alone",
            "conf.d/a.yaml:2:1: log: belongs into the main file; a provider's file has `http`, `tcp`, `udp` and `tls` alone",
        ]
    );
}

#[test]
fn toml_and_json_files_count_others_do_not() {
    let site = Site::new(
        MAIN,
        &[
            ("a.toml", "[[tcp.services.a.loadBalancer.servers]]\naddress = \"10.0.1.5:1\"\n"),
            ("b.json", "{\"tcp\":{\"services\":{\"b\":{\"loadBalancer\":{}}}}}"),
            ("c.yml", &service("c", "10.0.1.7:1")),
            (".hidden.yaml", "nonsense: 1"),
            ("d.yaml.swp", "nonsense: 1"),
            ("README", "nonsense: 1"),
        ],
    );
    fs::create_dir(site.path("conf.d/folder.yaml")).expect("a folder");
    let (_, reload) = site.open();
    assert_eq!(reload.faults, []);
    assert_eq!(services(&reload), ["a", "b", "c"]);
}

#[test]
fn the_main_file_may_be_the_watched_one() {
    let main =
        MAIN.replace("directory: conf.d", "filename: lb.yaml") + &service("pg", "10.0.1.5:1");
    let site = Site::new(&main, &[]);
    let (_, reload) = site.open();
    assert_eq!(reload.faults, []);
    assert_eq!(services(&reload), ["pg"]);
}

#[test]
fn another_folder_on_reload_is_read_instead() {
    let site = Site::new(MAIN, &[("a.yaml", &service("a", "10.0.1.5:1"))]);
    let (mut sources, _) = site.open();
    fs::create_dir(site.path("other")).expect("a folder");
    site.write("other/b.yaml", &service("b", "10.0.1.6:1"));
    site.write("lb.yaml", &MAIN.replace("conf.d", "other"));
    let reload = sources.reload(Scope::All);
    assert_eq!(reload.faults, []);
    assert_eq!(services(&reload), ["b"]);
    let main_only = MAIN.replace("providers: { file: { directory: conf.d } }", "");
    site.write("lb.yaml", &main_only);
    let reload = sources.reload(Scope::All);
    assert_eq!(services(&reload), [""; 0]);
}

#[test]
fn check_tells_the_faults_of_all_files_at_once() {
    let main = format!("{MAIN}nonsense: 1\n{}", router("pg", "pgg", "pg"));
    let site =
        Site::new(&main, &[("a.yaml", &router("b", "pg", "qq")), ("b.yaml", "tcp: { x: 1 }")]);
    let checked = site.check();
    assert_eq!(
        site.lines(&checked.faults),
        [
            "conf.d/a.yaml:3:38: tcp.routers.b.service: no service \"qq\"",
            "conf.d/b.yaml:1:8: tcp.x: unknown key",
            "lb.yaml:6:1: nonsense: unknown key",
            "lb.yaml:9:25: tcp.routers.pg.entryPoints[0]: no entry point \"pgg\"; did you mean \"pg\"?",
            "lb.yaml:9:40: tcp.routers.pg.service: no service \"pg\"",
        ]
    );
}

#[test]
fn check_of_sound_files_finds_nothing() {
    let main = format!("{MAIN}{}", router("pg", "pg", "pg"));
    let site = Site::new(&main, &[("a.yaml", &service("pg", "10.0.1.5:5432"))]);
    assert_eq!(site.check().faults, []);
}
