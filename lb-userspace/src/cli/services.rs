//! `lb services`.

use super::{
    Context, Failure, Run,
    output::{milliseconds, rate},
    table::Table,
};
use crate::api::types::ServiceRow;

#[derive(Debug, clap::Args)]
pub(super) struct Args {}

impl Run for Args {
    fn run(self, context: &Context) -> Result<(), Failure> {
        let rows: Vec<ServiceRow> = context.client().get("/api/l4/services")?;
        context.output.print(&rows, |rows| table(rows))
    }
}

fn table(rows: &[ServiceRow]) -> String {
    let mut table = Table::new(&[
        "SERVICE",
        "PROTO",
        "STATE",
        "ALGORITHM",
        "FORWARDING",
        ">UP",
        ">ACTIVE",
        ">TOTAL",
        ">RATE",
        ">LATENCY",
        "PATH",
        "WHY",
    ]);
    for r in rows {
        table.row([
            r.service.clone(),
            r.proto.clone(),
            r.state.clone(),
            r.algorithm.clone(),
            r.forwarding.clone(),
            format!("{}/{}", r.backends_up, r.backends),
            r.active_connections.to_string(),
            r.connections.to_string(),
            rate(r.rate),
            milliseconds(r.latency_ms),
            r.path.clone(),
            r.why.clone(),
        ]);
    }
    table.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_counts_healthy_backends() {
        let row = ServiceRow {
            service: "pg@file".into(),
            proto: "tcp".into(),
            state: "degraded".into(),
            algorithm: "maglev".into(),
            forwarding: "nat".into(),
            backends: 3,
            backends_up: 2,
            active_connections: 7,
            connections: 1200,
            rate: 0.0,
            latency_ms: 0.0,
            path: "kernel".into(),
            why: "nothing needs userspace".into(),
            used_by: vec![],
        };
        let web = ServiceRow {
            service: "web@file".into(),
            proto: "http".into(),
            rate: 41.6,
            latency_ms: 1.25,
            path: "proxy".into(),
            ..row.clone()
        };
        assert_eq!(
            table(&[row, web]),
            "SERVICE   PROTO  STATE     ALGORITHM  FORWARDING   UP  ACTIVE  TOTAL  RATE  LATENCY  PATH    WHY\n\
             pg@file   tcp    degraded  maglev     nat         2/3       7   1200     -        -  kernel  nothing needs userspace\n\
             web@file  http   degraded  maglev     nat         2/3       7   1200  42/s    1.2ms  proxy   nothing needs userspace\n"
        );
    }
}
