//! Pods of nodes that no longer exist.
//!
//! Nobody is left to end such a Pod, so it is deleted by force, once its node has been away for [`QUARANTINE`]: a node
//! that is only registered anew is back before that. As upstream's `podgc` does, the Pod is first said to have failed.

use std::collections::BTreeMap;

use api::{ObjectReference, Pod};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::event::reference;
use crate::schedule::whole_seconds;

/// How long a node has to be away.
pub const QUARANTINE: SignedDuration = SignedDuration::from_secs(40);

/// Since when each node that Pods name has been away.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Away {
    since: BTreeMap<String, Timestamp>,
}

impl Away {
    /// Notes that a node is away, unless that is known.
    pub fn note(&mut self, node: &str, now: Timestamp) {
        self.since.entry(node.to_owned()).or_insert(now);
    }

    /// Forgets a node: it is back, or no Pod names it any more.
    pub fn forget(&mut self, node: &str) {
        self.since.remove(node);
    }

    /// The nodes that have been away for long enough, and when the next one will have been.
    pub fn due(&self, now: Timestamp) -> (Vec<String>, Option<Timestamp>) {
        let ends = |since: &Timestamp| since.saturating_add(QUARANTINE).expect("durations of signed seconds saturate");
        let due = self.since.iter().filter(|(_, since)| ends(since) <= now).map(|(node, _)| node.clone());
        let next = self.since.values().map(ends).filter(|end| *end > now).min();
        (due.collect(), next)
    }
}

/// A Pod to delete by force.
#[derive(Clone, Debug, PartialEq)]
pub struct Orphan {
    /// The Pod.
    pub pod: ObjectReference,
    /// Strategic merge patch of its status before that, unless it has ended.
    pub status: Option<Value>,
}

/// What becomes of the Pods of a node that is gone for good.
pub fn plan_orphans(pods: &[&Pod], now: Timestamp) -> Vec<Orphan> {
    let orphan = |pod: &&Pod| {
        let ended = matches!(pod.status.phase.as_str(), "Succeeded" | "Failed");
        Orphan { pod: reference("Pod", &pod.metadata), status: (!ended).then(|| failed(&pod.metadata.uid, now)) }
    };
    pods.iter().map(orphan).collect()
}

/// Names the Pod, so that another one of the same name does not get it.
fn failed(uid: &str, now: Timestamp) -> Value {
    let condition = json!({
        "type": "DisruptionTarget", "status": "True", "reason": "DeletionByPodGC",
        "message": "PodGC: node no longer exists", "lastTransitionTime": whole_seconds(now),
    });
    json!({ "metadata": { "uid": uid }, "status": { "phase": "Failed", "conditions": [condition] } })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{at, decode};

    #[test]
    fn a_node_is_gone_after_forty_seconds_and_is_forgotten_if_it_comes_back() {
        let mut away = Away::default();
        away.note("a", at("12:00:00"));
        away.note("b", at("12:00:10"));
        away.note("a", at("12:00:30"));
        let due = |away: &Away, now: &str| {
            let (due, next) = away.due(at(now));
            (due.join(" "), next)
        };
        assert_eq!(due(&away, "12:00:39"), (String::new(), Some(at("12:00:40"))));
        assert_eq!(due(&away, "12:00:40"), ("a".to_owned(), Some(at("12:00:50"))));
        assert_eq!(due(&away, "12:00:50"), ("a b".to_owned(), None));
        away.forget("a");
        assert_eq!(due(&away, "12:00:50"), ("b".to_owned(), None));
        away.note("a", at("12:00:50"));
        assert_eq!(due(&away, "12:01:00"), ("b".to_owned(), Some(at("12:01:30"))), "it was away anew");
    }

    #[test]
    fn a_pod_that_has_not_ended_is_said_to_have_failed() {
        let pod = |name: &str, phase: &str| -> Pod {
            decode(json!({"metadata": {"namespace": "default", "name": name}, "status": {"phase": phase}}))
        };
        let (running, ended) = (pod("a", "Running"), pod("b", "Succeeded"));
        let plan = plan_orphans(&[&running, &ended], at("12:00:00"));
        let names: Vec<&str> = plan.iter().map(|orphan| orphan.pod.name.as_str()).collect();
        assert_eq!(names, ["a", "b"]);
        let status = &plan[0].status.as_ref().expect("it runs, as far as anybody knows")["status"];
        assert_eq!(
            (&status["phase"], &status["conditions"][0]["reason"]),
            (&json!("Failed"), &json!("DeletionByPodGC"))
        );
        assert_eq!(plan[1].status, None);
    }
}
