//! `inFlightConn`: so many connections of one address at a time.

use std::{
    hash::{BuildHasher, RandomState},
    net::IpAddr,
    sync::Arc,
};

use super::{Admission, Gate, Kind};
use crate::{
    config::{
        decode::{At, object},
        values::Whole,
    },
    middleware::{in_flight_req::Counts, reasons},
    model::Fault,
};

object! {
    /// Its keys.
    pub(crate) struct Raw {
        amount: Whole<1, 4_294_967_295> = "amount",
    }
}

/// Its settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InFlightConn {
    amount: u32,
}

impl Kind for InFlightConn {
    type Raw = Raw;

    fn check(raw: &At<Raw>, faults: &mut Vec<Fault>) -> Option<Self> {
        let amount = raw.value.amount.required("amount", &raw.spot, faults)?;
        Some(Self { amount: amount.value.u32() })
    }

    fn gate(&self) -> Arc<dyn Gate> {
        Arc::new(InFlight { keys: RandomState::new(), counts: Counts::new(self.amount) })
    }
}

struct InFlight {
    keys: RandomState,
    counts: Counts,
}

impl Gate for InFlight {
    fn admit(&self, client: IpAddr) -> Admission {
        match self.counts.take(self.keys.hash_one(client.to_canonical())) {
            Some(guard) => Admission::Allow(Some(Box::new(guard))),
            None => Admission::Refuse(reasons::TOO_MANY_CONNECTIONS),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Admission, tests::read};

    #[test]
    fn an_address_has_so_many_at_a_time() {
        let gate = read("inFlightConn: { amount: 2 }").unwrap().gate();
        let mut open = Vec::new();
        let mut connect = |ip: &str| match gate.admit(ip.parse().unwrap()) {
            Admission::Allow(guard) => {
                open.push(guard);
                None
            }
            Admission::Refuse(reason) => Some(reason),
        };
        assert_eq!(connect("192.0.2.1"), None);
        assert_eq!(connect("::ffff:192.0.2.1"), None, "the same address in IPv6 clothes");
        assert_eq!(connect("192.0.2.1"), Some("too_many_connections"));
        assert_eq!(connect("192.0.2.2"), None);
        open.remove(0);
        assert!(matches!(gate.admit("192.0.2.1".parse().unwrap()), Admission::Allow(Some(_))));
    }
}
