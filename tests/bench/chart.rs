//! A report as a picture: bars by case, written as SVG by hand.

use std::fmt::Write;

use crate::report::Report;

/// Colours of the columns, told apart by those who see few of them too.
const COLOURS: [&str; 6] = ["#0072b2", "#56b4e9", "#e69f00", "#009e73", "#cc79a7", "#999999"];
const WIDTH: f64 = 860.0;
/// Of a bar, and what lies between groups of them.
const BAR: f64 = 13.0;
const GAP: f64 = 16.0;
/// Where bars begin, and the longest one's length.
const LEFT: f64 = 300.0;
const LONGEST: f64 = 470.0;

/// The chart. Each case has a scale of its own: what is compared is the columns.
pub(crate) fn svg(report: &Report) -> String {
    let mut body = String::new();
    let mut y = 40.0;
    for (case, numbers) in &report.rows {
        let most = numbers.iter().flatten().copied().fold(0.0, f64::max);
        let count = numbers.iter().flatten().count() as f64;
        text(&mut body, LEFT - 8.0, y + count * BAR / 2.0 + 4.0, "end", case);
        for (column, number) in numbers.iter().enumerate() {
            let Some(number) = number else { continue };
            let length = if most > 0.0 { (number / most * LONGEST).max(0.0) } else { 0.0 };
            let colour = COLOURS[column % COLOURS.len()];
            let height = BAR - 2.0;
            let _infallible = writeln!(
                body,
                "<rect x=\"{LEFT}\" y=\"{y:.1}\" width=\"{length:.1}\" height=\"{height}\" fill=\"{colour}\"/>"
            );
            text(
                &mut body,
                LEFT + length + 5.0,
                y + 10.0,
                "start",
                &crate::report::shown(Some(*number)),
            );
            y += BAR;
        }
        y += GAP;
    }
    let height = y + 10.0;
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height:.0}\" \
         font-family=\"sans-serif\" font-size=\"11\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n{}{body}</svg>\n",
        legend(&report.columns)
    )
}

fn legend(columns: &[&str]) -> String {
    let mut out = String::new();
    let mut x = LEFT;
    for (column, name) in columns.iter().enumerate() {
        let colour = COLOURS[column % COLOURS.len()];
        let _infallible = writeln!(
            out,
            "<rect x=\"{x}\" y=\"12\" width=\"11\" height=\"11\" fill=\"{colour}\"/>"
        );
        text(&mut out, x + 15.0, 22.0, "start", name);
        x += 30.0 + name.chars().count() as f64 * 7.0;
    }
    out
}

fn text(out: &mut String, x: f64, y: f64, anchor: &str, text: &str) {
    let text = text.replace('&', "&amp;").replace('<', "&lt;");
    let _infallible =
        writeln!(out, "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{text}</text>");
}
