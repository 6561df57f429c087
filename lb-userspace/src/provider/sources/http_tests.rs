//! What a fault takes down where HTTP's objects stand in several files.

use super::{Scope, tests::Site, tests::routers};

const MAIN: &str = r#"
entryPoints: { web: { address: ":80" } }
providers: { file: { directory: conf.d } }
http: { services: { app: { loadBalancer: { servers: [ { url: "http://10.0.1.5" } ] } } } }
"#;

const ROUTER: &str = r#"
http: { routers: { app: { rule: "Host(`a.example`)", service: app, middlewares: [prefix] } } }
"#;

const PREFIX: &str = "http: { middlewares: { prefix: { addPrefix: { prefix: /v1 } } } }\n";
const BROKEN: &str = "http: { middlewares: { prefix: { addPrefix: { prefix: '' } } } }\n";

fn site(files: &[(&str, &str)]) -> Site {
    Site::new(MAIN, files)
}

#[test]
fn files_name_each_others_middlewares() {
    let site = site(&[("a.yaml", ROUTER), ("b.yaml", PREFIX)]);
    let (_, reload) = site.open();
    assert_eq!(reload.faults, []);
    assert_eq!(routers(&reload), ["app"]);
}

#[test]
fn a_file_that_takes_away_a_middleware_in_use_is_refused() {
    let site = site(&[("a.yaml", ROUTER), ("b.yaml", PREFIX)]);
    let (mut sources, _) = site.open();
    site.write("conf.d/b.yaml", "http: { middlewares: {} }\n");
    let reload = sources.reload(Scope::Providers);
    assert!(reload.events.is_empty());
    let fault = "conf.d/a.yaml:2:82: http.routers.app.middlewares[0]: no middleware \"prefix\"";
    assert_eq!(site.lines(&reload.faults), [fault]);
}

#[test]
fn a_middleware_that_does_not_build_takes_its_routers_down_alone() {
    let other = r#"http: { routers: { other: { rule: "Path(`/`)", service: app } } }"#;
    let site = site(&[("a.yaml", ROUTER), ("b.yaml", BROKEN), ("c.yaml", other)]);
    let (_, reload) = site.open();
    assert_eq!(routers(&reload), ["other"]);
    assert_eq!(reload.faults.len(), 2);
}

#[test]
fn a_middleware_of_a_file_that_can_not_be_read_puts_its_routers_off() {
    let site = site(&[("a.yaml", ROUTER), ("b.yaml", "nonsense: 1\n")]);
    let (_, reload) = site.open();
    assert_eq!(routers(&reload), [""; 0]);
    assert_eq!(
        site.lines(&reload.faults),
        [
            "conf.d/a.yaml:2:82: http.routers.app.middlewares[0]: no middleware \"prefix\"",
            "conf.d/b.yaml:1:1: nonsense: unknown key",
        ]
    );
}

#[test]
fn a_middleware_of_two_files_is_refused() {
    let site = site(&[("a.yaml", ROUTER), ("b.yaml", PREFIX), ("c.yaml", PREFIX)]);
    let (_, reload) = site.open();
    let fault = "conf.d/c.yaml:1:24: http.middlewares.prefix: stands twice, first at \
                 conf.d/b.yaml:1:24; all these files are `@file`, so rename one";
    assert_eq!(site.lines(&reload.faults), [fault]);
    assert_eq!(routers(&reload), ["app"]);
}

#[test]
fn certificates_of_all_files_add_up() {
    let tls = |name: &str| {
        format!("tls: {{ certificates: [ {{ certFile: {name}.pem, keyFile: {name}.key }} ] }}\n")
    };
    let site = site(&[("a.yaml", &tls("a")), ("b.yaml", &tls("b"))]);
    let (_, reload) = site.open();
    assert_eq!(reload.faults, []);
    let dynamic = super::tests::update(&reload).expect("an update");
    let files: Vec<_> = dynamic.tls.certificates.iter().map(|one| one.cert.clone()).collect();
    let here = |file: &str| crate::model::Pem::File(site.path(&format!("conf.d/{file}")));
    assert_eq!(files, [here("a.pem"), here("b.pem")]);
}
