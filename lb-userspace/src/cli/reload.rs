//! `lb reload`.

use hyper::Method;

use super::{Context, Failure, Run};
use crate::api::types::Reloaded;

#[derive(Debug, clap::Args)]
pub(super) struct Args {}

impl Run for Args {
    fn run(self, context: &Context) -> Result<(), Failure> {
        let changes: Reloaded =
            context.client().send(Method::POST, "/api/reload", &serde_json::json!({}))?;
        context.output.print(&changes, text)
    }
}

fn text(reloaded: &Reloaded) -> String {
    if reloaded.changes.is_empty() {
        return "nothing changed\n".to_owned();
    }
    reloaded.changes.iter().map(|change| format!("{change}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_change_is_a_line() {
        let changes = vec!["service tcp/a@file: added".into(), "router tcp/r@file: removed".into()];
        assert_eq!(
            text(&Reloaded { generation: 3, changes }),
            "service tcp/a@file: added\nrouter tcp/r@file: removed\n"
        );
    }

    #[test]
    fn no_change_is_said() {
        assert_eq!(text(&Reloaded::default()), "nothing changed\n");
    }
}
