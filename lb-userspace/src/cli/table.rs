//! Plain tables: columns as wide as their widest cell, two spaces apart.

use std::fmt;

/// A table under construction. Columns whose title is given as `>TITLE` are
/// aligned to the right.
#[derive(Debug)]
pub(super) struct Table {
    titles: Vec<(&'static str, bool)>,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(super) fn new(titles: &[&'static str]) -> Self {
        let titles = titles
            .iter()
            .map(|t| t.strip_prefix('>').map_or((*t, false), |title| (title, true)))
            .collect();
        Self { titles, rows: Vec::new() }
    }

    /// Adds a row: one cell for each title. Control characters (what a backend
    /// answered may stand in a cell) are shown as `?`; an empty cell as `-`.
    pub(super) fn row<const N: usize>(&mut self, cells: [String; N]) {
        debug_assert_eq!(N, self.titles.len());
        self.rows.push(cells.into_iter().map(clean).collect());
    }

    fn widths(&self) -> Vec<usize> {
        let mut widths: Vec<usize> = self.titles.iter().map(|(t, _)| t.len()).collect();
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        widths
    }
}

fn clean(cell: String) -> String {
    if cell.is_empty() {
        return "-".to_owned();
    }
    cell.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let widths = self.widths();
        let titles: Vec<String> = self.titles.iter().map(|(t, _)| (*t).to_owned()).collect();
        for row in std::iter::once(&titles).chain(&self.rows) {
            let mut line = String::new();
            for ((cell, width), (_, right)) in row.iter().zip(&widths).zip(&self.titles) {
                let pad = " ".repeat(width - cell.chars().count());
                let (before, after) =
                    if *right { (pad, String::new()) } else { (String::new(), pad) };
                line.push_str(&format!("{before}{cell}{after}  "));
            }
            writeln!(f, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let mut table = Table::new(&["NAME", ">N", "WHY"]);
        table.row(["a".into(), "5".into(), String::new()]);
        table.row(["longer".into(), "1000".into(), "because".into()]);
        assert_eq!(
            table.to_string(),
            "NAME       N  WHY\n\
             a          5  -\n\
             longer  1000  because\n"
        );
    }

    #[test]
    fn empty_table_keeps_its_titles() {
        assert_eq!(Table::new(&["A", ">B"]).to_string(), "A  B\n");
    }

    #[test]
    fn terminal_escapes_do_not_reach_the_terminal() {
        let mut table = Table::new(&["A"]);
        table.row(["\u{1b}[2Jx\ny".into()]);
        assert_eq!(table.to_string(), "A\n?[2Jx?y\n");
    }

    #[test]
    fn wide_letters_count_as_one_column_each() {
        let mut table = Table::new(&["A", "B"]);
        table.row(["é".into(), "x".into()]);
        assert_eq!(table.to_string(), "A  B\né  x\n");
    }
}
