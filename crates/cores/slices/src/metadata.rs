//! What our slices say about themselves: labels, owner, generated name, trigger time (S-210, S-211).

use api::{AddressType, EndpointSlice, Labels, Metadata, OwnerReference, SERVICE_NAME_LABEL, Service};

/// Label that says who writes a slice.
pub const MANAGED_BY_LABEL: &str = "endpointslice.kubernetes.io/managed-by";
/// Our value of [`MANAGED_BY_LABEL`], the one of Kubernetes's own controller, so that either can take over (S-200).
pub const MANAGED_BY: &str = "endpointslice-controller.k8s.io";
/// Annotation with the time of the change that led to a write, RFC 3339 (S-211).
pub const LAST_CHANGE_TRIGGER_TIME: &str = "endpoints.kubernetes.io/last-change-trigger-time";
/// Label of what belongs to a headless Service.
pub const HEADLESS_LABEL: &str = "service.kubernetes.io/headless";

/// As many characters of `generateName` as the server uses: 63 less its 5 random ones.
const GENERATE_NAME_LEN_MAX: usize = 58;

/// The labels of all slices of a Service.
pub fn labels(service: &Service) -> Labels {
    let reserved = [SERVICE_NAME_LABEL, MANAGED_BY_LABEL, HEADLESS_LABEL];
    let copied = service.metadata.labels.iter().filter(|(key, _)| !reserved.contains(&key.as_str()));
    let mut labels: Labels = copied.map(|(key, value)| (key.clone(), value.clone())).collect();
    labels.insert(SERVICE_NAME_LABEL.to_owned(), service.metadata.name.clone());
    labels.insert(MANAGED_BY_LABEL.to_owned(), MANAGED_BY.to_owned());
    if service.is_headless() {
        labels.insert(HEADLESS_LABEL.to_owned(), String::new());
    }
    labels
}

/// Whether the slice belongs to this life of the Service, and not to an earlier one of the same name.
pub fn is_owned(slice: &EndpointSlice, service: &Service) -> bool {
    slice
        .metadata
        .owner_references
        .iter()
        .any(|owner| owner.uid == service.metadata.uid && owner.kind == "Service" && owner.api_version == "v1")
}

/// A slice of the Service that the server has not seen yet.
pub fn new_slice(service: &Service, address_type: AddressType) -> EndpointSlice {
    let metadata = Metadata {
        generate_name: format!("{}-", service.metadata.name).chars().take(GENERATE_NAME_LEN_MAX).collect(),
        namespace: service.metadata.namespace.clone(),
        labels: labels(service),
        owner_references: vec![OwnerReference {
            api_version: "v1".to_owned(),
            kind: "Service".to_owned(),
            name: service.metadata.name.clone(),
            uid: service.metadata.uid.clone(),
            controller: Some(true),
            block_owner_deletion: Some(true),
        }],
        ..Metadata::default()
    };
    EndpointSlice { metadata, address_type, ..EndpointSlice::default() }
}

/// Notes why an object is being written, or takes an old note away (S-211).
pub fn set_trigger(metadata: &mut Metadata, trigger: Option<&str>) {
    match trigger {
        Some(time) => drop(metadata.annotations.insert(LAST_CHANGE_TRIGGER_TIME.to_owned(), time.to_owned())),
        None => drop(metadata.annotations.remove(LAST_CHANGE_TRIGGER_TIME)),
    }
}
