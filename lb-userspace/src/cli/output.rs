//! `-o table|json|yaml`.

use std::io::{self, Write};

use serde::Serialize;

use super::Failure;

/// How a command prints what it read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Format {
    /// For people
    #[default]
    Table,
    /// The API's body
    Json,
    /// The same as YAML
    Yaml,
}

impl Format {
    /// Prints `body`, as a table by `table`.
    pub(super) fn print<T: Serialize>(
        self,
        body: &T,
        table: impl FnOnce(&T) -> String,
    ) -> Result<(), Failure> {
        print(&self.render(body, table)?)
    }

    fn render<T: Serialize>(
        self,
        body: &T,
        table: impl FnOnce(&T) -> String,
    ) -> Result<String, Failure> {
        let text = match self {
            Self::Table => return Ok(table(body)),
            Self::Json => serde_json::to_string_pretty(body).map_err(|e| e.to_string()),
            Self::Yaml => serde_yaml::to_string(body).map_err(|e| e.to_string()),
        };
        let text = text.map_err(|e| Failure::Refused(format!("can't print the answer: {e}")))?;
        Ok(if text.ends_with('\n') { text } else { text + "\n" })
    }
}

/// Writes to standard output; a reader that went away (`| head`) is no failure.
pub(super) fn print(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(e) if e.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::Refused(format!("can't write to standard output: {e}")))
        }
        _ => Ok(()),
    }
}

/// Requests a second, as a cell: `-` where nothing is known.
pub(super) fn rate(per_second: f64) -> String {
    match per_second {
        0.0 => String::new(),
        slow if slow < 10.0 => format!("{slow:.1}/s"),
        fast => format!("{fast:.0}/s"),
    }
}

/// Milliseconds, as a cell: `-` where nothing is known.
pub(super) fn milliseconds(time: f64) -> String {
    match time {
        0.0 => String::new(),
        short if short < 10.0 => format!("{short:.1}ms"),
        long => format!("{long:.0}ms"),
    }
}

/// Seconds as `3d 4h`, `5m 10s`: the two largest units.
pub(super) fn duration(seconds: u64) -> String {
    let units = [("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)];
    let mut rest = seconds;
    let mut parts = Vec::new();
    for (name, size) in units {
        if rest >= size {
            parts.push(format!("{}{name}", rest / size));
            rest %= size;
        } else if !parts.is_empty() {
            break;
        }
    }
    match parts.len() {
        0 => "0s".to_owned(),
        n => parts[..n.min(2)].join(" "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::types::HealthRow;

    macro_rules! durations {
        ($($test:ident: $seconds:expr => $text:expr;)+) => {
            $(#[test]
            fn $test() {
                assert_eq!(duration($seconds), $text);
            })+
        };
    }

    durations! {
        duration_of_nothing: 0 => "0s";
        duration_in_seconds: 59 => "59s";
        duration_in_minutes: 310 => "5m 10s";
        duration_of_a_whole_hour: 3600 => "1h";
        duration_leaves_small_units_out: 90_061 => "1d 1h";
    }

    #[test]
    fn rates_and_times_are_as_exact_as_one_reads() {
        assert_eq!([rate(0.0), rate(0.25), rate(1234.4)], ["", "0.2/s", "1234/s"]);
        let times = [milliseconds(0.0), milliseconds(2.345), milliseconds(120.0)];
        assert_eq!(times, ["", "2.3ms", "120ms"]);
    }

    fn row() -> Vec<HealthRow> {
        vec![HealthRow { service: "pg@file".into(), state: "up".into(), ..HealthRow::default() }]
    }

    #[test]
    fn json_is_the_body() {
        let text = Format::Json.render(&row(), |_| unreachable!()).unwrap();
        assert_eq!(serde_json::from_str::<Vec<HealthRow>>(&text).unwrap(), row());
        assert!(text.ends_with("]\n"));
    }

    #[test]
    fn yaml_holds_the_same() {
        let text = Format::Yaml.render(&row(), |_| unreachable!()).unwrap();
        assert!(text.contains("service: pg@file"), "{text}");
        assert_eq!(serde_yaml::from_str::<Vec<HealthRow>>(&text).unwrap(), row());
    }

    #[test]
    fn table_is_left_to_the_command() {
        assert_eq!(Format::Table.render(&row(), |_| "t".into()).unwrap(), "t");
    }
}
