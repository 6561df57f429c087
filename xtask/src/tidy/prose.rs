//! Rules on documentation and on texts of every kind.

use lb_common::{DropReason, Event};

use super::tree::{Fault, Tree};

/// An example that nobody is pointed at is not found; it must be loaded by a
/// test as well, which that test sees to by reading the whole folder.
pub(super) fn examples(tree: &Tree) -> Vec<Fault> {
    let documented = |name: &str| {
        let pages = tree.files.iter().filter(|f| f.path.ends_with(".md"));
        pages.into_iter().any(|page| page.text.contains(name))
    };
    let examples = tree.files.iter().filter(|f| f.path.starts_with("configs/"));
    examples
        .filter(|f| !documented(&f.path))
        .map(|f| f.fault(1, "no page of the documentation names this example"))
        .collect()
}

/// Every label that `lb status` and the metrics can show is in README.md, for
/// whoever meets it at night.
pub(super) fn reasons(tree: &Tree) -> Vec<Fault> {
    let Some(readme) = tree.file("README.md") else { return Vec::new() };
    let drops = DropReason::ALL.iter().map(|reason| reason.label());
    let events = Event::ALL.iter().map(|event| event.label());
    drops
        .chain(events)
        .filter(|label| !readme.text.contains(&format!("`{label}`")))
        .map(|label| readme.fault(1, format!("`{label}` is not explained")))
        .collect()
}

/// A page that is pointed to must be there.
pub(super) fn pages(tree: &Tree) -> Vec<Fault> {
    let mut faults = Vec::new();
    let page = |c: char| c.is_alphanumeric() || "._-/".contains(c);
    for file in tree.files.iter().filter(|f| !f.path.starts_with("xtask/src/tidy/")) {
        for (at, line) in file.text.lines().enumerate() {
            let words = line.split(|c| !page(c)).map(|w| w.trim_end_matches('.'));
            for name in words.filter(|w| w.len() > 3 && w.ends_with(".md")) {
                if tree.file(name.trim_start_matches(['.', '/'])).is_none() {
                    faults.push(file.fault(at + 1, format!("there is no {name}")));
                }
            }
        }
    }
    faults
}

/// A path below somebody's home is right on one machine alone.
pub(super) fn machine_paths(tree: &Tree) -> Vec<Fault> {
    let homes = ["home", "root", "work", "farm", "Users"].map(|name| format!("/{name}/"));
    let mut faults = Vec::new();
    for file in &tree.files {
        for (at, line) in file.text.lines().enumerate() {
            let absolute = |home: &String| {
                let word = |c: char| c.is_alphanumeric() || "._-}>)".contains(c);
                line.match_indices(home.as_str()).any(|(i, _)| !line[..i].ends_with(word))
            };
            if let Some(home) = homes.iter().find(|home| absolute(home)) {
                faults.push(file.fault(at + 1, format!("{home} is a path of one machine")));
            }
        }
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::super::tree::Tree;
    use super::{examples, machine_paths, pages, reasons};

    #[test]
    fn an_example_that_no_page_names() {
        let tree = Tree::of(&[("configs/a.yaml", ""), ("README.md", "see configs/b.yaml")]);
        assert_eq!(examples(&tree)[0].path, "configs/a.yaml");
    }

    #[test]
    fn an_example_that_a_page_names() {
        let tree = Tree::of(&[("configs/a.yaml", ""), ("README.md", "see configs/a.yaml")]);
        assert_eq!(examples(&tree), []);
    }

    #[test]
    fn a_reason_that_the_readme_leaves_out() {
        let tree = Tree::of(&[("README.md", "`malformed` `passed`")]);
        let texts: Vec<_> = reasons(&tree).into_iter().map(|fault| fault.text).collect();
        assert!(texts.contains(&"`ports_exhausted` is not explained".to_owned()));
        assert!(!texts.contains(&"`malformed` is not explained".to_owned()));
    }

    #[test]
    fn a_page_that_is_not_there() {
        let tree = Tree::of(&[("README.md", "see README.md and\ndocs/x.md.")]);
        let lines: Vec<_> = pages(&tree).into_iter().map(|fault| fault.line).collect();
        assert_eq!(lines, [2]);
    }

    #[test]
    fn a_path_of_one_machine() {
        let text = ["cd /ro", "ot/lb"].concat();
        assert_eq!(machine_paths(&Tree::of(&[("a.md", &text)]))[0].line, 1);
    }

    #[test]
    fn a_path_of_any_machine() {
        let text = ["cd /run/lb; see https://example.com/wo", "rk/"].concat();
        assert_eq!(machine_paths(&Tree::of(&[("a.md", &text)])), []);
    }
}
