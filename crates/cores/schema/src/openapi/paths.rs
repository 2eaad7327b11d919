//! The paths of one kind.

use serde_json::{Map, Value};

use super::operation::{Action, Operation};
use super::{GroupVersion, Method, Served, parameter};

/// Path to operations.
pub(super) fn paths(of: GroupVersion, served: &Served) -> Map<String, Value> {
    let root = format!("/{}", of.path());
    let plural = served.plural;
    let whole = Operation { of, served, kind: served.kind, subresource: None, all_namespaces: false };
    let collection = if served.namespaced {
        format!("{root}/namespaces/{{namespace}}/{plural}")
    } else {
        format!("{root}/{plural}")
    };
    let item = format!("{collection}/{{name}}");

    let mut paths = Map::new();
    paths.insert(collection, path(&whole, false, &[Action::List, Action::Post, Action::DeleteCollection]));
    if served.namespaced {
        let everywhere = Operation { all_namespaces: true, ..whole };
        paths.insert(format!("{root}/{plural}"), path(&everywhere, false, &[Action::List]));
    }
    paths.insert(item.clone(), path(&whole, true, &[Action::Get, Action::Put, Action::Patch, Action::Delete]));
    if served.has_status {
        let status = Operation { subresource: Some("status"), ..whole };
        paths.insert(format!("{item}/status"), path(&status, true, &[Action::Get, Action::Put, Action::Patch]));
    }
    for subresource in served.subresources {
        let operation = Operation { kind: subresource.kind, subresource: Some(subresource.name), ..whole };
        let actions: Vec<Action> = subresource.methods.iter().map(|method| action(*method)).collect();
        paths.insert(format!("{item}/{}", subresource.name), path(&operation, true, &actions));
    }
    paths
}

fn path(operation: &Operation, named: bool, actions: &[Action]) -> Value {
    let mut path: Map<String, Value> =
        actions.iter().map(|action| (action.method().to_owned(), operation.render(*action))).collect();
    let namespaced = operation.served.namespaced && !operation.all_namespaces;
    path.insert("parameters".to_owned(), parameter::of_path(namespaced, named.then_some(operation.served.kind)));
    Value::Object(path)
}

/// What a method does to one object or subresource.
fn action(method: Method) -> Action {
    match method {
        Method::Get => Action::Get,
        Method::Post => Action::Post,
        Method::Put => Action::Put,
        Method::Patch => Action::Patch,
        Method::Delete => Action::Delete,
    }
}
