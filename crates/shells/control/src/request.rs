//! What is asked.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// One request: a command, and whatever else it needs beside it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Request {
    /// What is to be done, e.g. `status`.
    pub command: String,
    /// The other fields.
    #[serde(flatten)]
    pub arguments: Map<String, Value>,
}

impl Request {
    /// A command without arguments.
    pub fn new(command: &str) -> Request {
        Request { command: command.to_owned(), arguments: Map::new() }
    }

    /// The answer of a process that has no such command.
    pub fn unknown(&self) -> Value {
        error(&format!("there is no command {:?} here", self.command))
    }
}

/// An answer that says why there is none.
pub(crate) fn error(text: &str) -> Value {
    json!({ "error": text })
}
