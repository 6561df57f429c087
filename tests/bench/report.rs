//! What was measured: printed as a table, written as JSON.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::chart;

/// The result of one suite.
pub(crate) struct Report {
    /// The suite, and the name of the file.
    pub(crate) suite: &'static str,
    /// What the numbers mean, in a sentence.
    pub(crate) about: String,
    /// Heads of the columns behind the first.
    pub(crate) columns: Vec<&'static str>,
    /// The case, and its numbers.
    pub(crate) rows: Vec<(String, Vec<Option<f64>>)>,
    /// What was to be reached.
    pub(crate) marks: Vec<Mark>,
    /// What a reader must know to trust the numbers or not.
    pub(crate) notes: Vec<String>,
}

/// A bound on a number.
pub(crate) struct Mark {
    /// Of what.
    pub(crate) what: String,
    /// What was measured.
    pub(crate) value: f64,
    /// The most it may be.
    pub(crate) most: f64,
}

impl Mark {
    fn met(&self) -> bool {
        self.value <= self.most
    }
}

impl Report {
    /// Whether every mark was met.
    pub(crate) fn met(&self) -> bool {
        self.marks.iter().all(Mark::met)
    }

    /// Shows it on the terminal.
    pub(crate) fn print(&self) {
        println!("\n{}: {}", self.suite, self.about);
        let first = self.rows.iter().map(|(case, _)| case.chars().count()).max().unwrap_or(0);
        let heads: Vec<_> = self.columns.iter().map(|head| format!("{head:>14}")).collect();
        println!("{:first$} {}", "", heads.join(""));
        for (case, numbers) in &self.rows {
            let cells: Vec<_> = numbers.iter().map(|n| format!("{:>14}", shown(*n))).collect();
            println!("{case:first$} {}", cells.join(""));
        }
        for mark in &self.marks {
            let word = if mark.met() { "met   " } else { "MISSED" };
            println!("{word} {}: {:.2}, at most {:.2}", mark.what, mark.value, mark.most);
        }
        for note in &self.notes {
            println!("note: {note}");
        }
    }

    /// Writes `DIR/SUITE.json` and `DIR/SUITE.svg` and returns the first one's path.
    pub(crate) fn write(&self, folder: &Path) -> Result<PathBuf> {
        fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
        let path = folder.join(format!("{}.json", self.suite));
        fs::write(&path, serde_json::to_vec_pretty(&self.json())?)
            .with_context(|| path.display().to_string())?;
        fs::write(path.with_extension("svg"), chart::svg(self))?;
        Ok(path)
    }

    fn json(&self) -> Value {
        let row = |(case, numbers): &(String, Vec<Option<f64>>)| {
            let mut row = json!({ "case": case });
            for (column, number) in self.columns.iter().zip(numbers) {
                row[*column] = json!(number);
            }
            row
        };
        let mark = |mark: &Mark| json!({ "what": mark.what, "value": mark.value, "most": mark.most, "met": mark.met() });
        json!({
            "suite": self.suite,
            "about": self.about,
            "machine": machine(),
            "rows": self.rows.iter().map(row).collect::<Vec<_>>(),
            "marks": self.marks.iter().map(mark).collect::<Vec<_>>(),
            "notes": self.notes,
        })
    }
}

/// The middle one, or the mean of the middle two.
pub(crate) fn median(mut numbers: Vec<f64>) -> Option<f64> {
    numbers.sort_by(f64::total_cmp);
    let middle = numbers.len() / 2;
    match numbers.len() {
        0 => None,
        n if n % 2 == 1 => Some(numbers[middle]),
        _ => Some((numbers[middle - 1] + numbers[middle]) / 2.0),
    }
}

pub(crate) fn shown(number: Option<f64>) -> String {
    match number {
        None => "-".to_owned(),
        Some(n) if n.abs() < 10.0 => format!("{n:.2}"),
        Some(n) if n.abs() < 1000.0 => format!("{n:.1}"),
        Some(n) => format!("{n:.0}"),
    }
}

fn machine() -> Value {
    let first_line = |path: &str| {
        fs::read_to_string(path).unwrap_or_default().lines().next().unwrap_or_default().to_owned()
    };
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpuinfo.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    json!({
        "kernel": first_line("/proc/sys/kernel/osrelease"),
        "cpu": model.map(|(_, name)| name),
        "cpus": std::thread::available_parallelism().map(usize::from).unwrap_or(0),
    })
}
