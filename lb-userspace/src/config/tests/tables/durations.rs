//! Durations.

use super::*;

fn read(text: &str) -> Option<Duration> {
    duration::parse(text).ok()
}

rows! {
    seconds: read("1s") => ms(1000);
    milliseconds: read("300ms") => ms(300);
    minutes_and_seconds: read("1m30s") => ms(90_000);
    hours: read("2h4m") => ms(7_440_000);
    a_bare_number_counts_seconds: read("5") => ms(5000);
    a_bare_zero: read("0") => ms(0);
    a_fraction: read("1.5s") => ms(1500);
    a_fraction_without_whole: read(".5s") => ms(500);
    a_fraction_without_rest: read("1.s") => ms(1000);
    a_fraction_of_an_hour: read("0.25h") => ms(900_000);
    microseconds: read("1500us") => Some(Duration::from_micros(1500));
    microseconds_with_the_micro_sign: read("2µs") => Some(Duration::from_micros(2));
    microseconds_with_the_greek_letter: read("2μs") => Some(Duration::from_micros(2));
    nanoseconds: read("7ns") => Some(Duration::from_nanos(7));
    a_plus_sign: read("+1s") => ms(1000);
    every_unit: read("1h1m1s1ms1us1ns") => Some(Duration::new(3661, 1_001_001));
    units_in_any_order: read("1s1h") => ms(3_601_000);
    a_long_fraction: read("0.123456789123456789s") => Some(Duration::new(0, 123_456_789));
    no_unit_after_a_fraction: read("1.5") => None;
    no_number: read("s") => None;
    nothing: read("") => None;
    a_sign_alone: read("+") => None;
    two_dots: read("1.2.3s") => None;
    a_dot_alone: read(".s") => None;
    a_negative_one: read("-1s") => None;
    a_day: read("1d") => None;
    a_space: read("1 s") => None;
    an_upper_case_unit: read("1S") => None;
    too_long: read("99999999999999999999h") => None;
    far_too_long: read("999999999999999999999999999999999999999999h") => None;
    a_number_in_yaml: check("interval: 3").interval => Duration::from_secs(3);
    a_number_in_quotes: check("interval: '3'").interval => Duration::from_secs(3);
    in_quotes: check("interval: \"250ms\"").interval => Duration::from_millis(250);
}
