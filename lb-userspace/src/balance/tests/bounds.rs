//! `maxConnections` and its queue.

use super::*;

use std::{
    future::Future,
    pin::{Pin, pin},
    task::{Context, Poll, Waker},
};

fn bounded(servers: &[u32], queue: u32, timeout: Duration) -> Service {
    let http = HttpBalancing { queue, queue_timeout: timeout, ..HttpBalancing::default() };
    let mut service = with_http(service(Algorithm::RoundRobin, &vec![1; servers.len()]), http);
    for (backend, &most) in service.backends.iter_mut().zip(servers) {
        backend.options.max_connections = most;
    }
    service
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

fn poll<F: Future>(future: &mut Pin<Box<F>>) -> Poll<F::Output> {
    future.as_mut().poll(&mut Context::from_waker(Waker::noop()))
}

#[test]
fn a_full_server_is_passed_over() {
    let group = Group::new(&bounded(&[1, 3], 0, seconds(1)), None);
    let held: Vec<Ticket> = (0..4).map(|_| group.pick(&key(), &[]).expect("a server")).collect();
    let active: Vec<u32> = group.servers().iter().map(|server| server.active()).collect();
    assert_eq!(active, [1, 3]);
    assert_eq!(group.pick(&key(), &[]).map(|_| ()), Err(NoServer::Full));
    drop(held);
    assert!(group.pick(&key(), &[]).is_ok());
}

#[test]
fn places_are_given_in_the_order_of_coming() {
    let runtime = runtime();
    let _inside = runtime.enter();
    let group = Group::new(&bounded(&[2], 10, seconds(60)), None);
    let key = key();
    let first = group.pick(&key, &[]).expect("a server");
    let second = group.pick(&key, &[]).expect("a server");
    let mut waiters: Vec<_> = (0..3).map(|_| Box::pin(group.acquire(&key, &[]))).collect();
    for waiter in &mut waiters {
        assert!(poll(waiter).is_pending());
    }
    drop(first);
    // The place is the first one's, though the third asks before it.
    assert!(poll(&mut waiters[2]).is_pending() && poll(&mut waiters[1]).is_pending());
    let Poll::Ready(Ok(ticket)) = poll(&mut waiters[0]) else { panic!("the first one waits") };
    assert_eq!(group.servers()[0].active(), 2);
    drop(second);
    let Poll::Ready(Ok(_held)) = poll(&mut waiters[1]) else { panic!("the second one waits") };
    drop(ticket);
    assert!(poll(&mut waiters[2]).is_ready());
}

#[test]
fn who_goes_away_leaves_the_place_to_the_next() {
    let runtime = runtime();
    let _inside = runtime.enter();
    let group = Group::new(&bounded(&[1], 10, seconds(60)), None);
    let key = key();
    let held = group.pick(&key, &[]).expect("a server");
    let mut waiters: Vec<_> = (0..3).map(|_| Box::pin(group.acquire(&key, &[]))).collect();
    for waiter in &mut waiters {
        assert!(poll(waiter).is_pending());
    }
    let mut third = waiters.pop().expect("three");
    let second = waiters.pop().expect("three");
    // The first goes before there is a place, the second when it has been given one.
    waiters.clear();
    drop(held);
    drop(second);
    assert!(matches!(poll(&mut third), Poll::Ready(Ok(_))));
    drop(third);
    assert_eq!(group.servers()[0].active(), 0);
}

#[test]
fn a_full_queue_overflows_and_patience_ends() {
    let group = Group::new(&bounded(&[1], 1, Duration::from_millis(20)), None);
    let key = key();
    let _held = group.pick(&key, &[]).expect("a server");
    runtime().block_on(async {
        let mut first = Box::pin(group.acquire(&key, &[]));
        assert!(poll(&mut first).is_pending());
        let overflow = group.acquire(&key, &[]).await;
        assert_eq!(overflow.map(|_| ()), Err(NoServer::Full));
        assert_eq!(first.await.map(|_| ()), Err(NoServer::Timeout));
        // Whoever gave up takes no place in the queue.
        let mut next = Box::pin(group.acquire(&key, &[]));
        assert!(poll(&mut next).is_pending());
    });
}

#[test]
fn a_reload_with_more_room_serves_who_waits() {
    let runtime = runtime();
    let _inside = runtime.enter();
    let group = Group::new(&bounded(&[1], 10, seconds(60)), None);
    let key = key();
    let _held = group.pick(&key, &[]).expect("a server");
    let mut waiter = Box::pin(group.acquire(&key, &[]));
    assert!(poll(&mut waiter).is_pending());
    let wider = Group::new(&bounded(&[2], 10, seconds(60)), Some(&group));
    assert!(matches!(poll(&mut waiter), Poll::Ready(Ok(_))));
    drop(wider);
}

/// Many workers, few places: nobody is forgotten, and no bound is broken.
#[test]
fn nobody_waits_for_ever() {
    let group = Arc::new(Group::new(&bounded(&[2, 1], 10_000, seconds(120)), None));
    let workers: Vec<_> = (0..4)
        .map(|_| {
            let group = group.clone();
            std::thread::spawn(move || runtime().block_on(work(&group)))
        })
        .collect();
    let served: usize = workers.into_iter().map(|worker| worker.join().expect("a worker")).sum();
    assert_eq!(served, 4 * 16 * 100);
    assert!(group.servers().iter().all(|server| server.active() == 0));
}

/// 16 tasks that ask 100 times each.
async fn work(group: &Group) -> usize {
    let key = key();
    let task = || async {
        for _ in 0..100 {
            let ticket = group.acquire(&key, &[]).await.expect("a place");
            let server = ticket.server();
            assert!(server.active() <= server.options.max_connections);
            tokio::task::yield_now().await;
        }
        100
    };
    let mut all = pin!(futures_util::future::join_all((0..16).map(|_| task())));
    all.as_mut().await.into_iter().sum()
}
