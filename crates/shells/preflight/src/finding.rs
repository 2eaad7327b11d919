//! What was found, and how it is told.

use serde::Serialize;
use serde_json::{Value, json};

/// One line of `maitred check`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What was looked at; the same word each time.
    pub name: &'static str,
    /// How it is.
    pub verdict: Verdict,
    /// What was seen.
    pub said: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}

/// How something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// As it should be.
    Good,
    /// maitred can run, but somebody should look; or it could not be found out.
    Warning,
    /// maitred cannot do its work like this.
    Bad,
}

impl Finding {
    pub(crate) fn good(name: &'static str, said: impl Into<String>) -> Finding {
        Finding { name, verdict: Verdict::Good, said: said.into(), remedy: None }
    }

    pub(crate) fn warning(name: &'static str, said: impl Into<String>, remedy: impl Into<String>) -> Finding {
        Finding { name, verdict: Verdict::Warning, said: said.into(), remedy: Some(remedy.into()) }
    }

    pub(crate) fn bad(name: &'static str, said: impl Into<String>, remedy: impl Into<String>) -> Finding {
        Finding { name, verdict: Verdict::Bad, said: said.into(), remedy: Some(remedy.into()) }
    }

    /// What could not be found out.
    pub(crate) fn unknown(name: &'static str, reason: &str) -> Finding {
        Finding::warning(name, format!("not judged: {reason}"), "run `maitred check` as root")
    }
}

impl std::fmt::Display for Finding {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let sign = match self.verdict {
            Verdict::Good => '✓',
            Verdict::Warning => '!',
            Verdict::Bad => '✗',
        };
        write!(out, "{sign} {}: {}", self.name, self.said)?;
        self.remedy.as_ref().map_or(Ok(()), |remedy| write!(out, "\n    → {remedy}"))
    }
}

/// Whether nothing is in the way.
pub fn passes(findings: &[Finding]) -> bool {
    findings.iter().all(|finding| finding.verdict != Verdict::Bad)
}

/// For people: a line for each, and one below it with the remedy.
pub fn text(findings: &[Finding]) -> String {
    findings.iter().map(|finding| format!("{finding}\n")).collect()
}

/// For programs.
pub fn json(findings: &[Finding]) -> Value {
    json!({ "ok": passes(findings), "checks": findings })
}
