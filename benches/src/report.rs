//! What was measured, as a table for people and as JSON for programs. Pure.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};

/// Everything that was measured in one area, in order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Report {
    rows: Vec<Row>,
}

/// One figure.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    /// What programs call it.
    name: String,
    /// The figure, or none if it could not be measured.
    value: Option<f64>,
    unit: &'static str,
    /// What it is to be compared with, measured in the same run; or why there is no figure.
    against: Option<String>,
    target: Option<Target>,
}

/// What is aimed at.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    /// The number in the table of targets, as `M4`.
    number: &'static str,
    bound: Bound,
}

#[derive(Clone, Copy, Debug)]
enum Bound {
    AtMost(f64),
    AtLeast(f64),
}

impl Row {
    /// A figure by itself.
    pub(crate) fn new(name: impl Into<String>, value: f64, unit: &'static str) -> Row {
        Row { name: name.into(), value: Some(value), unit, against: None, target: None }
    }

    /// A figure that there is none of, and why.
    pub(crate) fn missing(name: impl Into<String>, unit: &'static str, why: &str) -> Row {
        let against = Some(format!("not measured: {why}"));
        Row { name: name.into(), value: None, unit, against, target: None }
    }

    /// What it is to be compared with.
    pub(crate) fn against(self, what: impl Into<String>) -> Row {
        Row { against: Some(what.into()), ..self }
    }

    /// The figure should not be above this.
    pub(crate) fn at_most(self, number: &'static str, bound: f64) -> Row {
        Row { target: Some(Target { number, bound: Bound::AtMost(bound) }), ..self }
    }

    /// The figure should not be below this.
    pub(crate) fn at_least(self, number: &'static str, bound: f64) -> Row {
        Row { target: Some(Target { number, bound: Bound::AtLeast(bound) }), ..self }
    }

    fn met(&self) -> Option<bool> {
        let value = self.value?;
        match self.target.as_ref()?.bound {
            Bound::AtMost(bound) => Some(value <= bound),
            Bound::AtLeast(bound) => Some(value >= bound),
        }
    }

    fn target_text(&self) -> Option<String> {
        let target = self.target.as_ref()?;
        let (sign, bound) = match target.bound {
            Bound::AtMost(bound) => ('≤', bound),
            Bound::AtLeast(bound) => ('≥', bound),
        };
        // What the issue asks for has no number.
        let number = if target.number.is_empty() { String::new() } else { format!("{}: ", target.number) };
        Some(format!("{number}{sign} {}", figure(bound)))
    }

    fn json(&self) -> Value {
        json!({
            "value": self.value.map(rounded), "unit": self.unit, "against": self.against,
            "target": self.target_text(), "met": self.met(),
        })
    }

    fn markdown(&self) -> String {
        let value = self.value.map_or_else(|| "–".to_owned(), |value| format!("{} {}", figure(value), self.unit));
        let met = match self.met() {
            Some(true) => "✓",
            Some(false) => "✗",
            None => "",
        };
        let (against, target) = (self.against.clone().unwrap_or_default(), self.target_text().unwrap_or_default());
        format!("| {} | {} | {against} | {target} | {met} |", self.name, value.trim_end())
    }
}

impl Report {
    /// Adds a figure, and says it to whoever waits.
    pub(crate) fn add(&mut self, row: Row) {
        eprintln!("{}", row.markdown());
        self.rows.push(row);
    }

    /// One JSON object with a member per figure.
    pub(crate) fn json(&self) -> String {
        let members: Map<String, Value> = self.rows.iter().map(|row| (row.name.clone(), row.json())).collect();
        let mut text = serde_json::to_string_pretty(&members).expect("texts and numbers are JSON");
        text.push('\n');
        text
    }

    /// A table with a row per figure.
    pub(crate) fn markdown(&self) -> String {
        let mut table =
            "| figure | value | against, in the same run | target | met |\n|---|---|---|---|---|\n".to_owned();
        for row in &self.rows {
            writeln!(table, "{}", row.markdown()).expect("a String takes what is written");
        }
        table
    }
}

/// Three digits that count, and more before the point; whole numbers as such.
pub(crate) fn figure(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 || size.fract() == 0.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        size if size >= 0.1 => format!("{value:.2}"),
        _ => format!("{value:.4}"),
    }
}

fn rounded(value: f64) -> f64 {
    (value * 10_000.0).round() / 10_000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_has_the_five_members_and_its_verdict() {
        let mut report = Report::default();
        report.add(Row::new("cold", 62.04, "ms").against("nft -f: 20.1 s").at_most("M4", 80.0));
        report.add(Row::new("rate", 0.5, "×").at_least("M8", 0.75));
        report.add(Row::missing("etcd", "×", "no etcd").at_least("M11", 5.0));
        let parsed: Value = serde_json::from_str(&report.json()).expect("JSON");
        let expected = json!({
            "cold": { "value": 62.04, "unit": "ms", "against": "nft -f: 20.1 s", "target": "M4: ≤ 80", "met": true },
            "rate": { "value": 0.5, "unit": "×", "against": null, "target": "M8: ≥ 0.75", "met": false },
            "etcd": {
                "value": null, "unit": "×", "against": "not measured: no etcd", "target": "M11: ≥ 5", "met": null,
            },
        });
        assert_eq!(parsed, expected);
    }

    #[test]
    fn the_table_is_markdown() {
        let mut report = Report::default();
        report.add(Row::new("cold", 62.04, "ms").against("nft -f: 20.1 s").at_most("", 80.0));
        report.add(Row::missing("peer", "ms", "no nft"));
        let expected = "\
| figure | value | against, in the same run | target | met |
|---|---|---|---|---|
| cold | 62.0 ms | nft -f: 20.1 s | ≤ 80 | ✓ |
| peer | – | not measured: no nft |  |  |
";
        assert_eq!(report.markdown(), expected);
    }

    #[test]
    fn figures_keep_three_digits() {
        let check = |value: f64, expected: &str| assert_eq!(figure(value), expected);
        check(13_024.4, "13024");
        check(29.14, "29.1");
        check(1.304, "1.30");
        check(0.012, "0.0120");
        check(0.0, "0");
        check(4.0, "4");
    }
}
