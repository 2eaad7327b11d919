//! What every kind does first: an object as it came becomes one whose fields have the types that `schema` knows.

use serde_json::{Map, Value};

use crate::{Kind, Refusal};

/// Brings an object into the shape of its kind, and sets `apiVersion` and `kind`. A value of a wrong type is a 400.
pub fn conform(kind: &dyn Kind, object: &mut Value) -> Result<(), Refusal> {
    let facts = kind.facts();
    schema::conform(facts.group, facts.version, facts.kind, object).map_err(|error| {
        let (name, version) = (facts.kind, facts.version);
        Refusal::BadRequest(format!("{name} in version \"{version}\" cannot be handled as a {name}: {error}"))
    })?;
    object["apiVersion"] = facts.api_version().into();
    object["kind"] = facts.kind.into();
    if !object["metadata"].is_object() {
        object["metadata"] = Value::Object(Map::new());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{ConfigMap, EndpointSlice, Lease};

    fn refused(kind: &dyn Kind, mut object: Value) -> String {
        match conform(kind, &mut object) {
            Err(Refusal::BadRequest(text)) => {
                text.split_once("json: ").map(|(_, text)| text.to_owned()).unwrap_or(text)
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn wrong_types_are_named_with_their_place() {
        #[rustfmt::skip]
        let cases: [(&dyn Kind, Value, &str); 7] = [
            (&ConfigMap, json!({"data": {"a": 1}}), "cannot unmarshal number into Go struct field ConfigMap.data.a of type string"),
            (&ConfigMap, json!({"data": []}), "cannot unmarshal array into Go struct field ConfigMap.data of type map[string]string"),
            (&ConfigMap, json!({"metadata": "a"}), "cannot unmarshal string into Go struct field ConfigMap.metadata of type v1.ObjectMeta"),
            (&Lease, json!({"spec": {"leaseDurationSeconds": 1.5}}), "cannot unmarshal number 1.5 into Go struct field LeaseSpec.spec.leaseDurationSeconds of type int32"),
            (&Lease, json!({"spec": {"leaseTransitions": 3_000_000_000_i64}}), "cannot unmarshal number 3000000000 into Go struct field LeaseSpec.spec.leaseTransitions of type int32"),
            (&Lease, json!({"spec": {"renewTime": "soon"}}), "cannot unmarshal string \"soon\" into Go struct field LeaseSpec.spec.renewTime of type v1.Time"),
            (&EndpointSlice, json!({"endpoints": [{"conditions": {"ready": "yes"}}]}), "cannot unmarshal string into Go struct field EndpointConditions.endpoints.conditions.ready of type bool"),
        ];
        for (kind, object, expected) in cases {
            assert_eq!(refused(kind, object), expected);
        }
    }

    #[test]
    fn an_object_gets_its_type_and_metadata() {
        let mut object = json!({"metadata": null});
        conform(&ConfigMap, &mut object).expect("it is empty");
        assert_eq!(object, json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {}}));
    }
}
