//! Rise and fall: when a row of check results becomes a verdict.
//!
//! Pure, so that every case is a row of a table. A server that has never
//! passed starts on its first pass; once it has, `rise` passes in a row bring
//! it up and `fall` failures in a row take it down. A server that served
//! without checks before goes on serving until its first verdict.

use crate::model::BackendState;

/// The damped state of one backend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Damping {
    rise: u32,
    fall: u32,
    state: BackendState,
    /// Whether it was ever up, here or before the daemon's start.
    seen_up: bool,
    /// Results in a row that speak against `state`.
    against: u32,
}

impl Damping {
    /// Begins in `state`; counts of 0 mean 1.
    pub(crate) fn new(rise: u32, fall: u32, state: BackendState) -> Self {
        let seen_up = matches!(state, BackendState::Up | BackendState::Down);
        Self { rise: rise.max(1), fall: fall.max(1), state, seen_up, against: 0 }
    }

    /// The verdict in force.
    pub(crate) fn state(&self) -> BackendState {
        self.state
    }

    /// The check has changed: counting begins anew, the verdict stays until the next one.
    pub(crate) fn retarget(&mut self, rise: u32, fall: u32) {
        (self.rise, self.fall, self.against) = (rise.max(1), fall.max(1), 0);
    }

    /// Counts one result and returns the new verdict, if this result made one.
    pub(crate) fn observe(&mut self, pass: bool) -> Option<BackendState> {
        let (next, needed) = match (self.state, pass) {
            (BackendState::Up, true) | (BackendState::Down, false) => {
                self.against = 0;
                return None;
            }
            (_, true) if !self.seen_up => (BackendState::Up, 1),
            (_, true) => (BackendState::Up, self.rise),
            (_, false) => (BackendState::Down, self.fall),
        };
        self.against += 1;
        if self.against < needed {
            return None;
        }
        self.against = 0;
        self.seen_up |= pass;
        self.state = next;
        Some(next)
    }
}

#[cfg(test)]
mod tests {
    use BackendState::{Down, Pending, Unchecked, Up};

    use super::*;

    /// Feeds `results` (`+` pass, `-` failure, `|` the check changes) and
    /// returns the states they lead through: `P`ending, `U`p, `D`own, `?` unchecked.
    fn states(rise: u32, fall: u32, start: BackendState, results: &str) -> String {
        let mut damping = Damping::new(rise, fall, start);
        let step = |result| {
            match result {
                '|' => damping.retarget(rise, fall),
                result => {
                    let before = damping.state();
                    let verdict = damping.observe(result == '+');
                    assert_eq!(verdict.is_some(), before != damping.state());
                    assert_eq!(verdict.unwrap_or(before), damping.state());
                }
            }
            match damping.state() {
                Pending => 'P',
                Up => 'U',
                Down => 'D',
                Unchecked => '?',
            }
        };
        results.chars().map(step).collect()
    }

    macro_rules! rows {
        ($($name:ident: rise $rise:literal fall $fall:literal from $start:ident, $results:literal => $states:literal;)*) => {$(
            #[test]
            fn $name() {
                assert_eq!(states($rise, $fall, $start, $results), $states);
            }
        )*};
    }

    rows! {
        a_new_server_starts_on_its_first_pass: rise 2 fall 2 from Pending, "+" => "U";
        a_new_server_starts_on_its_first_pass_whatever_rise_is: rise 9 fall 2 from Pending, "+" => "U";
        a_server_unchecked_before_serves_until_its_first_verdict: rise 2 fall 3 from Unchecked, "---" => "??D";
        a_server_unchecked_before_is_up_on_its_first_pass: rise 2 fall 2 from Unchecked, "-+" => "?U";
        a_new_server_is_down_after_fall_failures: rise 2 fall 3 from Pending, "---" => "PPD";
        a_new_server_that_fails_once_starts_on_its_pass: rise 2 fall 2 from Pending, "-+" => "PU";
        a_server_that_never_passed_starts_on_its_first_pass: rise 3 fall 2 from Pending, "---+" => "PDDU";
        an_up_server_stays_up_on_passes: rise 2 fall 2 from Up, "+++" => "UUU";
        one_failure_short_of_fall_is_forgiven: rise 2 fall 3 from Up, "--+--+" => "UUUUUU";
        fall_failures_in_a_row_take_it_down: rise 2 fall 3 from Up, "---" => "UUD";
        fall_of_one_takes_it_down_at_once: rise 2 fall 1 from Up, "-" => "D";
        a_down_server_needs_rise_passes: rise 3 fall 2 from Down, "+++" => "DDU";
        a_failure_between_passes_starts_over: rise 2 fall 2 from Down, "+-+-++" => "DDDDDU";
        rise_of_one_brings_it_up_at_once: rise 1 fall 2 from Down, "+" => "U";
        after_a_fall_the_first_pass_is_not_enough: rise 2 fall 2 from Pending, "+--+" => "UUDD";
        after_a_fall_rise_passes_bring_it_back: rise 2 fall 2 from Pending, "+--++" => "UUDDU";
        strict_alternation_never_moves_an_up_server: rise 2 fall 2 from Up, "-+-+-+-+" => "UUUUUUUU";
        strict_alternation_never_moves_a_down_server: rise 2 fall 2 from Down, "+-+-+-+-" => "DDDDDDDD";
        a_changed_check_keeps_an_up_verdict: rise 2 fall 2 from Up, "|" => "U";
        a_changed_check_keeps_a_down_verdict: rise 2 fall 2 from Down, "|" => "D";
        a_changed_check_counts_failures_anew: rise 2 fall 2 from Up, "-|--" => "UUUD";
        a_changed_check_counts_passes_anew: rise 2 fall 2 from Down, "+|++" => "DDDU";
        a_changed_check_keeps_a_pending_server_new: rise 2 fall 2 from Pending, "-|+" => "PPU";
        rise_of_zero_means_one: rise 0 fall 1 from Down, "+" => "U";
        fall_of_zero_means_one: rise 1 fall 0 from Up, "-" => "D";
        an_adopted_up_server_falls_like_any_other: rise 2 fall 2 from Up, "--" => "UD";
        an_adopted_down_server_rises_like_any_other: rise 2 fall 2 from Down, "++" => "DU";
        a_long_failure_is_one_verdict: rise 2 fall 2 from Up, "-----" => "UDDDD";
        a_full_round_trip: rise 2 fall 2 from Pending, "+--++--" => "UUDDUUD";
    }
}
