//! Whom a process runs as.

use serde_json::Value;

use crate::fields::Obstacles;
use crate::{Identity, Rights};

/// "nobody", on every distribution.
const NOBODY: u32 = 65534;

/// Groups below belong to the system, and some of them are as good as root: 6 may write to disks, 42 reads passwords.
const FIRST_GROUP: u32 = 1000;

/// Fields that are read, at the Pod and at the container.
const READ: &[&str] = &["runAsUser", "runAsGroup", "runAsNonRoot"];

/// Decides by the container's security context, else the Pod's. Nothing is run as somebody else than asked for.
pub(super) fn identity(
    path: &str,
    container: &Value,
    spec: &Value,
    rights: Rights,
    obstacles: &mut Obstacles,
) -> Identity {
    let (own, pod) = (&container["securityContext"], &spec["securityContext"]);
    let own_path = format!("{path}.securityContext");
    obstacles.unknown(&own_path, own, &[READ, &["allowPrivilegeEscalation"]].concat());
    obstacles.unknown("spec.securityContext", pod, READ);
    let asked = |field: &str| {
        let found = own[field].as_u64().map(|id| (own_path.as_str(), id));
        found.or_else(|| pod[field].as_u64().map(|id| ("spec.securityContext", id)))
    };
    let mut id = |field: &str, default: u32| match asked(field) {
        None => default,
        Some((path, id)) => u32::try_from(id).unwrap_or_else(|_| {
            obstacles.add(format!("{path}.{field}"), "is larger than any id");
            default
        }),
    };
    let default = rights.only_uid.unwrap_or(NOBODY);
    let (user, group) = (id("runAsUser", default), id("runAsGroup", default));
    let place = |field: &str| format!("{}.{field}", asked(field).map_or("spec.securityContext", |(path, _)| path));
    let non_root = own["runAsNonRoot"].as_bool().or(pod["runAsNonRoot"].as_bool()) == Some(true);
    if non_root && user == 0 {
        obstacles.add(place("runAsUser"), "the Pod would run as user 0, which runAsNonRoot excludes");
    }
    let new_privileges = escalation(&own_path, own, rights, obstacles);
    if let Some(only) = rights.only_uid {
        for (field, id) in [("runAsUser", user), ("runAsGroup", group)] {
            if id != only {
                obstacles.add(place(field), format!("only the id {only} is mapped where the agent runs"));
            }
        }
        return Identity { ids: None, new_privileges };
    }
    if user == 0 && !rights.root_pods {
        obstacles.add(place("runAsUser"), "this agent runs no Pods as user 0: start it with --allow-root-pods");
    }
    if group < FIRST_GROUP && !rights.root_pods {
        let why = format!("this agent runs no Pods as a group below {FIRST_GROUP}: start it with --allow-root-pods");
        obstacles.add(place("runAsGroup"), why);
    }
    Identity { ids: Some((user, group)), new_privileges }
}

/// Whether a process may gain privileges by executing a file: only where Pods may be root anyway, and unless it is told not
/// to.
fn escalation(path: &str, own: &Value, rights: Rights, obstacles: &mut Obstacles) -> bool {
    let asked = own["allowPrivilegeEscalation"].as_bool();
    if asked == Some(true) && !rights.root_pods {
        let why = "no process of this agent gains privileges: start it with --allow-root-pods";
        obstacles.add(format!("{path}.allowPrivilegeEscalation"), why);
    }
    rights.root_pods && asked != Some(false)
}
