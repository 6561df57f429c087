//! The programs' clock: jiffies, read by running a program that writes them
//! into its packet.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use aya::{TestRun, TestRunOptions, programs::Xdp};

use aya_obj::programs::XdpAttachType;

use super::error::{KernelError as E, Result};

/// Name of the program, which no packet meets.
pub const PROGRAM: &str = "lb_clock";
/// Tick rates that x86_64 kernels are built with (`CONFIG_HZ`).
const RATES: [u32; 4] = [100, 250, 300, 1000];
/// How long ticks are counted: long enough to tell 250 from 300 a second, each count being
/// off by one at most.
const WINDOW: Duration = Duration::from_millis(60);

/// Reads jiffies.
#[derive(Debug)]
pub(super) struct Clock {
    program: Xdp,
}

impl Clock {
    /// The clock pinned at `path`.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let program = Xdp::from_pin(path, XdpAttachType::Interface).map_err(E::program(PROGRAM))?;
        Ok(Self { program })
    }

    /// Jiffies now.
    pub(super) fn now(&self) -> Result<u64> {
        let packet = [0u8; 64];
        let mut out = [0u8; 64];
        let options = TestRunOptions {
            data_in: Some(&packet),
            data_out: Some(&mut out),
            ..TestRunOptions::new()
        };
        self.program.test_run(options).map_err(E::program(PROGRAM))?;
        let mut jiffies = [0; 8];
        jiffies.copy_from_slice(&out[..8]);
        Ok(u64::from_ne_bytes(jiffies))
    }

    /// Jiffies a second, counted over 60 ms.
    pub(super) fn rate(&self) -> Result<u32> {
        let (start, first) = (Instant::now(), self.now()?);
        std::thread::sleep(WINDOW);
        let (last, elapsed) = (self.now()?, start.elapsed());
        Ok(nearest_rate(last.wrapping_sub(first) as f64 / elapsed.as_secs_f64()))
    }
}

fn nearest_rate(measured: f64) -> u32 {
    let off = |rate: u32| (f64::from(rate).ln() - measured.max(1.0).ln()).abs();
    RATES.into_iter().min_by(|a, b| off(*a).total_cmp(&off(*b))).unwrap_or(RATES[1])
}

#[cfg(test)]
mod tests {
    use super::*;

    macro_rules! rates {
        ($($test:ident: $ticks:literal in 0.06 => $rate:literal,)+) => {
            $(#[test]
            fn $test() {
                assert_eq!(nearest_rate($ticks as f64 / 0.06), $rate);
            })+
        };
    }

    rates! {
        five_ticks_are_100: 5 in 0.06 => 100,
        seven_ticks_are_100: 7 in 0.06 => 100,
        fourteen_ticks_are_250: 14 in 0.06 => 250,
        sixteen_ticks_are_250: 16 in 0.06 => 250,
        seventeen_ticks_are_300: 17 in 0.06 => 300,
        nineteen_ticks_are_300: 19 in 0.06 => 300,
        fifty_nine_ticks_are_1000: 59 in 0.06 => 1000,
    }
}
