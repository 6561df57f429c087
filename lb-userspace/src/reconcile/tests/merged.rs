//! What is remembered of routers from one update to the next.

use proptest::prelude::*;

use super::*;
use crate::model::{Algorithm, Composed, Path, Transport};

const SERVERS: [&[&str]; 5] = [&[], &[A], &[A, B], &["127.0.0.1:80"], &["web.test:80"]];

/// One change of what the file says.
fn change(dynamic: &mut Dynamic, (what, which): (usize, usize)) {
    let at = which % dynamic.services.len();
    let service = &mut dynamic.services[at];
    match what {
        0..=4 => service.servers = SERVERS[what].iter().map(|text| server(text)).collect(),
        5 => service.algorithm = Algorithm::P2c,
        6 => service.algorithm = Algorithm::Maglev,
        7 => service.http.transport = Some(service_id("t")),
        8 => service.http.transport = None,
        9 => service.id = service_id("elsewhere"),
        10 => service.id = service_id(["a", "b", "c"][at]),
        11 => service.composed = Some(composed("b")),
        12 => service.composed = None,
        13 => dynamic.transports.push(Transport::new(service_id("t"))),
        14 => dynamic.transports.clear(),
        15 => dynamic.routers[which].service = ["a", "b", "c"][which].to_owned(),
        16 => dynamic.routers[which].service = "c".to_owned(),
        17 => dynamic.routers[which].datapath = PathChoice::Kernel,
        18 => dynamic.routers[which].datapath = PathChoice::Auto,
        19 => dynamic.routers[which].entry_points = vec!["web".to_owned()],
        _ => dynamic.routers[which].entry_points = vec![["web", "any", "local"][which].to_owned()],
    }
}

fn composed(part: &str) -> Composed {
    Composed::Weighted { services: vec![(service_id(part), 1)], sticky: None }
}

/// Three services, each with a router at an entry point of its own.
fn case() -> Case {
    let mut case = Case::new();
    for (name, point) in [("a", "web"), ("b", "any"), ("c", "local")] {
        case.dynamic.services.push(service(name, &[A]).into());
        case.dynamic.routers.push(router(name, &[point], name).into());
    }
    case.start();
    case
}

proptest! {
    #[test]
    fn it_changes_nothing(changes in prop::collection::vec((0usize..21, 0usize..3), 0..24)) {
        let mut case = case();
        for one in changes {
            change(&mut case.dynamic, one);
            case.reload();
            let mut anew = Case { dynamic: case.dynamic.clone(), ..Case::new() };
            anew.start();
            let [told, found] = [&case, &anew].map(|case| case.reconciler.snapshot());
            prop_assert_eq!(&told.routers, &found.routers);
            prop_assert_eq!(&told.faults, &found.faults);
        }
    }
}

#[test]
fn server_more_leaves_all_routers_the_same_object() {
    let mut case = case();
    let before = Arc::clone(&case.reconciler.snapshot().routers);
    case.dynamic.services[0].servers.push(server(B));
    let snapshot = case.reload().unwrap();
    assert!(Arc::ptr_eq(&snapshot.routers, &before));
    assert_eq!(snapshot.services[&service_id("a")].backends.len(), 2);
}

#[test]
fn server_that_the_kernel_cant_reach_changes_the_router() {
    let mut case = case();
    let path = |snapshot: &Snapshot| snapshot.routers[&service_id("a")].path;
    assert_eq!(path(case.reconciler.snapshot()), Path::Kernel);
    case.dynamic.services[0].servers = vec![server("127.0.0.1:80")];
    assert_eq!(path(&case.reload().unwrap()), Path::Proxy);
}
