//! Pods as an agent reads them.

use jiff::Timestamp;
use pods::{Means, Place, PodState, Rights};
use serde_json::Value;

/// A Pod as JSON.
pub fn pods(data: &[u8]) {
    let Ok(pod) = serde_json::from_slice::<Value>(data) else { return };
    let host_ips = vec![[192, 168, 0, 1].into()];
    let place = Place { host_ips: host_ips.clone() };
    for root_pods in [false, true] {
        let rights = Rights { root_pods, only_uid: (!root_pods).then_some(1000) };
        let means = Means {
            rights,
            node_name: "node-a".to_owned(),
            host_ips: host_ips.clone(),
            path: "/usr/bin:/bin".to_owned(),
        };
        let status = match pods::plan(&pod, &means) {
            Ok(plan) => {
                let state = PodState::recalled(&plan, &pod["status"], Timestamp::UNIX_EPOCH);
                pods::status(&plan, &state, &place, &pod["status"], Timestamp::UNIX_EPOCH)
            }
            Err(refusal) => {
                assert!(!refusal.obstacles.is_empty(), "a refusal has a reason");
                pods::refused_status(&pod, &refusal, &place, Timestamp::UNIX_EPOCH)
            }
        };
        let phase = status["phase"].as_str().unwrap_or_default();
        assert!(["Pending", "Running", "Succeeded", "Failed", "Unknown"].contains(&phase), "{status}");
        assert_eq!(pods::difference(&status, &status), None, "nothing differs from itself");
    }
}
