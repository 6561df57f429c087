//! `lb flows`.

use super::{Context, Failure, Run, client::encode, output::duration, table::Table};
use crate::api::types::FlowRow;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Of this service: `name`, `name@provider` or `tcp/name`
    #[arg(long)]
    service: Option<String>,
    /// From this client: `IP`, `IP:PORT` or a network `IP/LEN`
    #[arg(long)]
    client: Option<String>,
    /// On this backend: `IP` or `IP:PORT`
    #[arg(long)]
    backend: Option<String>,
    /// In this state: new, syn-received, established, closing, closed, reset
    #[arg(long)]
    state: Option<String>,
    /// At most so many; 0 for all
    #[arg(long, default_value_t = 10_000)]
    limit: usize,
}

impl Run for Args {
    fn run(self, context: &Context) -> Result<(), Failure> {
        let rows: Vec<FlowRow> = context.client().get(&self.path())?;
        if self.limit != 0 && rows.len() == self.limit {
            eprintln!("shown: {} flows; there may be more, see --limit", self.limit);
        }
        context.output.print(&rows, |rows| table(rows))
    }
}

impl Args {
    fn path(&self) -> String {
        let filters = [
            ("service", &self.service),
            ("client", &self.client),
            ("backend", &self.backend),
            ("state", &self.state),
        ];
        let mut path = format!("/api/l4/flows?limit={}", self.limit);
        for (name, value) in filters {
            if let Some(value) = value {
                path.push_str(&format!("&{name}={}", encode(value)));
            }
        }
        path
    }
}

fn table(rows: &[FlowRow]) -> String {
    let mut table = Table::new(&[
        "PROTO",
        "CLIENT",
        "VIP",
        "SERVICE",
        "BACKEND",
        "STATE",
        "NAT SOURCE",
        ">IDLE",
    ]);
    for r in rows {
        table.row([
            r.proto.clone(),
            r.client.clone(),
            r.vip.clone(),
            r.service.clone(),
            r.backend.clone(),
            r.state.clone(),
            r.nat.clone(),
            duration(r.idle_seconds),
        ]);
    }
    table.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_become_a_query() {
        let args = Args {
            service: Some("tcp/pg".into()),
            client: None,
            backend: Some("10.0.0.1:80".into()),
            state: Some("established".into()),
            limit: 5,
        };
        assert_eq!(
            args.path(),
            "/api/l4/flows?limit=5&service=tcp%2Fpg&backend=10.0.0.1%3A80&state=established"
        );
    }

    #[test]
    fn table_shows_the_whole_way() {
        let row = FlowRow {
            proto: "tcp".into(),
            client: "203.0.113.7:5555".into(),
            vip: "198.51.100.10:80".into(),
            service: "web@file".into(),
            backend: "10.0.1.5:8080".into(),
            state: "established".into(),
            nat: "10.0.1.1:5555".into(),
            idle_seconds: 61,
        };
        assert_eq!(
            table(&[row]),
            "PROTO  CLIENT            VIP               SERVICE   BACKEND        STATE        NAT SOURCE      IDLE\n\
             tcp    203.0.113.7:5555  198.51.100.10:80  web@file  10.0.1.5:8080  established  10.0.1.1:5555  1m 1s\n"
        );
    }
}
