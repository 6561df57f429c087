//! `lb routers`.

use super::{Context, Failure, Run, table::Table};
use crate::api::types::RouterRow;

#[derive(Debug, clap::Args)]
pub(super) struct Args {}

impl Run for Args {
    fn run(self, context: &Context) -> Result<(), Failure> {
        let rows: Vec<RouterRow> = context.client().get("/api/l4/routers")?;
        context.output.print(&rows, |rows| table(rows))
    }
}

fn table(rows: &[RouterRow]) -> String {
    let mut table = Table::new(&[
        "ROUTER",
        "PROTO",
        "ENTRY POINTS",
        "RULE",
        "MIDDLEWARES",
        "SERVICE",
        "PATH",
        "WHY",
    ]);
    for r in rows {
        table.row([
            r.router.clone(),
            r.proto.clone(),
            r.entry_points.join(","),
            r.rule.clone().unwrap_or_else(|| "-".to_owned()),
            if r.middlewares.is_empty() { "-".to_owned() } else { r.middlewares.join(",") },
            r.service.clone(),
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
    fn table_names_entry_points_and_reason() {
        let row = RouterRow {
            router: "pg@file".into(),
            proto: "tcp".into(),
            entry_points: vec!["pg".into(), "pg6".into()],
            service: "pg@file".into(),
            rule: Some("HostSNI(`*`)".into()),
            priority: 0,
            middlewares: vec!["a@file".into(), "b@file".into()],
            tls: false,
            path: "kernel".into(),
            why: "nothing needs userspace".into(),
        };
        assert_eq!(
            table(&[row]),
            "ROUTER   PROTO  ENTRY POINTS  RULE          MIDDLEWARES    SERVICE  PATH    WHY\n\
             pg@file  tcp    pg,pg6        HostSNI(`*`)  a@file,b@file  pg@file  kernel  nothing needs userspace\n"
        );
    }
}
