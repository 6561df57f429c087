//! Durations as Go writes them.

use std::time::Duration;

/// Reads `300ms`, `1m30s`, `1.5h`; a number without a unit counts seconds.
///
/// Units are `ns`, `us` (`µs`), `ms`, `s`, `m` and `h` (Go's `time.ParseDuration`).
///
/// # Errors
/// What is wrong, as a sentence without a full stop.
pub(crate) fn parse(text: &str) -> Result<Duration, String> {
    if let Ok(seconds) = text.parse::<u64>() {
        return Ok(Duration::from_secs(seconds));
    }
    if text.starts_with('-') {
        return Err(format!("a duration can't be negative: {text:?}"));
    }
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    if rest.is_empty() {
        return Err("expected a duration such as \"1s\" or \"300ms\", found \"\"".to_owned());
    }
    let mut total = 0_u128;
    while !rest.is_empty() {
        let (nanos, tail) = term(rest, text)?;
        total = total.saturating_add(nanos);
        rest = tail;
    }
    match u64::try_from(total / 1_000_000_000) {
        Ok(seconds) => Ok(Duration::new(seconds, (total % 1_000_000_000) as u32)),
        Err(_) => Err(format!("the duration {text:?} is too long")),
    }
}

/// The nanoseconds of the first `NUMBER UNIT` and what follows it.
fn term<'a>(rest: &'a str, whole: &str) -> Result<(u128, &'a str), String> {
    let (number, rest) = split_at(rest, |c| !c.is_ascii_digit() && c != '.');
    let (unit, tail) = split_at(rest, |c| c.is_ascii_digit() || c == '.');
    let unit_nanos = match unit {
        "ns" => 1,
        "us" | "µs" | "μs" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000_u128,
        _ if number.is_empty() => {
            let message = "expected a duration such as \"1s\" or \"300ms\"";
            return Err(format!("{message}, found {whole:?}"));
        }
        "" => return Err(format!("the duration {whole:?} lacks a unit: ns, us, ms, s, m or h")),
        _ => {
            let message = format!("unknown unit {unit:?} in the duration {whole:?}");
            return Err(format!("{message}; units are ns, us, ms, s, m and h"));
        }
    };
    match decimal(number, unit_nanos) {
        Some(nanos) => Ok((nanos, tail)),
        None => Err(format!("{number:?} in the duration {whole:?} is no number")),
    }
}

/// `whole.fraction` times `unit`, rounded down.
fn decimal(number: &str, unit: u128) -> Option<u128> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() || fraction.contains('.') {
        return None;
    }
    let whole: u128 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let mut nanos = whole.checked_mul(unit)?;
    let mut share = unit;
    for digit in fraction.bytes().take(13) {
        share /= 10;
        nanos = nanos.checked_add(u128::from(digit - b'0') * share)?;
    }
    Some(nanos)
}

fn split_at(text: &str, stop: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(stop).unwrap_or(text.len()))
}
