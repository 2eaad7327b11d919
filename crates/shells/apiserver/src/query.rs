//! The query parameters of a request.

use std::str::FromStr;

use crate::path::decode;
use crate::status::Status;
use crate::table::Include;

/// Parameters as Kubernetes's `ListOptions`, `CreateOptions` and their kin name them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Query {
    pub(crate) watch: bool,
    pub(crate) label_selector: String,
    pub(crate) field_selector: String,
    pub(crate) resource_version: String,
    pub(crate) resource_version_match: String,
    pub(crate) send_initial_events: Option<bool>,
    pub(crate) allow_watch_bookmarks: bool,
    pub(crate) timeout_s: Option<u64>,
    pub(crate) limit: Option<usize>,
    pub(crate) r#continue: String,
    pub(crate) dry_run: bool,
    pub(crate) field_validation: String,
    pub(crate) grace_period_s: Option<i64>,
    pub(crate) propagation_policy: String,
    pub(crate) include_object: Include,
}

/// Reads the part of a URL behind `?`. Unknown parameters are ignored, as Kubernetes does.
pub(crate) fn parse(query: Option<&str>) -> Result<Query, Status> {
    let mut parsed = Query::default();
    for pair in query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let malformed = || Status::bad_request(format!("query parameter {name}: malformed percent-encoding"));
        let value = decode(&value.replace('+', " ")).ok_or_else(malformed)?;
        set(&mut parsed, name, value)?;
    }
    Ok(parsed)
}

fn set(query: &mut Query, name: &str, value: String) -> Result<(), Status> {
    match name {
        "watch" => query.watch = truth(&value),
        "labelSelector" => query.label_selector = value,
        "fieldSelector" => query.field_selector = value,
        "resourceVersion" => query.resource_version = value,
        "resourceVersionMatch" => query.resource_version_match = value,
        "sendInitialEvents" => query.send_initial_events = Some(truth(&value)),
        "allowWatchBookmarks" => query.allow_watch_bookmarks = truth(&value),
        "timeoutSeconds" => query.timeout_s = number(name, &value)?,
        "limit" => query.limit = number(name, &value)?.filter(|limit| *limit > 0),
        "continue" => query.r#continue = value,
        "dryRun" if value == "All" => query.dry_run = true,
        "dryRun" => {
            let message = format!("Invalid value: [\"{value}\"]: dryRun: Unsupported value: supported values: \"All\"");
            return Err(Status::bad_request(message));
        }
        "fieldValidation" => query.field_validation = value,
        "gracePeriodSeconds" => query.grace_period_s = number(name, &value)?,
        "propagationPolicy" => query.propagation_policy = value,
        "includeObject" => {
            query.include_object = match value.as_str() {
                "None" => Include::None,
                "Object" => Include::Object,
                _ => Include::Metadata,
            }
        }
        _ => {}
    }
    Ok(())
}

fn truth(value: &str) -> bool {
    matches!(value, "true" | "1" | "True" | "TRUE" | "t" | "T" | "")
}

fn number<T: FromStr>(name: &str, value: &str) -> Result<Option<T>, Status> {
    if value.is_empty() {
        return Ok(None);
    }
    let wrong = |_| Status::bad_request(format!("query parameter {name}: \"{value}\" is not a whole number"));
    value.parse().map(Some).map_err(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_decoded_and_typed() {
        let query = parse(Some("labelSelector=app%3Dweb%2Ctier+in+%28a%29&limit=5&watch=1&unknown=x")).expect("fine");
        let expected =
            Query { label_selector: "app=web,tier in (a)".to_owned(), limit: Some(5), watch: true, ..Query::default() };
        assert_eq!(query, expected);
    }

    #[test]
    fn a_parameter_that_is_no_number_is_named() {
        let refused = parse(Some("limit=many")).expect_err("not a number");
        assert_eq!((refused.code, refused.message.contains("limit")), (400, true), "{refused}");
    }
}
