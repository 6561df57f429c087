//! What a circuit breaker measures: no more than its expression asks for.

use super::histogram::Histogram;
use crate::{
    middleware::{
        expression::{Expression, Function},
        rolling::Rolling,
    },
    proxy::Exchange,
};

/// A function of the expression.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Measure {
    /// `NetworkErrorRatio()`.
    NetworkErrors,
    /// `ResponseCodeRatio(from, to, dividedByFrom, dividedByTo)`; `from` inclusive, `to` exclusive.
    Codes([u16; 4]),
    /// `LatencyAtQuantileMS(quantile)`, the quantile in percent.
    Latency(f64),
}

impl Function for Measure {
    const NAMES: &'static [&'static str] =
        &["NetworkErrorRatio", "ResponseCodeRatio", "LatencyAtQuantileMS"];

    fn new(name: &str, arguments: &[f64]) -> Result<Self, String> {
        match (name, arguments) {
            ("NetworkErrorRatio", []) => Ok(Self::NetworkErrors),
            ("NetworkErrorRatio", _) => Err("NetworkErrorRatio() takes no arguments".to_owned()),
            ("ResponseCodeRatio", &[a, b, c, d]) => {
                let code = |n: f64| (0.0..=1000.0).contains(&n) && n.fract() == 0.0;
                match [a, b, c, d].into_iter().all(code) {
                    true => Ok(Self::Codes([a as u16, b as u16, c as u16, d as u16])),
                    false => Err("ResponseCodeRatio() takes status codes".to_owned()),
                }
            }
            ("ResponseCodeRatio", _) => {
                Err("ResponseCodeRatio() takes four status codes: from, to, dividedByFrom, \
                     dividedByTo"
                    .to_owned())
            }
            (_, &[quantile]) if (0.0..=100.0).contains(&quantile) => Ok(Self::Latency(quantile)),
            _ => Err("LatencyAtQuantileMS() takes a quantile from 0 to 100".to_owned()),
        }
    }

    fn is_condition(&self) -> bool {
        false
    }
}

/// Seconds that ratios look back.
const WINDOW: usize = 10;

/// A part of some requests.
#[derive(Default)]
struct Ratio {
    part: Rolling<WINDOW>,
    all: Rolling<WINDOW>,
}

/// The meters of one breaker.
pub(super) struct Meters {
    network: Option<Ratio>,
    codes: Vec<([u16; 4], Ratio)>,
    latency: Option<Box<Histogram>>,
}

impl Meters {
    pub(super) fn new(expression: &Expression<Measure>) -> Self {
        let mut meters = Self { network: None, codes: Vec::new(), latency: None };
        let mut measures = Vec::new();
        expression.functions(&mut measures);
        for measure in measures {
            match measure {
                Measure::NetworkErrors => meters.network = Some(Ratio::default()),
                Measure::Codes(codes) if meters.codes.iter().any(|(other, _)| other == codes) => {}
                Measure::Codes(codes) => meters.codes.push((*codes, Ratio::default())),
                Measure::Latency(_) => meters.latency = Some(Box::default()),
            }
        }
        meters
    }

    /// Counts a request that is over.
    pub(super) fn note(&self, exchange: &Exchange, second: u64) {
        let turn = second as u32;
        let status = exchange.answer.head.status();
        if let Some(ratio) = &self.network {
            ratio.all.add(turn);
            if exchange.network_error || matches!(status, 502 | 504) {
                ratio.part.add(turn);
            }
        }
        for ([from, to, all_from, all_to], ratio) in &self.codes {
            if (*all_from..*all_to).contains(&status) {
                ratio.all.add(turn);
            }
            if (*from..*to).contains(&status) {
                ratio.part.add(turn);
            }
        }
        if let Some(latency) = &self.latency {
            // What no server answered took as long as its failing did.
            let failed = exchange.network_error.then(|| exchange.started.elapsed());
            if let Some(time) = exchange.server_time.or(failed) {
                latency.note(time, second);
            }
        }
    }

    /// What a function comes to now.
    pub(super) fn value(&self, measure: &Measure, second: u64) -> f64 {
        let turn = second as u32;
        match measure {
            Measure::NetworkErrors => self.network.as_ref().map_or(0.0, |ratio| ratio.value(turn)),
            Measure::Codes(codes) => {
                let ratio = self.codes.iter().find(|(other, _)| other == codes);
                ratio.map_or(0.0, |(_, ratio)| ratio.value(turn))
            }
            Measure::Latency(quantile) => {
                let latency = self.latency.as_ref();
                latency.map_or(0.0, |latency| latency.quantile(*quantile, second))
            }
        }
    }

    /// Forgets everything.
    pub(super) fn clear(&self) {
        for ratio in self.network.iter().chain(self.codes.iter().map(|(_, ratio)| ratio)) {
            ratio.part.clear();
            ratio.all.clear();
        }
        if let Some(latency) = &self.latency {
            latency.clear();
        }
    }
}

impl Ratio {
    fn value(&self, turn: u32) -> f64 {
        match self.all.sum(turn) {
            0 => 0.0,
            all => self.part.sum(turn) as f64 / all as f64,
        }
    }
}
