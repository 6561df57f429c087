//! Requests that middlewares make to services of the snapshot: by the very way that clients' go.

use std::{cell::RefCell, collections::BTreeMap, rc::Rc, sync::Arc};

use arc_swap::ArcSwap;

use super::{Answer, Exchange, Reply, Wait, forward, table::Slot, worker::Worker};
use crate::{middleware::Ask, model::Id};

thread_local! {
    /// The worker whose thread this is.
    static WORKER: RefCell<Option<Rc<Worker>>> = const { RefCell::new(None) };
}

/// Says whose thread this is.
pub(crate) fn this_thread_is(worker: &Rc<Worker>) {
    WORKER.with(|here| *here.borrow_mut() = Some(Rc::clone(worker)));
}

/// The services there are, by name.
#[derive(Default)]
pub(crate) struct Asker {
    pub(crate) slots: ArcSwap<BTreeMap<Id, Arc<Slot>>>,
}

impl Ask for Asker {
    fn service<'a>(&'a self, service: &'a Id, mut request: Exchange) -> Wait<'a, Answer> {
        Box::pin(async move {
            let slot = self.slots.load().get(service).cloned();
            let worker = WORKER.with(|here| here.borrow().clone());
            let (Some(slot), Some(worker)) = (slot, worker) else {
                return Reply::text(503, "no_service", "the service is not there").into();
            };
            let alarm = worker.alarms.alarm();
            forward::slot_answer(&worker, &slot, &mut request, &alarm).await;
            std::mem::take(&mut request.answer)
        })
    }
}
