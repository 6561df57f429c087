//! What README.md shows must load.

const README: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../", "README.md"));

/// The YAML blocks in their order, free of the indentation of a list.
fn blocks() -> Vec<String> {
    let mut found = Vec::new();
    let mut lines = README.lines();
    while let Some(open) = lines.next() {
        if open.trim() != "```yaml" {
            continue;
        }
        let indent = open.len() - open.trim_start().len();
        let body = lines.by_ref().take_while(|line| line.trim() != "```");
        found.push(body.map(|line| line.get(indent..).unwrap_or("").to_owned() + "\n").collect());
    }
    found
}

fn loads(nth: usize) {
    let text = &blocks()[nth];
    if let Err(faults) = super::load("lb.yaml", text) {
        let faults: Vec<_> = faults.iter().map(ToString::to_string).collect();
        panic!("{}\n{text}", faults.join("\n"));
    }
}

#[test]
fn the_first_ten_minutes_load() {
    loads(0);
}

#[test]
fn the_configuration_by_example_loads() {
    loads(1);
}

#[test]
fn there_are_no_other_examples() {
    assert_eq!(blocks().len(), 2);
}

#[test]
fn every_reason_of_a_middleware_has_a_line() {
    for (label, _) in crate::middleware::REASONS {
        assert!(README.contains(&format!("| `{label}` |")), "{label} is not in README.md");
    }
}
