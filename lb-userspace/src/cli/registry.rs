//! `lb registry`.

use super::{Context, Failure, Run, table::Table};
use crate::api::types::RegistryInstance;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Show what is registered, and how its checks go
    Services,
    /// Print everything as a Consul agent's service definitions (JSON), for `-config-dir`
    Export,
}

impl Run for Args {
    fn run(self, context: &Context) -> Result<(), Failure> {
        match self.what {
            What::Services => {
                let rows: Vec<RegistryInstance> = context.client().get("/api/registry/services")?;
                context.output.print(&rows, |rows| table(rows))
            }
            What::Export => {
                let all: serde_json::Value = context.client().get("/api/registry/export")?;
                context.output.print(&all, |all| format!("{all:#}\n"))
            }
        }
    }
}

fn table(rows: &[RegistryInstance]) -> String {
    let mut table = Table::new(&["SERVICE", "ID", "ADDRESS", "STATE", "TAGS", "OUTPUT"]);
    for r in rows {
        let output = r.output.lines().next().unwrap_or_default();
        table.row([
            r.service.clone(),
            r.id.clone(),
            r.address.clone(),
            r.state.clone(),
            r.tags.join(", "),
            output.chars().take(60).collect(),
        ]);
    }
    table.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_shows_the_first_line_of_an_output() {
        let row = RegistryInstance {
            service: "api".into(),
            id: "api-1".into(),
            address: "10.0.1.5:8080".into(),
            state: "passing".into(),
            tags: vec!["production".into(), "v2".into()],
            output: "HTTP GET http://10.0.1.5:8080/health: 200 OK\nmore".into(),
        };
        assert_eq!(
            table(&[row]),
            "SERVICE  ID     ADDRESS        STATE    TAGS            OUTPUT\n\
             api      api-1  10.0.1.5:8080  passing  production, v2  HTTP GET http://10.0.1.5:8080/health: 200 OK\n"
        );
    }
}
