//! Services and middlewares that are made of themselves.

use std::collections::BTreeSet;

use super::{Cause, Refusal, Resolver};
use crate::{
    config::build::{Kind, Reference},
    model::Id,
};

impl Resolver<'_> {
    /// Refuses an object that a chain of references leads back to.
    pub(super) fn cycle(&mut self, kind: Kind, id: &Id, references: &[Reference], file: usize) {
        for reference in references.iter().filter(|reference| reference.kind == kind) {
            let mut path = vec![id.clone()];
            if self.leads_to(kind, &reference.id, id, &mut path, &mut BTreeSet::new()) {
                let names: Vec<&str> = path.iter().map(|id| id.name.as_str()).collect();
                let fault = reference.spot.fault(format!(
                    "{} {:?} is made of itself: {} → {}",
                    kind.name(),
                    id.name,
                    names.join(" → "),
                    id.name
                ));
                self.resolved.refused.push(Refusal { fault, file, cause: Cause::Cycle });
                return;
            }
        }
    }

    /// Whether references lead from `from` to `to`; `path` is then what lies between.
    fn leads_to(
        &self,
        kind: Kind,
        from: &Id,
        to: &Id,
        path: &mut Vec<Id>,
        seen: &mut BTreeSet<Id>,
    ) -> bool {
        if from == to {
            return true;
        }
        if !seen.insert(from.clone()) {
            return false;
        }
        path.push(from.clone());
        let leads = self
            .names
            .references(kind, from)
            .iter()
            .filter(|reference| reference.kind == kind)
            .any(|reference| self.leads_to(kind, &reference.id, to, path, seen));
        if !leads {
            path.pop();
        }
        leads
    }
}
