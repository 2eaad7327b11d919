//! Strategic merge patch: a merge patch in which some lists are merged by a key.
//!
//! Directives, as in Kubernetes's "strategic-merge-patch.md": `$patch: replace|delete|merge` in maps and list items,
//! `$setElementOrder/LIST`, `$deleteFromPrimitiveList/LIST` and `$retainKeys`.

use schema::MergeKey;
use serde_json::{Map, Value};

use crate::Error;

/// How a list is merged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ListMerge {
    /// Items are objects, identified by this field.
    ByKey(&'static str),
    /// Items are plain values: a set that keeps its order.
    Primitive,
}

/// The most items of a list that is merged by key: merging compares each with each.
const ITEMS_MAX: usize = 5_000;

const PATCH: &str = "$patch";
const RETAIN_KEYS: &str = "$retainKeys";
const ELEMENT_ORDER: &str = "$setElementOrder/";
const DELETE_FROM: &str = "$deleteFromPrimitiveList/";

/// The merged lists of the kind at hand; all others are replaced.
type Lists = [&'static MergeKey];

/// The object after the patch.
pub(crate) fn merge(group: &str, kind: &str, object: &Value, patch: &Value) -> Result<Value, Error> {
    let of_kind = |list: &&'static MergeKey| list.group == group && list.kind == kind;
    let lists: Vec<&'static MergeKey> = schema::merge_keys().iter().filter(of_kind).collect();
    let patch = patch.as_object().expect("the caller passes objects");
    let merged = map(&lists, "", object.as_object(), patch)?;
    Ok(Value::Object(merged.unwrap_or_default()))
}

fn list_merge(lists: &Lists, path: &str) -> Option<ListMerge> {
    let list = lists.iter().find(|list| list.path == path)?;
    Some(list.key.map_or(ListMerge::Primitive, ListMerge::ByKey))
}

/// Merges a map; `None` if the patch deletes it.
fn map(
    lists: &Lists,
    path: &str,
    old: Option<&Map<String, Value>>,
    patch: &Map<String, Value>,
) -> Result<Option<Map<String, Value>>, Error> {
    let mut merged = match patch.get(PATCH).map(|directive| directive.as_str().unwrap_or_default()) {
        None | Some("merge") => old.cloned().unwrap_or_default(),
        Some("replace") => Map::new(),
        Some("delete") => return Ok(None),
        Some(other) => return Err(malformed(path, &format!("unknown $patch directive {other:?}"))),
    };
    if let Some(Value::Array(keys)) = patch.get(RETAIN_KEYS) {
        merged.retain(|key, _| keys.iter().any(|kept| kept == key.as_str()));
    }
    for (key, value) in patch {
        if key == PATCH || key == RETAIN_KEYS || key.starts_with(ELEMENT_ORDER) || key.starts_with(DELETE_FROM) {
            continue;
        }
        let path = join(path, key);
        match field(lists, &path, merged.get(key), value)? {
            Some(value) => drop(merged.insert(key.clone(), value)),
            None => drop(merged.remove(key)),
        }
    }
    directives(lists, path, patch, &mut merged)?;
    Ok(Some(merged))
}

/// The directives that stand beside a list and speak of it.
fn directives(
    lists: &Lists,
    path: &str,
    patch: &Map<String, Value>,
    merged: &mut Map<String, Value>,
) -> Result<(), Error> {
    for (directive, value) in patch {
        let Some(given) = value.as_array() else { continue };
        if let Some(name) = directive.strip_prefix(DELETE_FROM)
            && let Some(Value::Array(list)) = merged.get_mut(name)
        {
            list.retain(|item| !given.contains(item));
        }
        if let Some(name) = directive.strip_prefix(ELEMENT_ORDER)
            && let Some(Value::Array(list)) = merged.get_mut(name)
        {
            let how = list_merge(lists, &join(path, name));
            let how = how.ok_or_else(|| malformed(path, &format!("{directive}: {name} is not a merged list")))?;
            order(list, given, how);
        }
    }
    Ok(())
}

fn field(lists: &Lists, path: &str, old: Option<&Value>, patch: &Value) -> Result<Option<Value>, Error> {
    match patch {
        Value::Null => Ok(None),
        Value::Object(patch) => Ok(map(lists, path, old.and_then(Value::as_object), patch)?.map(Value::Object)),
        Value::Array(items) => {
            let old = old.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
            let merged = match list_merge(lists, path) {
                None => items.clone(),
                Some(ListMerge::Primitive) => primitives(old, items),
                Some(ListMerge::ByKey(key)) => objects(lists, path, key, old, items)?,
            };
            Ok(Some(Value::Array(merged)))
        }
        plain => Ok(Some(plain.clone())),
    }
}

fn primitives(old: &[Value], patch: &[Value]) -> Vec<Value> {
    let added = patch.iter().filter(|item| !old.contains(item));
    old.iter().chain(added).cloned().collect()
}

fn objects(lists: &Lists, path: &str, key: &str, old: &[Value], patch: &[Value]) -> Result<Vec<Value>, Error> {
    if patch.len() > ITEMS_MAX {
        return Err(malformed(path, &format!("{} items, the most that are merged by key is {ITEMS_MAX}", patch.len())));
    }
    let is_replace = |item: &Value| item[PATCH] == "replace" && item.as_object().is_some_and(|map| map.len() == 1);
    if patch.iter().any(is_replace) {
        // Nothing is merged, so that several items may have one key: a Node's addresses have their type as key.
        return Ok(patch.iter().filter(|item| item.get(PATCH).is_none()).cloned().collect());
    }
    let mut merged = old.to_vec();
    for item in patch {
        let Some(fields) = item.as_object() else {
            return Err(malformed(path, "the list is merged by key, so its items must be objects"));
        };
        let Some(id) = fields.get(key) else {
            return Err(malformed(path, &format!("the list is merged by {key:?}, which an item lacks")));
        };
        let at = merged.iter().position(|existing| &existing[key] == id);
        let old = at.and_then(|at| merged[at].as_object().cloned());
        match (map(lists, path, old.as_ref(), fields)?, at) {
            (Some(item), Some(at)) => merged[at] = Value::Object(item),
            (Some(item), None) => merged.push(Value::Object(item)),
            (None, _) => merged.retain(|existing| &existing[key] != id),
        }
    }
    Ok(merged)
}

/// Puts the items that the client named into its order; each other item stays where it is.
fn order(list: &mut [Value], wanted: &[Value], how: ListMerge) {
    let id = |item: &Value| match how {
        ListMerge::ByKey(key) => item.get(key).cloned().unwrap_or(Value::Null),
        ListMerge::Primitive => item.clone(),
    };
    let place = |item: &Value| wanted.iter().position(|other| id(other) == id(item));
    let mut named: Vec<Value> = list.iter().filter(|item| place(item).is_some()).cloned().collect();
    named.sort_by_cached_key(|item| place(item));
    let mut named = named.into_iter();
    for item in list.iter_mut().filter(|item| place(item).is_some()) {
        *item = named.next().expect("as many places as named items");
    }
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

fn malformed(path: &str, why: &str) -> Error {
    Error::Malformed(format!("{path}: {why}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(case: &str, kind: &str, object: Value, patch: Value, expected: Value) {
        println!("case {case}");
        assert_eq!(merge("", kind, &object, &patch).expect("the patch is well formed"), expected, "{case}");
    }

    #[test]
    fn lists_and_maps_merge_as_kubernetes_documents() {
        let ports = |list: Value| json!({ "spec": { "ports": list } });
        check(
            "s103_service_ports_merge_by_port",
            "Service",
            ports(json!([{"name": "a", "port": 80}, {"name": "b", "port": 81}])),
            ports(json!([{"port": 81, "name": "c"}, {"port": 82}])),
            ports(json!([{"name": "a", "port": 80}, {"name": "c", "port": 81}, {"port": 82}])),
        );
        check(
            "s103_one_number_with_two_protocols_collapses",
            "Service",
            ports(json!([{"port": 53, "protocol": "UDP"}])),
            ports(json!([{"port": 53, "protocol": "TCP"}])),
            ports(json!([{"port": 53, "protocol": "TCP"}])),
        );
        check(
            "an item is deleted by its key",
            "Service",
            ports(json!([{"port": 80}, {"port": 81}])),
            ports(json!([{"port": 80, "$patch": "delete"}])),
            ports(json!([{"port": 81}])),
        );
        check(
            "a list is replaced on demand",
            "Service",
            ports(json!([{"port": 80}, {"port": 81}])),
            ports(json!([{"port": 82}, {"$patch": "replace"}])),
            ports(json!([{"port": 82}])),
        );
        let addresses = |list: &[&str]| {
            let item = |ip: &&str| json!({"type": "InternalIP", "address": ip});
            list.iter().map(item).collect::<Vec<Value>>()
        };
        let replaced = [addresses(&["192.0.2.2", "2001:db8::2"]), vec![json!({"$patch": "replace"})]].concat();
        check(
            "items of a replaced list may share a key",
            "Node",
            json!({"status": {"addresses": addresses(&["192.0.2.1"])}}),
            json!({"status": {"addresses": replaced}}),
            json!({"status": {"addresses": addresses(&["192.0.2.2", "2001:db8::2"])}}),
        );
        check(
            "the client's order holds",
            "Service",
            ports(json!([{"port": 80}, {"port": 81}])),
            json!({"spec": {"ports": [{"port": 82}], "$setElementOrder/ports": [{"port": 82}, {"port": 80}, {"port": 81}]}}),
            ports(json!([{"port": 82}, {"port": 80}, {"port": 81}])),
        );
        check(
            "s103_the_selector_is_a_map",
            "Service",
            json!({"spec": {"selector": {"a": "1", "b": "2"}}}),
            json!({"spec": {"selector": {"b": null, "c": "3"}}}),
            json!({"spec": {"selector": {"a": "1", "c": "3"}}}),
        );
        check(
            "s103_cluster_ips_are_atomic",
            "Service",
            json!({"spec": {"clusterIPs": ["10.0.0.1", "fd00::1"]}}),
            json!({"spec": {"clusterIPs": ["10.0.0.1"]}}),
            json!({"spec": {"clusterIPs": ["10.0.0.1"]}}),
        );
        check(
            "finalizers are a set",
            "Service",
            json!({"metadata": {"finalizers": ["a", "b"]}}),
            json!({"metadata": {"finalizers": ["c"], "$deleteFromPrimitiveList/finalizers": ["a"]}}),
            json!({"metadata": {"finalizers": ["b", "c"]}}),
        );
        check(
            "a map is replaced on demand",
            "Service",
            json!({"spec": {"selector": {"a": "1"}, "type": "ClusterIP"}}),
            json!({"spec": {"selector": {"$patch": "replace", "b": "2"}}}),
            json!({"spec": {"selector": {"b": "2"}, "type": "ClusterIP"}}),
        );
        check(
            "s103_conditions_merge_by_type",
            "Node",
            json!({"status": {"conditions": [{"type": "Ready", "status": "True", "reason": "x"}]}}),
            json!({"status": {"conditions": [{"type": "Ready", "status": "False"}, {"type": "New", "status": "True"}]}}),
            json!({"status": {"conditions": [
                {"type": "Ready", "status": "False", "reason": "x"}, {"type": "New", "status": "True"}]}}),
        );
    }

    #[test]
    fn an_item_without_its_merge_key_is_refused() {
        let refused = merge("", "Service", &json!({}), &json!({"spec": {"ports": [{"name": "a"}]}}));
        assert!(matches!(refused, Err(Error::Malformed(why)) if why.contains("spec.ports") && why.contains("port")));
    }
}
