//! What the demo prints: a line per check as it is done, or one JSON object at the end.

use std::io::IsTerminal as _;
use std::time::Duration;

use serde_json::{Value, json};

/// One thing that was done and what was seen.
pub(crate) struct Check {
    /// A short name, stable for scripts.
    pub(crate) name: &'static str,
    /// What was done.
    pub(crate) done: String,
    /// What was seen.
    pub(crate) seen: String,
    /// Whether it is as it must be.
    pub(crate) ok: bool,
    /// From before the write to the API to the first answer through the new rule.
    pub(crate) took: Option<Duration>,
}

/// Collects checks and shows them.
pub(crate) struct Report {
    json: bool,
    checks: Vec<Check>,
}

impl Report {
    pub(crate) fn new(json: bool, head: &str) -> Report {
        if !json {
            println!("{head}\n");
            println!("  {:<27} {:<72} {:>9}", "CHECK", "WHAT WAS DONE, WHAT WAS SEEN", "LIVE IN");
        }
        Report { json, checks: Vec::new() }
    }

    /// Says what is going on, on a terminal.
    pub(crate) fn progress(&self, text: &str) {
        if !self.json && std::io::stderr().is_terminal() {
            eprint!("\r\x1b[K… {text}");
        }
    }

    /// Adds a check; one that could not be carried out counts as failed.
    pub(crate) fn add(&mut self, check: Check) {
        if !self.json {
            if std::io::stderr().is_terminal() {
                eprint!("\r\x1b[K");
            }
            print_check(&check);
        }
        self.checks.push(check);
    }

    /// Prints the end; says whether everything held.
    pub(crate) fn finish(self, elapsed: Duration) -> bool {
        let held = self.checks.iter().filter(|check| check.ok).count();
        let all = held == self.checks.len();
        if self.json {
            let checks: Vec<Value> = self.checks.iter().map(to_value).collect();
            println!("{}", json!({ "checks": checks, "elapsed_ms": millis(elapsed) }));
        } else {
            let mark = if all { "✓" } else { "✗" };
            println!("\n{mark} {held} of {} checks held, in {:.1} s", self.checks.len(), elapsed.as_secs_f64());
        }
        all
    }
}

fn print_check(check: &Check) {
    let mark = if check.ok { "✓" } else { "✗" };
    let took = check.took.map(|took| format!("{:.1} ms", millis(took))).unwrap_or_default();
    println!("{mark} {:<27} {:<72} {took:>9}", check.name, check.done);
    println!("  {:<27} → {}", "", check.seen);
}

fn to_value(check: &Check) -> Value {
    let detail = format!("{}: {}", check.done, check.seen);
    json!({ "name": check.name, "ok": check.ok, "detail": detail, "ms": check.took.map(millis) })
}

/// Milliseconds with three digits.
fn millis(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}
