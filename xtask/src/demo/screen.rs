//! What is shown, in colour where it is a terminal.

use std::io::{IsTerminal, Write, stdout};

/// Characters of a bar that stands for everything.
const BAR: f64 = 40.0;

pub(super) struct Screen {
    colour: bool,
}

impl Screen {
    pub(super) fn new() -> Self {
        let wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        Self { colour: wanted && stdout().is_terminal() }
    }

    /// Who is where.
    pub(super) fn topology(&self) {
        self.line(&format!(
            "{}\n\n\
             \x20                                                   ┌─ b1  10.0.1.11  weight 3\n\
             \x20  client ────────────────── lb ────────────────────┼─ b2  10.0.1.12  weight 2\n\
             \x20  192.0.2.2    198.51.100.10  80/tcp and 7/udp     └─ b3  10.0.1.13  weight 1\n\n\
             \x20  Five hosts on this machine, each in a network namespace of its own. Backends run\n\
             \x20  a web server and a UDP echo that answer their names, and know nothing of lb.",
            self.paint("1", "lb balances TCP and UDP in the Linux kernel: the demo"),
        ));
    }

    /// Begins a step.
    pub(super) fn title(&self, n: usize, title: &str) {
        self.line(&format!("\n{}", self.paint("1", &format!("{n}. {title}"))));
    }

    /// A remark, of one line or more.
    pub(super) fn say(&self, text: &str) {
        for line in text.lines() {
            self.line(format!("   {line}").trim_end());
        }
    }

    /// A free line.
    pub(super) fn space(&self) {
        self.line("");
    }

    /// A command, and what it printed.
    pub(super) fn command(&self, line: &str, output: &str) {
        self.say(&self.paint("36", &format!("$ {line}")));
        self.say(output);
    }

    /// Something bad that is done on purpose.
    pub(super) fn harm(&self, text: &str) {
        self.say(&self.paint("31", text));
    }

    /// Something good that is done.
    pub(super) fn heal(&self, text: &str) {
        self.say(&self.paint("32", text));
    }

    /// A bar for a share of one, at least as wide as that of a half.
    pub(super) fn bar(&self, share: f64) -> String {
        let full = (share * BAR).round() as usize;
        let rest = (BAR as usize / 2).saturating_sub(full);
        self.paint("34", &"█".repeat(full)) + &" ".repeat(rest)
    }

    /// The last words.
    pub(super) fn end(&self, text: &str) {
        self.line(&format!("\n{}", self.paint("1", text)));
    }

    /// Whoever stops reading half-way (`… | head`) misses the rest, and that is all.
    fn line(&self, text: &str) {
        let _ = writeln!(stdout(), "{text}");
    }

    fn paint(&self, code: &str, text: &str) -> String {
        if self.colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// A share in per cent.
pub(super) fn percent(part: u64, whole: u64) -> String {
    format!("{:.1}%", part as f64 * 100.0 / whole.max(1) as f64)
}
