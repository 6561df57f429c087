//! `lb events`.

use std::io::Write;

use serde_json::Value;

use super::{Context, Failure, Run, client::encode, output::Format};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Types, or beginnings of them, such as `lb.health`; all when none is given
    #[arg(value_name = "TYPE")]
    types: Vec<String>,
    /// Begin with what the daemon still has of the past
    #[arg(long)]
    past: bool,
    /// End after so many
    #[arg(short = 'n', long, value_name = "N")]
    count: Option<usize>,
}

impl Run for Args {
    fn run(self, context: &Context) -> Result<(), Failure> {
        let types = self.types.iter().map(|one| encode(one)).collect::<Vec<_>>().join(",");
        // An id that no event has: the stream begins before all of them.
        let header = self.past.then_some(("last-event-id", "0"));
        let mut left = self.count.unwrap_or(usize::MAX);
        context.client().follow(&format!("/api/events?type={types}"), header, |line| {
            if let Some(lost) = line.strip_prefix(": too slow") {
                return Err(Failure::Refused(format!("this reader was too slow{lost}")));
            }
            let Some(json) = line.strip_prefix("data: ") else { return Ok(left > 0) };
            let mut out = std::io::stdout().lock();
            let written = writeln!(out, "{}", shown(json, context.output)).and_then(|()| out.flush());
            left = left.saturating_sub(1);
            // Who reads this output may have gone.
            Ok(written.is_ok() && left > 0)
        })
    }
}

/// One line, or one document of YAML.
fn shown(json: &str, format: Format) -> String {
    match format {
        Format::Json => json.to_owned(),
        Format::Yaml => {
            let value: Value = serde_json::from_str(json).unwrap_or_default();
            let text = serde_yaml::to_string(&value).unwrap_or_default();
            format!("---\n{}", text.trim_end())
        }
        Format::Table => row(&serde_json::from_str(json).unwrap_or_default()),
    }
}

/// `2026-07-04T12:00:00.250Z  lb.health.changed  tcp/pg@file/10.0.0.1:5432  from=up to=down`.
fn row(event: &Value) -> String {
    let text = |key: &str| event[key].as_str().unwrap_or_default().to_owned();
    let subject = text("subject");
    let said = |key: &str, value: &Value| {
        // What the subject says already, and what says nothing.
        matches!(key, "service" | "backend" | "router" | "middleware" | "provider")
            || value.is_null()
            || value.as_str().is_some_and(str::is_empty)
    };
    let data = event["data"].as_object().into_iter().flatten();
    let data = data.filter(|(key, value)| !said(key, value)).map(|(key, value)| match value {
        Value::String(text) => format!("{key}={text}"),
        other => format!("{key}={other}"),
    });
    let data: Vec<String> = data.collect();
    format!("{}  {:<22}  {subject}  {}", text("time"), text("type"), data.join(" "))
        .trim_end()
        .to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn row_says_what_the_subject_doesnt() {
        let event = json!({
            "time": "2026-07-04T12:00:00.250Z", "type": "lb.health.changed",
            "subject": "tcp/pg@file/10.0.0.1:5432",
            "data": { "service": "tcp/pg@file", "backend": "10.0.0.1:5432", "from": "up",
                "to": "down", "reason": "", "count": 2 },
        });
        let expected = "2026-07-04T12:00:00.250Z  lb.health.changed       \
                        tcp/pg@file/10.0.0.1:5432  count=2 from=up to=down";
        assert_eq!(shown(&event.to_string(), Format::Table), expected);
    }

    #[test]
    fn yaml_is_a_document_for_each() {
        assert_eq!(shown(r#"{"a":1}"#, Format::Yaml), "---\na: 1");
    }
}
