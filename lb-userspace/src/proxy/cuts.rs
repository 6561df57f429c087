//! Connections that outlive their server: told to end once it is gone.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    task::{Context, Poll, Waker},
};

/// All long connections of a worker.
#[derive(Default)]
pub(crate) struct Cuts(RefCell<Vec<Rc<Watched>>>);

struct Watched {
    must_end: Box<dyn Fn() -> bool>,
    is_over: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

/// One of them.
pub(crate) struct Cut(Rc<Watched>);

impl Cuts {
    /// Watches over a connection for as long as what is returned exists.
    pub(crate) fn watch(&self, must_end: impl Fn() -> bool + 'static) -> Cut {
        let watched = Rc::new(Watched {
            must_end: Box::new(must_end),
            is_over: Cell::new(false),
            waker: RefCell::new(None),
        });
        self.0.borrow_mut().push(Rc::clone(&watched));
        Cut(watched)
    }

    /// Wakes those that are to end, and forgets those that have.
    pub(crate) fn tick(&self) {
        self.0.borrow_mut().retain(|watched| {
            if Rc::strong_count(watched) == 1 {
                return false;
            }
            if !watched.is_over.get() && (watched.must_end)() {
                watched.is_over.set(true);
                if let Some(waker) = watched.waker.take() {
                    waker.wake();
                }
            }
            true
        });
    }
}

impl Cut {
    /// Ready when it is to end.
    pub(crate) fn poll(&self, cx: &Context<'_>) -> Poll<()> {
        if self.0.is_over.get() {
            return Poll::Ready(());
        }
        let mut waker = self.0.waker.borrow_mut();
        if !waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            *waker = Some(cx.waker().clone());
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_ends_once_it_has_to_and_is_forgotten_with_its_connection() {
        let cuts = Cuts::default();
        let gone = Rc::new(Cell::new(false));
        let seen = Rc::clone(&gone);
        let cut = cuts.watch(move || seen.get());
        let cx = Context::from_waker(Waker::noop());
        cuts.tick();
        assert!(cut.poll(&cx).is_pending());
        gone.set(true);
        assert!(cut.poll(&cx).is_pending(), "known at the next tick");
        cuts.tick();
        assert!(cut.poll(&cx).is_ready());
        drop(cut);
        cuts.tick();
        assert!(cuts.0.borrow().is_empty());
    }
}
