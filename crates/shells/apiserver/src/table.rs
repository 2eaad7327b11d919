//! Tables: what `kubectl get` asks for and prints (S-104).

use serde_json::{Value, json};

use crate::registry::Served;

/// The form in which a client wants its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// The whole object.
    Object,
    /// `meta.k8s.io/v1 Table`.
    Table,
    /// `meta.k8s.io/v1 PartialObjectMetadata`.
    Metadata,
}

/// Reads an `Accept` header: the first form that is known. `None` if none is.
pub(crate) fn accepted(accept: &str) -> Option<Form> {
    if accept.trim().is_empty() {
        return Some(Form::Object);
    }
    accept.split(',').find_map(|part| {
        let mut parameters = part.split(';').map(str::trim);
        let kind = parameters.next().unwrap_or_default();
        if !matches!(kind, "application/json" | "application/*" | "*/*") {
            return None;
        }
        match parameters.find_map(|parameter| parameter.strip_prefix("as=")) {
            None => Some(Form::Object),
            Some("Table") => Some(Form::Table),
            Some("PartialObjectMetadata" | "PartialObjectMetadataList") => Some(Form::Metadata),
            Some(_) => None,
        }
    })
}

/// What a row holds of its object besides the cells (`includeObject`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Include {
    /// Nothing.
    None,
    /// Its metadata.
    #[default]
    Metadata,
    /// All of it: kubectl sorts by it.
    Object,
}

/// How objects become rows.
pub(crate) struct Rows<'a> {
    pub(crate) served: &'a Served,
    pub(crate) include: Include,
    /// Now, RFC 3339, for the ages.
    pub(crate) now: &'a str,
}

impl Rows<'_> {
    /// A Table of these objects; `list` is its metadata.
    pub(crate) fn table(&self, objects: &[Value], list: Value, with_columns: bool) -> Value {
        let rows: Vec<Value> = objects.iter().map(|object| self.row(object)).collect();
        json!({
            "kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": list,
            "columnDefinitions": if with_columns { columns(self.served) } else { Value::Null }, "rows": rows,
        })
    }

    fn row(&self, object: &Value) -> Value {
        let mut row = json!({ "cells": self.served.kind.row(object, self.now) });
        match (self.include, self.served.view) {
            (Include::None, _) => {}
            (Include::Metadata, _) => row["object"] = metadata(object),
            (Include::Object, Some(view)) => row["object"] = (view.show)(object),
            (Include::Object, None) => row["object"] = object.clone(),
        }
        row
    }
}

fn columns(served: &Served) -> Value {
    let columns: Vec<Value> = served
        .kind
        .columns()
        .iter()
        .map(|column| {
            json!({
                "name": column.name, "type": column.r#type, "format": column.format,
                "description": column.description, "priority": column.priority,
            })
        })
        .collect();
    Value::Array(columns)
}

/// The metadata of an object, as an object of its own.
pub(crate) fn metadata(object: &Value) -> Value {
    json!({ "kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": object["metadata"] })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(accept: &str, expected: Option<Form>) {
        assert_eq!(accepted(accept), expected, "{accept}");
    }

    #[test]
    fn the_first_known_form_is_taken() {
        check("", Some(Form::Object));
        check("*/*", Some(Form::Object));
        check("application/json;as=Table;v=v1;g=meta.k8s.io,application/json", Some(Form::Table));
        check("application/vnd.kubernetes.protobuf,application/json", Some(Form::Object));
        check(
            "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json",
            Some(Form::Metadata),
        );
        check("application/vnd.kubernetes.protobuf", None);
        check("application/json;as=Novel;v=v1,application/json", Some(Form::Object));
    }
}
