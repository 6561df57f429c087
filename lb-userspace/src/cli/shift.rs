//! `lb shift`.

use hyper::Method;

use super::{Context, Failure, Run, client::encode, output::milliseconds, table::Table};
use crate::api::types::{ShiftGroup, ShiftOrder, ShiftRow};

#[derive(Debug, clap::Args)]
#[command(
    override_usage = "lb shift <SERVICE> <FROM> <TO> [OPTIONS]\n       lb shift status\n       \
                      lb shift <SERVICE> --abort\n       lb shift <SERVICE> --reset"
)]
pub(super) struct Args {
    /// A weighted service, or one with servers; `status` shows what is under way
    #[arg(default_value = "status")]
    service: String,
    /// A part of it, or servers as `host:port` with commas in between
    #[arg(requires = "to")]
    from: Option<String>,
    /// Likewise
    to: Option<String>,
    /// How much of what both get goes to TO, one after the other
    #[arg(long, value_delimiter = ',', default_value = "10,50,100", value_name = "PERCENT")]
    steps: Vec<u32>,
    /// How long each step is watched
    #[arg(long, default_value = "30s", value_name = "DURATION")]
    every: String,
    /// Largest share of answers with a status from 500 on
    #[arg(long, default_value = "1%", value_name = "PERCENT")]
    max_errors: String,
    /// Largest 99th percentile of durations
    #[arg(long, value_name = "DURATION")]
    max_p99: Option<String>,
    /// Take it back now
    #[arg(long, conflicts_with_all = ["from", "reset"])]
    abort: bool,
    /// Take the configured weights again
    #[arg(long, conflicts_with = "from")]
    reset: bool,
}

impl Run for Args {
    fn run(self, context: &Context) -> Result<(), Failure> {
        let client = context.client();
        let path = format!("/api/shifts/{}", encode(&self.service));
        let rows: Vec<ShiftRow> = match (self.from, self.to) {
            (Some(from), Some(to)) => {
                let Self { steps, every, max_errors, max_p99, .. } = self;
                let order = ShiftOrder { from, to, steps, every, max_errors, max_p99 };
                vec![client.send(Method::POST, &path, &order)?]
            }
            _ if self.abort => client.delete(&path)?,
            _ if self.reset => client.delete(&format!("{path}?reset=true"))?,
            _ if self.service == "status" => client.get("/api/shifts")?,
            _ => return Err(Failure::Usage("give FROM and TO, --abort or --reset".to_owned())),
        };
        context.output.print(&rows, |rows| table(rows))
    }
}

pub(super) fn table(rows: &[ShiftRow]) -> String {
    let mut table =
        Table::new(&["SERVICE", "FROM", "TO", ">PERCENT", "STATE", "OLD SIDE", "NEW SIDE", "WHY"]);
    for row in rows {
        let state = match row.next_seconds {
            Some(seconds) => format!("{}, {seconds}s left", row.state),
            None => row.state.clone(),
        };
        table.row([
            row.service.clone(),
            row.from.clone(),
            row.to.clone(),
            row.percent.to_string(),
            state,
            group(&row.from_seen),
            group(&row.to_seen),
            row.reason.clone().unwrap_or_default(),
        ]);
    }
    table.to_string()
}

fn group(seen: &ShiftGroup) -> String {
    let ShiftGroup { requests, errors, p99_ms } = seen;
    match p99_ms {
        Some(p99) => format!("{requests} requests, {errors} failed, p99 {}", milliseconds(*p99)),
        None => "no requests".to_owned(),
    }
}
