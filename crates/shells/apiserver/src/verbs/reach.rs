//! What Kubernetes offers into a running Pod and this server does not: it says so, and where to look instead.

use super::Call;
use crate::status::Status;
use crate::{ApiServer, object};

/// The subresources by which `kubectl logs`, `exec`, `cp`, `attach` and `port-forward` reach into a Pod.
pub(super) const SUBRESOURCES: [&str; 4] = ["log", "exec", "attach", "portforward"];

/// Why it is not to be had; a Pod that does not exist comes first.
pub(super) async fn refusal(server: &ApiServer, call: &Call, subresource: &str) -> Status {
    let pod = match server.inner.store().get(&call.key(), None).await {
        Ok(Some(stored)) => object::decode(&stored),
        Ok(None) => return Status::not_found(call.served.facts(), call.name()),
        Err(error) => return error.into(),
    };
    let (namespace, name) = (call.namespace(), call.name());
    let instead = match pod["spec"]["nodeName"].as_str().unwrap_or_default() {
        "" => "it runs on no node yet".to_owned(),
        node if subresource != "log" => format!("enter it on its node {node}, by `nsenter`"),
        node => {
            let uid = pod["metadata"]["uid"].as_str().unwrap_or_default();
            format!(
                "its output lies on node {node} in /var/log/maitred/pods/{namespace}_{name}_{uid}/CONTAINER/N.log, or below the \
                 agent's --log-dir"
            )
        }
    };
    Status::not_served(format!("maitred does not serve {subresource} of Pod {namespace}/{name}; {instead}"))
}
