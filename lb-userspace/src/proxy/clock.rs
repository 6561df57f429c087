//! The date for `Date` fields, made once a second.

use std::{
    cell::{Cell, RefCell},
    time::{Instant, SystemTime, UNIX_EPOCH},
};

/// A worker's clock.
#[derive(Debug, Default)]
pub(crate) struct Clock {
    second: Cell<u64>,
    date: RefCell<String>,
    /// As of the last tick.
    now: Cell<Option<Instant>>,
}

impl Clock {
    /// The time as of the last tick, for what need not be exact: reading it is a load.
    pub(crate) fn now(&self) -> Instant {
        self.now.get().unwrap_or_else(Instant::now)
    }

    /// Brings time and date up to now.
    pub(crate) fn tick(&self) {
        self.now.set(Some(Instant::now()));
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        if now != self.second.get() {
            self.second.set(now);
            *self.date.borrow_mut() = imf_fixdate(now);
        }
    }

    /// Calls `with` with the date as HTTP has it.
    pub(crate) fn date<T>(&self, with: impl FnOnce(&str) -> T) -> T {
        if self.second.get() == 0 {
            self.tick();
        }
        with(&self.date.borrow())
    }
}

/// `Sun, 06 Nov 1994 08:49:37 GMT` (RFC 9110 §5.6.7), from seconds since the epoch.
pub(crate) fn imf_fixdate(seconds: u64) -> String {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = civil(days);
    format!(
        "{}, {day:02} {} {year} {:02}:{:02}:{:02} GMT",
        DAYS[(days % 7) as usize],
        MONTHS[month as usize - 1],
        rest / 3600,
        rest % 3600 / 60,
        rest % 60
    )
}

/// Year, month and day of a number of days since the epoch (Hinnant, "chrono-compatible
/// low-level date algorithms", `civil_from_days`).
pub(crate) fn civil(days: u64) -> (u64, u64, u64) {
    let z = days + 719_468;
    let era = z / 146_097;
    let day_of_era = z % 146_097;
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (year_of_era + era * 400 + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::imf_fixdate;

    #[test]
    fn dates_are_those_of_the_standard() {
        assert_eq!(imf_fixdate(784_111_777), "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(imf_fixdate(0), "Thu, 01 Jan 1970 00:00:00 GMT");
        assert_eq!(imf_fixdate(1_709_164_800), "Thu, 29 Feb 2024 00:00:00 GMT");
    }
}
