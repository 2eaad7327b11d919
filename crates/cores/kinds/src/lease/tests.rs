use serde_json::json;

use super::*;
use crate::tests::{NOW, created, refused};

#[test]
fn what_is_refused() {
    assert_eq!(
        refused(&Lease, json!({"spec": {"leaseDurationSeconds": 0, "leaseTransitions": -1}})),
        [
            "spec.leaseDurationSeconds: Invalid value: 0: must be greater than 0",
            "spec.leaseTransitions: Invalid value: -1: must be greater than or equal to 0",
        ],
    );
}

#[test]
fn rows() {
    let object = created(&Lease, json!({"spec": {"holderIdentity": "n1", "renewTime": "2026-03-01T11:59:59.123456Z"}}));
    assert_eq!(Lease.row(&object, NOW), ["a", "n1", "0s"]);
}
