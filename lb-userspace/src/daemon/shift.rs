//! `lb shift` at work: the writer sets the weights, reads the proxy's counters each second, and goes on,
//! ends, or takes it back.

use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

use super::writer::Writer;
use crate::{
    api::{
        ApiError, find, rows,
        time::now,
        types::{ShiftGroup, ShiftOrder, ShiftRow},
    },
    config::parse_duration,
    events::What,
    model::{BackendId, Composed, Id, Protocol, Service, Snapshot},
    reconcile::Event,
    shift::{Bounds, Reading, Shift, State, check_steps, judge, weights},
    state::Shifts,
};

/// Shortest step.
const SHORTEST: Duration = Duration::from_secs(1);

/// All shifts, ended ones until the next of their service.
#[derive(Debug)]
pub(super) struct ShiftSide {
    all: BTreeMap<Id, Watched>,
    file: Shifts,
}

/// One of them, and what was counted.
#[derive(Debug)]
struct Watched {
    shift: Shift,
    /// When its step began.
    began: Duration,
    /// What both groups had counted then, and since.
    base: (Reading, Reading),
    since: (Reading, Reading),
}

impl ShiftSide {
    pub(super) fn new(file: Shifts) -> Self {
        Self { all: BTreeMap::new(), file }
    }

    fn save(&mut self) -> std::io::Result<()> {
        let running = self.all.values().map(|one| &one.shift).filter(|shift| shift.is_running());
        self.file.save(running.cloned().collect())
    }

    /// As the API shows them.
    pub(super) fn rows(&self, clock: Duration) -> Vec<ShiftRow> {
        self.all.values().map(|one| one.row(clock)).collect()
    }
}

impl Watched {
    fn row(&self, clock: Duration) -> ShiftRow {
        let group = |reading: &Reading| ShiftGroup {
            requests: reading.requests,
            errors: reading.errors,
            p99_ms: reading.p99().map(|p99| p99.as_secs_f64() * 1e3),
        };
        let shift = &self.shift;
        let left = shift.every.saturating_sub(clock.saturating_sub(self.began));
        ShiftRow {
            service: shift.service.clone(),
            from: shift.words.0.clone(),
            to: shift.words.1.clone(),
            steps: shift.steps.clone(),
            percent: if shift.is_running() || shift.state == State::Finished {
                shift.percent()
            } else {
                0
            },
            state: shift.state.name().to_owned(),
            reason: match &shift.state {
                State::RolledBack(why) => Some(why.clone()),
                State::Running | State::Finished => None,
            },
            since: shift.since,
            next_seconds: shift.is_running().then_some(left.as_secs()),
            from_seen: group(&self.since.0),
            to_seen: group(&self.since.1),
        }
    }
}

/// A member with its configured weight and the one set at run time.
type Member = (String, u32, Option<u32>);

/// Every member of a service.
fn members(service: &Service) -> Vec<Member> {
    match &service.composed {
        Some(Composed::Weighted { services, .. }) => {
            let member = |(part, weight): &(Id, u32)| match service.part_weights.get(part) {
                Some(configured) => (part.to_string(), *configured, Some(*weight)),
                None => (part.to_string(), *weight, None),
            };
            services.iter().map(member).collect()
        }
        Some(_) => Vec::new(),
        None => {
            let there = service.backends.iter().filter(|backend| !backend.leaving);
            let member = |b: &crate::model::Backend| {
                (b.address.to_string(), b.configured_weight, b.weight_override)
            };
            there.map(member).collect()
        }
    }
}

/// The members that `words` names, with commas in between.
fn named(snapshot: &Snapshot, service: &Service, words: &str) -> Result<Vec<String>, ApiError> {
    let mut found = Vec::new();
    for word in words.split(',').map(str::trim).filter(|word| !word.is_empty()) {
        if service.composed.is_some() {
            let part = find::part(service, word)?;
            if snapshot.services.get(part).is_some_and(|part| part.composed.is_some()) {
                let why = format!("{} is made of other services: name those", part.qualified());
                return Err(ApiError::Refused(why));
            }
            found.push(part.to_string());
        } else {
            let backends = find::backends(service, word)?;
            found.extend(backends.iter().map(|backend| backend.address.to_string()));
        }
    }
    match found.is_empty() {
        true => Err(ApiError::BadRequest(format!("{words:?} names nothing"))),
        false => Ok(found),
    }
}

/// What sets a member's weight.
fn weigh(service: &Id, member: &str, weight: Option<u32>) -> Option<Event> {
    if let Ok(address) = member.parse::<SocketAddr>() {
        let backend = BackendId { service: service.clone(), address };
        return Some(Event::Weight { backend, weight });
    }
    let part = Id::parse(member)?;
    Some(Event::PartWeight { service: service.clone(), part, weight })
}

fn bounds(order: &ShiftOrder) -> Result<Bounds, ApiError> {
    let percent = order.max_errors.trim().trim_end_matches('%').parse::<f64>().ok();
    let percent = percent.filter(|percent| (0.0..=100.0).contains(percent));
    let max_errors = percent.ok_or_else(|| {
        ApiError::BadRequest(format!("maxErrors {:?}: expected such as 1%", order.max_errors))
    })?;
    let max_p99 = order.max_p99.as_deref().map(|text| duration("maxP99", text)).transpose()?;
    Ok(Bounds { max_errors: max_errors / 100.0, max_p99 })
}

fn duration(name: &str, text: &str) -> Result<Duration, ApiError> {
    parse_duration(text).map_err(|why| ApiError::BadRequest(format!("{name}: {why}")))
}

impl Writer {
    /// `lb shift`.
    pub(super) async fn begin_shift(
        &mut self,
        words: &str,
        order: &ShiftOrder,
    ) -> Result<ShiftRow, ApiError> {
        let snapshot = self.reconciler.snapshot().clone();
        let service = find::service(&snapshot, words)?;
        if service.id.protocol != Protocol::Http {
            let why = "lb shift watches answers, which HTTP services have alone: use lb weight";
            return Err(ApiError::Refused(why.to_owned()));
        }
        check_steps(&order.steps).map_err(ApiError::BadRequest)?;
        let every = duration("every", &order.every)?;
        if every < SHORTEST {
            return Err(ApiError::BadRequest("every: expected a second or more".to_owned()));
        }
        let from = named(&snapshot, service, &order.from)?;
        let to = named(&snapshot, service, &order.to)?;
        if let Some(both) = from.iter().find(|member| to.contains(member)) {
            return Err(ApiError::BadRequest(format!("{both} stands on both sides")));
        }
        if self.shifts.all.get(&service.id).is_some_and(|one| one.shift.is_running()) {
            let why = format!("a shift of {} is under way: end it by --abort", service.id);
            return Err(ApiError::Refused(why));
        }
        let id = service.id.clone();
        let before = members(service).into_iter().map(|(member, _, set)| (member, set)).collect();
        let shift = Shift {
            service: service.id.to_string(),
            from,
            to,
            words: (order.from.clone(), order.to.clone()),
            steps: order.steps.clone(),
            every,
            bounds: bounds(order)?,
            before,
            at: 0,
            state: State::Running,
            since: now(),
        };
        let (service, from, to) =
            (shift.service.clone(), shift.words.0.clone(), shift.words.1.clone());
        self.tell(&What::ShiftStarted { service, from, to, steps: shift.steps.clone() });
        self.step(&id, shift).await;
        let row = self.shifts.all.get(&id).map(|one| one.row(self.clock.elapsed()));
        row.ok_or_else(|| ApiError::Unavailable("the shift is gone".to_owned()))
    }

    /// `lb shift --abort`, `--reset`.
    pub(super) async fn end_shift(
        &mut self,
        words: &str,
        reset: bool,
    ) -> Result<Vec<ShiftRow>, ApiError> {
        let snapshot = self.reconciler.snapshot().clone();
        let id = find::service(&snapshot, words)?.id.clone();
        let running = self.shifts.all.get(&id).is_some_and(|one| one.shift.is_running());
        if !running && !reset {
            return Err(ApiError::Refused(format!("no shift of {id} is under way")));
        }
        if running {
            self.roll_back(&id, "aborted").await;
        }
        if reset {
            let all = snapshot.services.get(&id).map(|service| members(service));
            let all = all.into_iter().flatten();
            self.handle(all.filter_map(|(member, ..)| weigh(&id, &member, None)));
            self.shifts.all.remove(&id);
        }
        self.settle().await;
        Ok(self.shifts.rows(self.clock.elapsed()))
    }

    /// Those of the last run go on with the step they were at.
    pub(super) async fn resume_shifts(&mut self) {
        for shift in self.shifts.file.saved().to_vec() {
            if let Some(id) = Id::parse(&shift.service) {
                self.step(&id, shift).await;
            }
        }
    }

    /// A second has passed.
    pub(super) async fn watch_shifts(&mut self) {
        let running = self.shifts.all.iter().filter(|(_, one)| one.shift.is_running());
        let running: Vec<Id> = running.map(|(id, _)| id.clone()).collect();
        for id in running {
            self.watch_shift(&id).await;
            self.is_unpublished = true;
        }
    }

    async fn watch_shift(&mut self, id: &Id) {
        let clock = self.clock.elapsed();
        let Some(one) = self.shifts.all.get(id) else { return };
        let shift = one.shift.clone();
        let now = (self.reading(id, &shift.from), self.reading(id, &shift.to));
        let since = (now.0.since(&one.base.0), now.1.since(&one.base.1));
        let is_over = clock.saturating_sub(one.began) >= shift.every;
        let breach = self.lacks_servers(id, &shift).or_else(|| {
            judge(&shift.words.1, &since.1, &shift.bounds, is_over)
                .or_else(|| judge(&shift.words.0, &since.0, &shift.bounds, is_over))
        });
        if let Some(one) = self.shifts.all.get_mut(id) {
            one.since = since;
        }
        match breach {
            Some(why) => self.roll_back(id, &why).await,
            None if !is_over => {}
            None if shift.at + 1 < shift.steps.len() => {
                self.step(id, Shift { at: shift.at + 1, since: crate::api::time::now(), ..shift })
                    .await;
            }
            None => self.finish(id).await,
        }
    }

    /// Brings a step's weights into force and begins to watch.
    async fn step(&mut self, id: &Id, shift: Shift) {
        let snapshot = self.reconciler.snapshot().clone();
        let Some(service) = snapshot.services.get(id) else { return };
        let all = members(service);
        let of = |names: &[String]| -> Vec<Member> {
            all.iter().filter(|(member, ..)| names.contains(member)).cloned().collect()
        };
        let (from, to) = (of(&shift.from), of(&shift.to));
        let is_other =
            |(member, ..): &&Member| !shift.from.contains(member) && !shift.to.contains(member);
        let others: Vec<Member> = all.iter().filter(is_other).cloned().collect();
        let configured = |group: &[Member]| group.iter().map(|one| one.1).collect::<Vec<u32>>();
        let made =
            weights(&configured(&from), &configured(&to), &configured(&others), shift.percent());
        let members = from.iter().chain(&to).chain(&others);
        let values = made.0.iter().chain(&made.1).chain(&made.2);
        let events =
            members.zip(values).filter_map(|(one, weight)| weigh(id, &one.0, Some(*weight)));
        self.handle(events.collect::<Vec<_>>());
        let base = (self.reading(id, &shift.from), self.reading(id, &shift.to));
        self.tell(&What::ShiftAdvanced {
            service: shift.service.clone(),
            from: shift.words.0.clone(),
            to: shift.words.1.clone(),
            percent: shift.percent(),
        });
        let began = self.clock.elapsed();
        self.shifts
            .all
            .insert(id.clone(), Watched { shift, began, base, since: Default::default() });
        self.settle().await;
    }

    async fn finish(&mut self, id: &Id) {
        let Some(one) = self.shifts.all.get_mut(id) else { return };
        (one.shift.state, one.shift.since) = (State::Finished, now());
        let shift = one.shift.clone();
        let percent = shift.percent();
        let (from, to) = shift.words;
        self.tell(&What::ShiftFinished { service: shift.service, from, to, percent });
        self.settle().await;
    }

    async fn roll_back(&mut self, id: &Id, why: &str) {
        let Some(one) = self.shifts.all.get_mut(id) else { return };
        (one.shift.state, one.shift.since) = (State::RolledBack(why.to_owned()), now());
        let shift = one.shift.clone();
        let events = shift.before.iter().filter_map(|(member, set)| weigh(id, member, *set));
        self.handle(events.collect::<Vec<_>>());
        tracing::warn!("the shift of {} is taken back: {why}", shift.service);
        let percent = shift.percent();
        let (from, to) = shift.words;
        let (service, reason) = (shift.service, why.to_owned());
        self.tell(&What::ShiftRolledBack { service, from, to, percent, reason });
        self.settle().await;
    }

    async fn settle(&mut self) {
        self.is_unpublished = true;
        if let Err(error) = tokio::task::block_in_place(|| self.shifts.save()) {
            self.faults.state = Some(format!("state can't be kept: {error}"));
        }
        self.bring_into_force().await;
    }

    /// What the proxy has counted of members.
    fn reading(&self, id: &Id, members: &[String]) -> Reading {
        let view = self.proxy.view();
        let mut all = Reading::default();
        for member in members {
            let one = match member.parse::<SocketAddr>() {
                Ok(address) => view.reading(id, Some(address)),
                Err(_) => Id::parse(member).and_then(|part| view.reading(&part, None)),
            };
            all.add(&one.unwrap_or_default());
        }
        all
    }

    /// Whether nobody on the new side takes requests.
    fn lacks_servers(&self, id: &Id, shift: &Shift) -> Option<String> {
        let snapshot = &self.in_force;
        let service = snapshot.services.get(id)?;
        let takes = |member: &String| match member.parse::<SocketAddr>() {
            Ok(address) => {
                let mut backends = service.backends.iter();
                backends.any(|b| b.address == address && b.takes_new())
            }
            Err(_) => Id::parse(member)
                .and_then(|part| snapshot.services.get(&part))
                .is_some_and(|part| rows::up(snapshot, part).0 > 0),
        };
        let why = || format!("{}: no server takes requests", shift.words.1);
        (!shift.to.iter().any(takes)).then(why)
    }
}
