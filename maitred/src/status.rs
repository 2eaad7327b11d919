//! `maitred status`, and the control sockets of the other roles that it asks.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use anyhow::{Context as _, bail};
use control::{Held, Request};
use serde_json::{Value, json};

use crate::cli::{self, Output};

/// What says how a role is.
type Source = Box<dyn Fn() -> Value + Send + Sync>;

/// A control socket that is held. Until [`Socket::tell`] it says that the role is starting.
pub(crate) struct Socket {
    source: Arc<OnceLock<Source>>,
    _held: Held,
}

impl Socket {
    /// From now on `status` is answered by this.
    pub(crate) fn tell(&self, status: impl Fn() -> Value + Send + Sync + 'static) {
        let _ = self.source.set(Box::new(status));
    }
}

/// Takes the control socket of a role, in the caller's tokio runtime: before anything else, since whoever holds it is the
/// one process of that role here.
pub(crate) fn hold(run_dir: &Path, role: &str) -> anyhow::Result<Socket> {
    let (name, source) = (role.to_owned(), Arc::new(OnceLock::<Source>::new()));
    let known = source.clone();
    let held = control::serve(&socket(run_dir, role), move |request| {
        let answer = match request.command.as_str() {
            "status" => with_role(&name, known.get().map_or_else(|| json!({ "starting": true }), |source| source())),
            _ => request.unknown(),
        };
        std::future::ready(answer)
    });
    Ok(Socket { source, _held: held? })
}

/// The same for roles that can do without, because several of them may run on one machine.
pub(crate) fn hold_if_possible(
    run_dir: &Path,
    role: &str,
    status: impl Fn() -> Value + Send + Sync + 'static,
) -> Option<Socket> {
    match hold(run_dir, role) {
        Ok(socket) => {
            socket.tell(status);
            Some(socket)
        }
        Err(error) => {
            let error = runloop::chain(error.as_ref());
            tracing::warn!(error, "there is no control socket; give another directory by --run-dir");
            None
        }
    }
}

fn with_role(role: &str, mut status: Value) -> Value {
    status["role"] = role.into();
    status["version"] = env!("CARGO_PKG_VERSION").into();
    status["pid"] = std::process::id().into();
    status
}

/// The socket of a role.
fn socket(run_dir: &Path, role: &str) -> PathBuf {
    run_dir.join(format!("{role}.sock"))
}

pub(crate) fn run(options: &cli::Status) -> anyhow::Result<()> {
    let held = control::holders(&options.run_dir).with_context(|| format!("read {}", options.run_dir.display()))?;
    let roles: Vec<String> = match &options.role {
        Some(role) => vec![role.clone()],
        None => held.into_iter().map(|holder| holder.name).collect(),
    };
    if roles.is_empty() {
        bail!("nothing of maitred runs here: nobody holds a control socket in {}", options.run_dir.display());
    }
    let request = Request::new("status");
    let asked = roles.iter().map(|role| control::ask(&socket(&options.run_dir, role), &request));
    let (answers, silent): (Vec<_>, Vec<_>) = asked.partition(Result::is_ok);
    let answers: Vec<Value> = answers.into_iter().flatten().collect();
    let text = match options.output {
        Output::Json => format!("{:#}\n", json!(answers)),
        Output::Table => answers.iter().map(table).collect(),
    };
    crate::out::print(&text)?;
    // Whoever did not answer is told of after those who did.
    silent.into_iter().next().map_or(Ok(()), |silent| Ok(silent.map(drop)?))
}

/// A line per fact: its path, and what it is.
fn table(answer: &Value) -> String {
    let mut lines = Vec::new();
    collect("", answer, &mut lines);
    let width = lines.iter().map(|(path, _)| path.len()).max().unwrap_or(0);
    let line = |(path, text): &(String, String)| format!("{path:<width$}  {text}\n");
    lines.iter().map(line).collect::<String>() + "\n"
}

fn collect(path: &str, value: &Value, lines: &mut Vec<(String, String)>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                let inner = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                collect(&inner, value, lines);
            }
        }
        Value::Array(items) => {
            let texts: Vec<String> = items.iter().map(plain).collect();
            lines.push((path.to_owned(), if texts.is_empty() { "-".to_owned() } else { texts.join(", ") }));
        }
        other => lines.push((path.to_owned(), plain(other))),
    }
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "-".to_owned(),
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_prints_a_line_per_fact() {
        let answer = json!({"role": "agent", "agent": {"node": "n1", "out_of_reach": []}, "dns": {"serving": true}});
        let text =
            "agent.node          n1\nagent.out_of_reach  -\ndns.serving         yes\nrole                agent\n\n";
        assert_eq!(table(&answer), text);
    }
}
