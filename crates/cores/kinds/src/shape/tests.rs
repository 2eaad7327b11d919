use serde_json::json;

use super::*;
use crate::{ConfigMap, EndpointSlice, Lease, Pod};

fn refused(kind: &dyn Kind, mut object: Value) -> String {
    match conform(kind, &mut object) {
        Err(Refusal::BadRequest(text)) => text.split_once("json: ").map(|(_, text)| text.to_owned()).unwrap_or(text),
        other => panic!("{other:?}"),
    }
}

#[test]
fn wrong_types_are_named_with_their_place() {
    #[rustfmt::skip]
    let cases: [(&dyn Kind, Value, &str); 7] = [
        (&ConfigMap, json!({"data": {"a": 1}}), "cannot unmarshal number into Go struct field ConfigMap.data.a of type string"),
        (&ConfigMap, json!({"data": []}), "cannot unmarshal array into Go struct field ConfigMap.data of type map"),
        (&ConfigMap, json!({"metadata": "a"}), "cannot unmarshal string into Go struct field ConfigMap.metadata of type struct"),
        (&Lease, json!({"spec": {"leaseDurationSeconds": 1.5}}), "cannot unmarshal number into Go struct field Lease.spec.leaseDurationSeconds of type int32"),
        (&Lease, json!({"spec": {"leaseTransitions": 3_000_000_000_i64}}), "cannot unmarshal number into Go struct field Lease.spec.leaseTransitions of type int32"),
        (&Lease, json!({"spec": {"renewTime": "soon"}}), "cannot unmarshal string into Go struct field Lease.spec.renewTime of type time.Time"),
        (&EndpointSlice, json!({"endpoints": [{"conditions": {"ready": "yes"}}]}), "cannot unmarshal string into Go struct field EndpointSlice.endpoints.conditions.ready of type bool"),
    ];
    for (kind, object, expected) in cases {
        assert_eq!(refused(kind, object), expected);
    }
    assert!(conform(&ConfigMap, &mut json!([])).is_err());
}

#[test]
fn nulls_are_fields_that_are_not_there() {
    let mut object = json!({"metadata": null, "data": {"a": null}, "immutable": null});
    assert_eq!(conform(&ConfigMap, &mut object).unwrap(), [""; 0]);
    assert_eq!(object, json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {}, "data": {"a": ""}}));
}

#[test]
fn unknown_fields_are_dropped_from_closed_shapes_and_kept_in_open_ones() {
    let mut object = json!({"metadata": {"name": "a", "nmae": "b"}, "spec": {}});
    let unknown = conform(&ConfigMap, &mut object).unwrap();
    assert_eq!(unknown, ["unknown field \"spec\"", "unknown field \"metadata.nmae\""]);
    assert_eq!(object["metadata"], json!({"name": "a"}));
    let mut pod = json!({"spec": {"volumes": [{"name": "v"}]}});
    assert_eq!(conform(&Pod, &mut pod).unwrap(), [""; 0]);
    assert_eq!(pod["spec"], json!({"volumes": [{"name": "v"}]}));
}
