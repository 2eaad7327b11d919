//! ServiceCIDR and IPAddress (`networking.k8s.io/v1`, KEP-1880): the ranges of cluster IPs, and who holds an address.

use serde::{Deserialize, Serialize};

use crate::meta::null_as_default;
use crate::{Condition, Metadata, resource};

/// A range of cluster IPs (S-143).
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default)]
pub struct ServiceCidr {
    /// Name and deletion.
    pub metadata: Metadata,
    /// The ranges.
    pub spec: ServiceCidrSpec,
    /// Whether addresses may be taken from them.
    pub status: ServiceCidrStatus,
}

/// The ranges of a [`ServiceCidr`].
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default)]
pub struct ServiceCidrSpec {
    /// One or two ranges, one per family.
    #[serde(deserialize_with = "null_as_default")]
    pub cidrs: Vec<ipnet::IpNet>,
}

/// The status of a [`ServiceCidr`].
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default)]
pub struct ServiceCidrStatus {
    /// `Ready`; its absence counts as ready.
    #[serde(deserialize_with = "null_as_default", skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
}

resource!(ServiceCidr, "networking.k8s.io", "v1", "ServiceCIDR", "servicecidrs", false);

/// A cluster IP that somebody holds (S-142). Its name is the address in canonical text.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default)]
pub struct IpAddress {
    /// The address, and who allocated it.
    pub metadata: Metadata,
    /// Who holds it.
    pub spec: IpAddressSpec,
}

resource!(IpAddress, "networking.k8s.io", "v1", "IPAddress", "ipaddresses", false);

/// The specification of an [`IpAddress`].
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct IpAddressSpec {
    /// Who holds it.
    pub parent_ref: ParentReference,
}

/// The object that holds an address.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default)]
pub struct ParentReference {
    /// API group, empty for Services.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub group: String,
    /// Plural name of the kind: `services`.
    pub resource: String,
    /// Namespace of the holder.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    /// Name of the holder.
    pub name: String,
}
