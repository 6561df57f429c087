//! W3C Trace Context: whose child a request is, and whether the trace is recorded.

use crate::proxy::Head;

/// Bit of the flags: the trace is recorded.
const SAMPLED: u8 = 1;
/// Bits of the flags that are passed on: that one, and whether the trace's id is random.
const KNOWN: u8 = 3;
/// Length of `traceparent` in version 00.
const LENGTH: usize = 55;

pub(super) type TraceId = [u8; 16];
pub(super) type SpanId = [u8; 8];

/// A span as others are told of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Context {
    pub(super) trace: TraceId,
    pub(super) span: SpanId,
    pub(super) flags: u8,
}

impl Context {
    /// What `traceparent` says; `None` where it isn't there, stands twice or is no such thing, so
    /// that the trace begins here and `tracestate` means nothing.
    pub(super) fn of(request: &Head) -> Option<Self> {
        let mut all = request.values("traceparent");
        let first = all.next().and_then(Self::parse);
        first.filter(|_| all.next().is_none())
    }

    /// Reads `00-TRACE-SPAN-FLAGS`; later versions may have more behind it.
    fn parse(text: &[u8]) -> Option<Self> {
        let [version] = hex(text.get(..2)?)?;
        let is_whole = match version {
            0 => text.len() == LENGTH,
            0xff => false,
            _ => text.get(LENGTH).is_none_or(|byte| *byte == b'-'),
        };
        let parted = [2, 35, 52].iter().all(|at| text.get(*at) == Some(&b'-'));
        let context = Self {
            trace: hex(text.get(3..35)?)?,
            span: hex(text.get(36..52)?)?,
            flags: hex::<1>(text.get(53..LENGTH)?)?[0] & KNOWN,
        };
        let has_ids = context.trace != TraceId::default() && context.span != SpanId::default();
        (is_whole && parted && has_ids).then_some(context)
    }

    /// The first span of a trace; `bound` says how many are recorded: see [`bound`].
    pub(super) fn root(bound: u64) -> Self {
        let trace = fastrand::u128(1..).to_be_bytes();
        let flags = if samples(trace, bound) { SAMPLED } else { 0 };
        Self { trace, span: span_id(), flags }
    }

    /// A span below this one.
    pub(super) fn child(&self) -> Self {
        Self { span: span_id(), ..*self }
    }

    pub(super) fn is_sampled(&self) -> bool {
        self.flags & SAMPLED != 0
    }

    /// `traceparent`.
    pub(super) fn text(&self) -> [u8; LENGTH] {
        let mut text = [b'-'; LENGTH];
        put(&mut text[0..2], &[0]);
        put(&mut text[3..35], &self.trace);
        put(&mut text[36..52], &self.span);
        put(&mut text[53..], &[self.flags]);
        text
    }
}

fn span_id() -> SpanId {
    fastrand::u64(1..).to_be_bytes()
}

/// For [`samples`]: of 2^63 traces so many are recorded.
pub(super) fn bound(rate: f64) -> u64 {
    (rate.clamp(0.0, 1.0) * (1u64 << 63) as f64) as u64
}

/// By the trace's id, in the same way as OpenTelemetry's `TraceIDRatioBased`: whoever samples at
/// the same rate records the same traces.
fn samples(trace: TraceId, bound: u64) -> bool {
    let low = u128::from_be_bytes(trace) as u64;
    low >> 1 < bound
}

/// Bytes of lower-case hexadecimal digits.
fn hex<const N: usize>(text: &[u8]) -> Option<[u8; N]> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let mut bytes = [0; N];
    if text.len() != 2 * N {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(bytes)
}

fn put(text: &mut [u8], bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for (pair, byte) in text.chunks_exact_mut(2).zip(bytes) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 15)];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOUND: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn of(lines: &str) -> Option<Context> {
        let mut head = Head::request("GET", "/");
        lines.lines().for_each(|value| head.add("Traceparent", value));
        Context::of(&head)
    }

    #[test]
    fn what_is_read_is_written_again() {
        let context = of(SOUND).expect("a context");
        assert_eq!(context.text().as_slice(), SOUND.as_bytes());
        assert!(context.is_sampled());
        let child = context.child();
        assert_eq!((child.trace, child.flags), (context.trace, 1));
        assert_ne!(child.span, context.span);
    }

    #[test]
    fn the_parents_choice_is_read() {
        assert!(!of(&SOUND.replace("-01", "-00")).unwrap().is_sampled());
        assert!(of(&SOUND.replace("-01", "-03")).unwrap().text().ends_with(b"-03"));
        // Bits that nobody knows yet are not passed on.
        assert!(of(&SOUND.replace("-01", "-f1")).unwrap().text().ends_with(b"-01"));
    }

    #[test]
    fn a_later_version_is_read_as_far_as_it_is_known() {
        let later = SOUND.replace("00-4b", "cc-4b");
        assert!(of(&later).unwrap().text().starts_with(b"00-4bf9"));
        assert!(of(&format!("{later}-more")).is_some());
        assert_eq!(of(&format!("{later}more")), None);
    }

    macro_rules! none {
        ($($name:ident: $text:expr;)*) => {
            $( #[test] fn $name() { assert_eq!(of($text), None); } )*
        };
    }

    none! {
        nothing: "";
        version_ff: &SOUND.replace("00-4b", "ff-4b");
        more_behind_version_00: &format!("{SOUND}-more");
        shorter: &SOUND[..54];
        capitals: &SOUND.to_uppercase();
        no_trace: &SOUND.replace("4bf92f3577b34da6a3ce929d0e0e4736", &"0".repeat(32));
        no_span: &SOUND.replace("00f067aa0ba902b7", &"0".repeat(16));
        no_digit: &SOUND.replace("-01", "-0g");
        another_separator: &SOUND.replace("36-00", "36_00");
        two_of_them: &format!("{SOUND}\n{SOUND}");
    }

    #[test]
    fn the_rate_is_kept_to() {
        let recorded = |rate: f64| {
            let bound = bound(rate);
            (0..4000).filter(|_| Context::root(bound).is_sampled()).count()
        };
        assert_eq!((recorded(0.0), recorded(1.0)), (0, 4000));
        let half = recorded(0.5);
        assert!((1500..2500).contains(&half), "{half}");
    }

    #[test]
    fn the_same_trace_is_recorded_by_all() {
        let bound = bound(0.5);
        let mut trace = [0xff; 16];
        trace[8] = 0x7f;
        assert!(samples(trace, bound));
        trace[8] = 0x80;
        assert!(!samples(trace, bound));
    }
}
