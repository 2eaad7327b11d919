//! Pod: what a Service leads to. maitred reads a part of it, and keeps the rest as it came.
//!
//! Binding to a node is the server's `binding` subresource, which sets `spec.nodeName`; a plain write may not.

mod columns;
mod defaults;
mod validate;

use serde_json::Value;

use crate::fields::Mistakes;
use crate::json::{self, text};
use crate::shape::{Fields, METADATA, Shape, TEXT_MAP, TEXTS};
use crate::{Admitted, Column, Context, Facts, Kind, Refusal, metadata};

/// `v1 Pod`.
#[derive(Debug)]
pub struct Pod;

static FACTS: Facts = Facts {
    group: "",
    version: "v1",
    kind: "Pod",
    plural: "pods",
    singular: "pod",
    short_names: &["po"],
    categories: &["all"],
    namespaced: true,
    has_status: true,
};

const PROBE: Shape = Shape::Open(&[
    ("initialDelaySeconds", Shape::Int32),
    ("timeoutSeconds", Shape::Int32),
    ("periodSeconds", Shape::Int32),
    ("successThreshold", Shape::Int32),
    ("failureThreshold", Shape::Int32),
    ("terminationGracePeriodSeconds", Shape::Int64),
    (
        "httpGet",
        Shape::Open(&[
            ("path", Shape::Text),
            ("port", Shape::IntOrText),
            ("host", Shape::Text),
            ("scheme", Shape::Text),
            ("httpHeaders", Shape::List(&Shape::Object(&[("name", Shape::Text), ("value", Shape::Text)]))),
        ]),
    ),
    ("tcpSocket", Shape::Open(&[("port", Shape::IntOrText), ("host", Shape::Text)])),
    ("grpc", Shape::Open(&[("port", Shape::Int32), ("service", Shape::Text)])),
    ("exec", Shape::Open(&[("command", TEXTS)])),
]);

const CONTAINERS: Shape = Shape::List(&Shape::Open(&[
    ("name", Shape::Text),
    ("image", Shape::Text),
    ("command", TEXTS),
    ("args", TEXTS),
    ("workingDir", Shape::Text),
    ("restartPolicy", Shape::Text),
    ("imagePullPolicy", Shape::Text),
    ("terminationMessagePath", Shape::Text),
    ("terminationMessagePolicy", Shape::Text),
    (
        "ports",
        Shape::List(&Shape::Object(&[
            ("name", Shape::Text),
            ("hostPort", Shape::Int32),
            ("containerPort", Shape::Int32),
            ("protocol", Shape::Text),
            ("hostIP", Shape::Text),
        ])),
    ),
    ("env", Shape::List(&Shape::Open(&[("name", Shape::Text), ("value", Shape::Text)]))),
    ("livenessProbe", PROBE),
    ("readinessProbe", PROBE),
    ("startupProbe", PROBE),
]));

const CONTAINER_STATUSES: Shape = Shape::List(&Shape::Open(&[
    ("name", Shape::Text),
    ("ready", Shape::Bool),
    ("started", Shape::Bool),
    ("restartCount", Shape::Int32),
    ("image", Shape::Text),
    ("imageID", Shape::Text),
    ("state", Shape::Map(&Shape::Map(&Shape::Any))),
    ("lastState", Shape::Map(&Shape::Map(&Shape::Any))),
]));

const ADDRESSES: Shape = Shape::List(&Shape::Object(&[("ip", Shape::Text)]));

static SHAPE: &Fields = &[
    ("apiVersion", Shape::Text),
    ("kind", Shape::Text),
    ("metadata", METADATA),
    (
        "spec",
        Shape::Open(&[
            ("containers", CONTAINERS),
            ("initContainers", CONTAINERS),
            ("nodeName", Shape::Text),
            ("nodeSelector", TEXT_MAP),
            ("hostNetwork", Shape::Bool),
            ("hostname", Shape::Text),
            ("subdomain", Shape::Text),
            ("restartPolicy", Shape::Text),
            ("dnsPolicy", Shape::Text),
            ("schedulerName", Shape::Text),
            ("serviceAccountName", Shape::Text),
            ("terminationGracePeriodSeconds", Shape::Int64),
            ("activeDeadlineSeconds", Shape::Int64),
            (
                "tolerations",
                Shape::List(&Shape::Object(&[
                    ("key", Shape::Text),
                    ("operator", Shape::Text),
                    ("value", Shape::Text),
                    ("effect", Shape::Text),
                    ("tolerationSeconds", Shape::Int64),
                ])),
            ),
            ("readinessGates", Shape::List(&Shape::Object(&[("conditionType", Shape::Text)]))),
            ("schedulingGates", Shape::List(&Shape::Object(&[("name", Shape::Text)]))),
        ]),
    ),
    (
        "status",
        Shape::Open(&[
            ("phase", Shape::Text),
            ("reason", Shape::Text),
            ("message", Shape::Text),
            ("podIP", Shape::Text),
            ("podIPs", ADDRESSES),
            ("hostIP", Shape::Text),
            ("hostIPs", ADDRESSES),
            ("nominatedNodeName", Shape::Text),
            ("startTime", Shape::Time),
            (
                "conditions",
                Shape::List(&Shape::Open(&[
                    ("type", Shape::Text),
                    ("status", Shape::Text),
                    ("reason", Shape::Text),
                    ("message", Shape::Text),
                    ("lastProbeTime", Shape::Time),
                    ("lastTransitionTime", Shape::Time),
                ])),
            ),
            ("containerStatuses", CONTAINER_STATUSES),
            ("initContainerStatuses", CONTAINER_STATUSES),
        ]),
    ),
];

impl Kind for Pod {
    fn facts(&self) -> &'static Facts {
        &FACTS
    }

    fn shape(&self) -> &'static Fields {
        SHAPE
    }

    fn counts_generations(&self) -> bool {
        true
    }

    /// A Pod on a node gets its grace period; one that runs nowhere, or has ended, goes at once.
    fn grace_period_seconds(&self, object: &Value, asked: Option<i64>) -> i64 {
        let ended = matches!(text(object, "/status/phase"), "Succeeded" | "Failed");
        if text(object, "/spec/nodeName").is_empty() || ended {
            return 0;
        }
        let own = || json::int(object, "/spec/terminationGracePeriodSeconds").unwrap_or(0).max(0);
        asked.unwrap_or_else(own)
    }

    fn create(&self, mut object: Value, _: &Context<'_>) -> Result<Admitted, Refusal> {
        crate::conform(self, &mut object)?;
        defaults::set(&mut object);
        defaults::set_status(&mut object);
        let mut mistakes = Mistakes::default();
        metadata::check(&object, self, &mut mistakes);
        validate::check(&object, &mut mistakes);
        mistakes.result()?;
        Ok(Admitted::plain(object))
    }

    fn update(&self, mut new: Value, old: &Value, _: &Context<'_>) -> Result<Admitted, Refusal> {
        crate::conform(self, &mut new)?;
        json::keep(&mut new, old, "status");
        defaults::set(&mut new);
        let changed = new.get("spec") != old.get("spec");
        metadata::count_generation(&mut new, old, changed);
        let mut mistakes = Mistakes::default();
        metadata::check_update(&new, old, &mut mistakes);
        validate::check(&new, &mut mistakes);
        validate::check_change(&new, old, &mut mistakes);
        mistakes.result()?;
        Ok(Admitted::plain(new))
    }

    fn update_status(&self, mut new: Value, old: &Value, _: &Context<'_>) -> Result<Admitted, Refusal> {
        crate::conform(self, &mut new)?;
        json::keep(&mut new, old, "spec");
        let mut mistakes = Mistakes::default();
        metadata::check_update(&new, old, &mut mistakes);
        validate::check_status(&new, old, &mut mistakes);
        mistakes.result()?;
        Ok(Admitted::plain(new))
    }

    fn field(&self, object: &Value, path: &str) -> Option<String> {
        let pointer = format!("/{}", path.replace('.', "/"));
        match path {
            "spec.nodeName"
            | "spec.restartPolicy"
            | "spec.schedulerName"
            | "spec.serviceAccountName"
            | "status.phase"
            | "status.podIP"
            | "status.nominatedNodeName" => Some(text(object, &pointer).to_owned()),
            "spec.hostNetwork" => Some((object["spec"]["hostNetwork"] == true).to_string()),
            _ => None,
        }
    }

    fn columns(&self) -> &'static [Column] {
        columns::COLUMNS
    }

    fn row(&self, object: &Value, now: &str) -> Vec<Value> {
        columns::row(object, now)
    }
}

#[cfg(test)]
mod tests;
