//! What the API shows.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::parse::{means, pod};
use crate::{Backoff, Exit, Input, Place, PodPlan, PodState, difference, plan, refused_status, status, step};

fn time(text: &str) -> Timestamp {
    text.parse().expect("a time")
}

fn place() -> Place {
    Place { host_ips: vec!["192.0.2.7".parse().expect("an address")] }
}

/// A Pod after these inputs, each a second after the other, and its plan.
fn after(spec: Value, inputs: Vec<Input>) -> (PodPlan, PodState) {
    let plan = plan(&pod(spec, json!({})), &means()).expect("a Pod that can be run");
    let mut state = PodState::new(&plan, time("2030-01-01T00:00:00Z"));
    for (second, input) in inputs.into_iter().enumerate() {
        let now = time(&format!("2030-01-01T00:00:{second:02}.5Z"));
        state = step(&plan, &Backoff::default(), state, input, now).0;
    }
    (plan, state)
}

fn started() -> Vec<Input> {
    let addresses = ["10.244.7.2", "fd00::2"].map(|address| address.parse().expect("an address"));
    vec![Input::Tick, Input::Ready(addresses.to_vec()), Input::Started { container: 0 }]
}

fn exited(code: i32) -> Vec<Input> {
    [started(), vec![Input::Exited { container: 0, attempt: 0, exit: Exit::code(code) }]].concat()
}

fn condition<'a>(status: &'a Value, name: &str) -> &'a Value {
    status["conditions"].as_array().and_then(|all| all.iter().find(|one| one["type"] == name)).expect("the condition")
}

#[test]
fn phase_readiness_and_state_follow_the_containers() {
    for (id, spec, inputs, phase, ready, state) in [
        ("new", json!({}), vec![Input::Tick], "Pending", "False", "waiting"),
        ("running", json!({}), started(), "Running", "True", "running"),
        ("restarting", json!({}), exited(1), "Running", "False", "waiting"),
        ("done", json!({"restartPolicy": "Never"}), exited(0), "Succeeded", "False", "terminated"),
        ("failed", json!({"restartPolicy": "Never"}), exited(1), "Failed", "False", "terminated"),
    ] {
        let (plan, machine) = after(spec, inputs);
        let shown = status(&plan, &machine, &place(), &json!({}), time("2030-01-01T00:01:00Z"));
        assert_eq!(shown["phase"], phase, "{id}");
        assert_eq!(condition(&shown, "Ready")["status"], ready, "{id}");
        assert!(!shown["containerStatuses"][0]["state"][state].is_null(), "{id}: {shown}");
    }
}

#[test]
fn a_running_pod_shows_addresses_times_and_counts() {
    let (plan, state) = after(json!({}), started());
    let shown = status(&plan, &state, &place(), &json!({}), time("2030-01-01T00:01:00.9Z"));
    assert_eq!(shown["podIP"], "10.244.7.2");
    assert_eq!(shown["podIPs"], json!([{"ip": "10.244.7.2"}, {"ip": "fd00::2"}]));
    assert_eq!((&shown["hostIP"], &shown["startTime"]), (&json!("192.0.2.7"), &json!("2030-01-01T00:00:00Z")));
    let expected = json!({"type": "Ready", "status": "True", "lastTransitionTime": "2030-01-01T00:01:00Z"});
    assert_eq!(*condition(&shown, "Ready"), expected);
    let main = &shown["containerStatuses"][0];
    assert_eq!(main["state"], json!({"running": {"startedAt": "2030-01-01T00:00:02Z"}}));
    assert_eq!((&main["restartCount"], &main["ready"], &main["started"]), (&json!(0), &json!(true), &json!(true)));
}

#[test]
fn a_pod_of_the_host_s_network_has_the_node_s_addresses() {
    let (plan, state) = after(json!({"hostNetwork": true}), vec![Input::Tick, Input::Ready(vec![])]);
    let shown = status(&plan, &state, &place(), &json!({}), time("2030-01-01T00:01:00Z"));
    assert_eq!(shown["podIPs"], json!([{"ip": "192.0.2.7"}]));
}

#[test]
fn the_time_of_a_transition_stays_until_the_next_one() {
    let (plan, running) = after(json!({}), started());
    let first = status(&plan, &running, &place(), &json!({}), time("2030-01-01T00:01:00Z"));
    assert_eq!(difference(&json!({"phase": "Pending"}), &first), Some(json!({ "status": replaced(first.clone()) })));
    let second = status(&plan, &running, &place(), &first, time("2030-01-01T00:02:00Z"));
    assert_eq!(difference(&first, &second), None);
    let (_, restarting) = after(json!({}), exited(1));
    let third = status(&plan, &restarting, &place(), &first, time("2030-01-01T00:03:00Z"));
    let since = |name: &str| condition(&third, name)["lastTransitionTime"].clone();
    assert_eq!((since("Ready"), since("Initialized")), (json!("2030-01-01T00:03:00Z"), json!("2030-01-01T00:01:00Z")));
}

/// A status as a patch has it: its lists of addresses stand for themselves.
fn replaced(mut status: Value) -> Value {
    for name in ["podIPs", "hostIPs"] {
        status[name].as_array_mut().expect("addresses").push(json!({"$patch": "replace"}));
    }
    status
}

#[test]
fn addresses_that_changed_replace_the_old_ones() {
    let (plan, state) = after(json!({}), started());
    let now = time("2030-01-01T00:01:00Z");
    let shown = status(&plan, &state, &place(), &json!({}), now);
    let mut moved = state.clone();
    moved.addresses = vec!["10.244.7.3".parse().expect("an address"), state.addresses[1]];
    let elsewhere = Place { host_ips: vec!["192.0.2.8".parse().expect("an address")] };
    let replace = json!({"$patch": "replace"});
    for (id, state, place, expected) in [
        (
            "the Pod's",
            &moved,
            &place(),
            json!({"podIP": "10.244.7.3", "podIPs": [{"ip": "10.244.7.3"}, {"ip": "fd00::2"}, replace]}),
        ),
        ("the node's", &state, &elsewhere, json!({"hostIP": "192.0.2.8", "hostIPs": [{"ip": "192.0.2.8"}, replace]})),
    ] {
        let new = status(&plan, state, place, &shown, now);
        assert_eq!(difference(&shown, &new), Some(json!({ "status": expected })), "{id}");
    }
}

#[test]
fn a_restart_counts_when_it_happens_not_when_it_is_waited_for() {
    let shown = |inputs: Vec<Input>| {
        let (plan, state) = after(json!({}), inputs);
        let shown = status(&plan, &state, &place(), &json!({}), time("2030-01-01T00:01:00Z"));
        let container = &shown["containerStatuses"][0];
        (container["restartCount"].clone(), container["containerID"].clone())
    };
    let id = |attempt: u32| json!(format!("maitred://{}/main/{attempt}", "u-1"));
    assert_eq!(shown(vec![Input::Tick]), (json!(0), Value::Null));
    assert_eq!(shown(started()), (json!(0), id(0)));
    assert_eq!(shown(exited(1)), (json!(0), id(0)));
    let again = [exited(1), vec![Input::Tick], vec![Input::Started { container: 0 }]].concat();
    assert_eq!(shown(again.clone()), (json!(1), id(1)));
    let twice = [again, vec![Input::Exited { container: 0, attempt: 1, exit: Exit::code(1) }]].concat();
    assert_eq!(shown(twice), (json!(1), id(1)));
}

#[test]
fn a_condition_that_holds_again_loses_its_reason_and_others_conditions_stay() {
    let (plan, running) = after(json!({}), started());
    let current = json!({"conditions": [
        {"type": "Ready", "status": "False", "reason": "ContainersNotReady", "message": "m", "lastTransitionTime": "2029-01-01T00:00:00Z"},
        {"type": "example.com/gate", "status": "True"},
    ]});
    let shown = status(&plan, &running, &place(), &current, time("2030-01-01T00:01:00Z"));
    let ready = condition(&shown, "Ready");
    assert_eq!((&ready["reason"], &ready["message"]), (&Value::Null, &Value::Null));
    assert!(ready.as_object().is_some_and(|fields| fields.contains_key("reason")), "a merge must name what goes");
    let mut merged = shown.clone();
    for condition in merged["conditions"].as_array_mut().expect("conditions") {
        condition.as_object_mut().expect("fields").retain(|_, value| !value.is_null());
    }
    merged["conditions"].as_array_mut().expect("conditions").push(current["conditions"][1].clone());
    let again = status(&plan, &running, &place(), &merged, time("2030-01-01T00:05:00Z"));
    assert_eq!(difference(&merged, &again), None);
}

#[test]
fn ends_are_shown_with_code_signal_and_reason() {
    let never = || json!({"restartPolicy": "Never"});
    for (exit, expected) in [
        (Exit::code(0), json!({"exitCode": 0, "reason": "Completed"})),
        (Exit::code(3), json!({"exitCode": 3, "reason": "Error"})),
        (Exit::signal(9), json!({"exitCode": 137, "signal": 9, "reason": "Error"})),
        (
            Exit::not_started("no such file"),
            json!({"exitCode": 128, "reason": "StartError", "message": "no such file"}),
        ),
    ] {
        let (plan, state) =
            after(never(), [started(), vec![Input::Exited { container: 0, attempt: 0, exit }]].concat());
        let shown = status(&plan, &state, &place(), &json!({}), time("2030-01-01T00:01:00Z"));
        let mut ended = shown["containerStatuses"][0]["state"]["terminated"].clone();
        for (field, time) in [("startedAt", "2030-01-01T00:00:02Z"), ("finishedAt", "2030-01-01T00:00:03Z")] {
            assert_eq!(ended.as_object_mut().expect("fields").remove(field), Some(json!(time)));
        }
        ended.as_object_mut().expect("fields").remove("containerID");
        assert_eq!(ended, expected);
    }
}

#[test]
fn a_pod_that_is_not_run_is_pending_and_says_why() {
    let pod = pod(json!({}), json!({"image": "nginx"}));
    let refusal = plan(&pod, &means()).expect_err("an image");
    let shown = refused_status(&pod, &refusal, &place(), time("2030-01-01T00:01:00Z"));
    assert_eq!(shown["phase"], "Pending");
    let waiting = &shown["containerStatuses"][0]["state"]["waiting"];
    assert_eq!(waiting["reason"], "CreateContainerConfigError");
    assert!(waiting["message"].as_str().is_some_and(|text| text.contains("spec.containers[0].image")), "{waiting}");
}

#[test]
fn after_the_machine_was_started_anew_the_api_s_status_is_gone_on_from() {
    let now = time("2030-01-01T00:01:00Z");
    let shown = |phase: &str, state: Value| json!({"phase": phase, "containerStatuses": [{"name": "main", "restartCount": 4, "state": state}]});
    let running = || json!({"running": {"startedAt": "2030-01-01T00:00:00Z"}});
    let done = || json!({"terminated": {"exitCode": 0, "finishedAt": "2030-01-01T00:00:30Z"}});
    let waiting = |last: Value| {
        let mut status = shown("Running", json!({"waiting": {"reason": "CrashLoopBackOff"}}));
        status["containerStatuses"][0]["lastState"] = last;
        status
    };
    for (policy, current, restarts, over) in [
        ("Always", json!({"phase": "Pending"}), 0, false),
        ("Always", shown("Running", running()), 5, false),
        ("Always", waiting(json!({})), 4, false),
        ("Always", waiting(done()), 5, false),
        ("OnFailure", waiting(done()), 5, false),
        ("Never", shown("Running", running()), 4, true),
        ("Never", shown("Succeeded", done()), 4, true),
        ("OnFailure", shown("Succeeded", done()), 4, true),
        ("Always", shown("Running", done()), 5, false),
        ("Always", shown("Failed", done()), 4, true),
    ] {
        let plan = plan(&pod(json!({"restartPolicy": policy}), json!({})), &means()).expect("a plan");
        let state = PodState::recalled(&plan, &current, now);
        assert_eq!((state.containers[0].restarts, state.is_over()), (restarts, over), "{policy} {current}");
    }
}
