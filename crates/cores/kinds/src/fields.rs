//! Collects what is wrong with an object, in Kubernetes's words.

use std::collections::HashSet;

use serde::Serialize;

use crate::{Cause, FieldError, Refusal};

/// The mistakes found so far, in the order in which Kubernetes reports them.
#[derive(Debug, Default)]
pub(crate) struct Mistakes(Vec<FieldError>);

impl Mistakes {
    pub fn required(&mut self, field: impl Into<String>, detail: &str) {
        self.add(Cause::Required, field, sentence("Required value", detail));
    }

    /// `value` is shown as JSON, which is how Kubernetes shows it.
    pub fn invalid(&mut self, field: impl Into<String>, value: impl Serialize, detail: &str) {
        self.add(Cause::Invalid, field, sentence(&format!("Invalid value: {}", shown(value)), detail));
    }

    pub fn forbidden(&mut self, field: impl Into<String>, detail: &str) {
        self.add(Cause::Forbidden, field, sentence("Forbidden", detail));
    }

    pub fn duplicate(&mut self, field: impl Into<String>, value: impl Serialize) {
        self.add(Cause::Duplicate, field, format!("Duplicate value: {}", shown(value)));
    }

    /// `supported` is listed in the order given.
    pub fn unsupported(&mut self, field: impl Into<String>, value: impl Serialize, supported: &[&str]) {
        let list: Vec<String> = supported.iter().map(|value| format!("\"{value}\"")).collect();
        let detail = format!("supported values: {}", list.join(", "));
        self.add(Cause::NotSupported, field, sentence(&format!("Unsupported value: {}", shown(value)), &detail));
    }

    pub fn too_long(&mut self, field: impl Into<String>, bytes_max: usize) {
        self.add(Cause::TooLong, field, format!("Too long: may not be more than {bytes_max} bytes"));
    }

    pub fn too_many(&mut self, field: impl Into<String>, items: usize, items_max: usize) {
        self.add(Cause::TooMany, field, format!("Too many: {items}: must have at most {items_max} items"));
    }

    /// Adds one mistake for each message, all about the same value.
    pub fn each(&mut self, field: &str, value: impl Serialize + Copy, messages: impl IntoIterator<Item = String>) {
        for message in messages {
            self.invalid(field, value, &message);
        }
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Refuses the object if anything was wrong with it.
    pub fn result(self) -> Result<(), Refusal> {
        if self.0.is_empty() {
            return Ok(());
        }
        // The same rule may be reached on two ways; Kubernetes reports it once.
        let mut seen = HashSet::new();
        let mut errors = self.0;
        errors.retain(|error| seen.insert((error.field.clone(), error.detail.clone())));
        Err(Refusal::Invalid(errors))
    }

    fn add(&mut self, cause: Cause, field: impl Into<String>, detail: String) {
        self.0.push(FieldError { cause, field: field.into(), detail });
    }
}

fn sentence(start: &str, detail: &str) -> String {
    if detail.is_empty() { start.to_owned() } else { format!("{start}: {detail}") }
}

fn shown(value: impl Serialize) -> String {
    match serde_json::to_string(&value) {
        // Kubernetes quotes a missing value.
        Ok(text) if text == "null" => "\"null\"".to_owned(),
        Ok(text) => text,
        Err(_) => "\"null\"".to_owned(),
    }
}
