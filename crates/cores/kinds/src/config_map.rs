//! ConfigMap: texts by key.

use serde_json::Value;

use crate::fields::Mistakes;
use crate::{AGE, Admitted, Column, Context, Facts, Kind, NAME, Refusal, json, metadata, number, syntax};

/// Most bytes of all values together.
const SIZE_MAX: usize = 1024 * 1024;

/// `v1 ConfigMap`.
#[derive(Debug)]
pub struct ConfigMap;

static FACTS: Facts = Facts {
    group: "",
    version: "v1",
    kind: "ConfigMap",
    plural: "configmaps",
    singular: "configmap",
    short_names: &["cm"],
    categories: &[],
    namespaced: true,
    has_status: false,
};

impl Kind for ConfigMap {
    fn facts(&self) -> &'static Facts {
        &FACTS
    }

    fn create(&self, mut object: Value, _: &Context<'_>) -> Result<Admitted, Refusal> {
        crate::conform(self, &mut object)?;
        let mut mistakes = Mistakes::default();
        metadata::check(&object, self, &mut mistakes);
        check(&object, &mut mistakes);
        mistakes.result()?;
        Ok(Admitted::plain(object))
    }

    fn update(&self, mut new: Value, old: &Value, _: &Context<'_>) -> Result<Admitted, Refusal> {
        crate::conform(self, &mut new)?;
        let mut mistakes = Mistakes::default();
        metadata::check_update(&new, old, &mut mistakes);
        if old["immutable"] == true {
            for field in ["immutable", "data", "binaryData"] {
                if new.get(field) != old.get(field) {
                    mistakes.forbidden(field, "field is immutable when `immutable` is set");
                }
            }
        }
        check(&new, &mut mistakes);
        mistakes.result()?;
        Ok(Admitted::plain(new))
    }

    fn columns(&self) -> &'static [Column] {
        static COLUMNS: &[Column] = &[NAME, number("Data", "Number of keys"), AGE];
        COLUMNS
    }

    fn row(&self, object: &Value, now: &str) -> Vec<Value> {
        let count = |field| object.get(field).and_then(Value::as_object).map_or(0, serde_json::Map::len);
        vec![crate::name_cell(object), (count("data") + count("binaryData")).into(), crate::age_cell(object, now)]
    }
}

fn check(object: &Value, mistakes: &mut Mistakes) {
    let mut size = 0;
    for field in ["data", "binaryData"] {
        for (key, value) in json::pairs(object, &format!("/{field}")) {
            mistakes.each(&format!("{field}[{key}]"), key, syntax::config_key(key));
            size += value.len();
        }
    }
    for (key, _) in json::pairs(object, "/data") {
        if object["binaryData"].get(key).is_some() {
            mistakes.invalid(format!("data[{key}]"), key, "duplicate of key present in binaryData");
        }
    }
    if size > SIZE_MAX {
        mistakes.too_long("", SIZE_MAX);
    }
}

#[cfg(test)]
mod tests;
