//! The state machine in virtual time: a Pod, a script of inputs at seconds, and what it asks for.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::parse::{means, pod};
use crate::{Backoff, Effect, Exit, Found, Input, PodPlan, PodState, ProbeKind, Sandbox, next_wake, plan, step};

/// Runs a Pod's state machine and writes down what it asks for, as `SECOND WHAT`.
struct Machine {
    plan: PodPlan,
    state: PodState,
    second: i64,
    asked: Vec<String>,
    /// Probes that were asked for and not answered yet.
    unanswered: Vec<ProbeKind>,
}

fn at(second: i64) -> Timestamp {
    let start: Timestamp = "2030-01-01T00:00:00Z".parse().expect("a time");
    start + SignedDuration::from_secs(second)
}

impl Machine {
    fn new(spec: Value, container: Value) -> Machine {
        let plan = plan(&pod(spec, container), &means()).expect("a Pod that can be run");
        let state = PodState::new(&plan, at(0));
        Machine { plan, state, second: 0, asked: Vec::new(), unanswered: Vec::new() }
    }

    /// A Pod whose container runs since second 0.
    fn running(spec: Value, container: Value) -> Machine {
        let mut machine = Machine::new(spec, container);
        machine.input(Input::Tick);
        machine.input(Input::Ready(vec!["10.244.7.2".parse().expect("an address")]));
        machine.input(Input::Started { container: 0 });
        let first: Vec<String> = machine.asked.drain(..3).collect();
        assert_eq!(first, ["0 SetUp", "0 Start 0", "0 Started"]);
        machine
    }

    fn input(&mut self, input: Input) {
        let (state, effects) = step(&self.plan, &Backoff::default(), self.state.clone(), input, at(self.second));
        self.state = state;
        for effect in effects {
            if let Effect::Probe { kind, .. } = effect {
                self.unanswered.push(kind);
            }
            let what = match effect {
                Effect::Start { attempt, .. } => format!("Start {attempt}"),
                Effect::Probe { kind, .. } => format!("{kind:?}"),
                Effect::Tell(notice) => notice.reason.to_owned(),
                Effect::Terminate { .. } => "TERM".to_owned(),
                Effect::Kill { .. } => "KILL".to_owned(),
                Effect::PreStop { .. } => "PreStop".to_owned(),
                other => format!("{other:?}"),
            };
            self.asked.push(format!("{} {what}", self.second));
        }
    }

    /// Lets time pass; each probe is answered at once by `healthy` at that second.
    fn until(&mut self, second: i64, healthy: impl Fn(ProbeKind, i64) -> bool) {
        loop {
            while !self.unanswered.is_empty() {
                let kind = self.unanswered.remove(0);
                self.answer(kind, healthy(kind, self.second));
            }
            let Some(wake) = next_wake(&self.state).filter(|wake| *wake <= at(second)) else { break };
            self.second = wake.duration_since(at(0)).as_secs().max(self.second);
            let before = self.asked.len();
            self.input(Input::Tick);
            assert!(self.asked.len() > before, "a wake-up at {wake} without effect: {:?}", self.state);
        }
        self.second = second;
    }

    fn answer(&mut self, kind: ProbeKind, success: bool) {
        let attempt = self.state.containers[0].restarts;
        let result = if success { Ok(()) } else { Err("refused".to_owned()) };
        self.input(Input::Probed { container: 0, attempt, kind, result });
    }

    fn exit(&mut self, code: i32) {
        let attempt = self.state.containers[0].restarts;
        self.input(Input::Exited { container: 0, attempt, exit: Exit::code(code) });
    }

    fn ready(&self) -> bool {
        self.state.containers[0].is_ready()
    }

    /// Takes what was asked for so far.
    #[track_caller]
    fn expect(&mut self, expected: &[&str]) {
        assert_eq!(std::mem::take(&mut self.asked), expected);
    }
}

fn probe(more: Value) -> Value {
    let mut probe = json!({"tcpSocket": {"port": 80}});
    for (name, value) in more.as_object().expect("fields") {
        probe[name] = value.clone();
    }
    probe
}

#[test]
fn a_container_without_probes_is_ready_as_soon_as_it_runs() {
    let machine = Machine::running(json!({}), json!({}));
    assert!(machine.ready());
    assert_eq!(next_wake(&machine.state), None);
}

#[test]
fn restarts_come_at_once_and_then_after_10_20_and_40_seconds() {
    let mut machine = Machine::running(json!({}), json!({}));
    for _ in 0..3 {
        machine.exit(1);
        machine.until(machine.second + 100, |_, _| true);
        machine.input(Input::Started { container: 0 });
    }
    machine.expect(&[
        "0 Start 1",
        "100 Started",
        "100 BackOff",
        "110 Start 2",
        "200 Started",
        "200 BackOff",
        "220 Start 3",
        "300 Started",
    ]);
    assert_eq!(machine.state.containers[0].last.as_ref().map(|last| last.exit.code), Some(1));
}

#[test]
fn the_restart_policy_says_what_follows_an_end() {
    for (policy, code, restarts) in
        [("Always", 0, true), ("Always", 1, true), ("OnFailure", 0, false), ("OnFailure", 1, true), ("Never", 1, false)]
    {
        let mut machine = Machine::running(json!({"restartPolicy": policy}), json!({}));
        machine.exit(code);
        machine.expect(&[if restarts { "0 Start 1" } else { "0 Release" }]);
    }
}

#[test]
fn readiness_follows_its_probe_by_the_thresholds() {
    let readiness =
        probe(json!({"initialDelaySeconds": 5, "periodSeconds": 10, "failureThreshold": 2, "successThreshold": 2}));
    let mut machine = Machine::running(json!({}), json!({"readinessProbe": readiness}));
    // Tried at 5, 15, 25, …; refused at 35 and from 55 on.
    for (second, expected) in [(14, false), (15, true), (35, true), (55, true), (65, false), (75, false)] {
        machine.until(second, |_, second| second != 35 && second < 55);
        assert_eq!(machine.ready(), expected, "at {second}");
    }
}

#[test]
fn nothing_is_probed_before_the_startup_probe_succeeds() {
    let fields = json!({"startupProbe": probe(json!({"periodSeconds": 2})), "livenessProbe": probe(json!({})), "readinessProbe": probe(json!({"periodSeconds": 4}))});
    let mut machine = Machine::running(json!({}), fields);
    machine.until(9, |_, second| second >= 4);
    machine.expect(&[
        "0 Startup",
        "0 Unhealthy",
        "2 Startup",
        "2 Unhealthy",
        "4 Startup",
        "4 Liveness",
        "4 Readiness",
        "8 Readiness",
    ]);
    assert!(machine.ready());
}

#[test]
fn a_container_that_fails_its_liveness_probe_is_stopped_and_started_again() {
    let liveness = probe(json!({"periodSeconds": 1, "failureThreshold": 2}));
    let mut machine = Machine::running(json!({"terminationGracePeriodSeconds": 7}), json!({"livenessProbe": liveness}));
    machine.until(20, |_, _| false);
    machine.expect(&["0 Liveness", "0 Unhealthy", "1 Liveness", "1 Unhealthy", "1 Killing", "1 TERM", "8 KILL"]);
    machine.exit(137);
    machine.expect(&["20 Start 1"]);
}

#[test]
fn a_deleted_pod_gets_its_hook_then_sigterm_then_sigkill() {
    let hook = json!({"lifecycle": {"preStop": {"exec": {"command": ["drain"]}}}});
    let mut machine = Machine::running(json!({}), hook.clone());
    machine.second = 10;
    machine.input(Input::Delete { grace_s: 30 });
    machine.second = 15;
    machine.input(Input::HookDone { container: 0, attempt: 0 });
    machine.until(41, |_, _| true);
    machine.exit(137);
    machine.expect(&["10 PreStop", "15 TERM", "40 KILL", "41 Remove"]);

    let mut slow_hook = Machine::running(json!({}), hook);
    slow_hook.input(Input::Delete { grace_s: 30 });
    slow_hook.until(36, |_, _| true);
    slow_hook.expect(&["0 PreStop", "30 TERM", "32 KILL"]);
}

#[test]
fn s205_a_terminating_container_goes_on_serving_as_its_readiness_probe_says() {
    let mut machine = Machine::running(json!({}), json!({"readinessProbe": probe(json!({}))}));
    machine.until(0, |_, _| true);
    machine.input(Input::Delete { grace_s: 60 });
    machine.until(39, |_, second| second < 20);
    assert!(machine.ready(), "two failures are not three");
    machine.until(40, |_, _| false);
    assert!(!machine.ready());
    assert_eq!(machine.state.sandbox, Sandbox::Ready);
}

#[test]
fn a_repeated_deletion_can_only_shorten_the_time() {
    let mut machine = Machine::running(json!({}), json!({}));
    machine.input(Input::Delete { grace_s: 30 });
    machine.second = 5;
    machine.input(Input::Delete { grace_s: 300 });
    machine.input(Input::Delete { grace_s: 1 });
    machine.until(10, |_, _| true);
    machine.expect(&["0 TERM", "6 KILL"]);
}

#[test]
fn a_deleted_pod_whose_parent_does_not_tell_of_its_end_is_removed_with_it() {
    let mut running = Machine::running(json!({}), json!({"readinessProbe": probe(json!({"periodSeconds": 7}))}));
    running.input(Input::Delete { grace_s: 3 });
    running.until(100, |_, _| true);
    running.expect(&["0 Readiness", "0 TERM", "3 KILL", "7 Readiness", "8 Failed", "8 Remove"]);

    let mut starting = Machine::new(json!({}), json!({}));
    starting.input(Input::Tick);
    starting.input(Input::Ready(vec![]));
    starting.input(Input::Delete { grace_s: 3 });
    starting.until(100, |_, _| true);
    starting.expect(&["0 SetUp", "0 Start 0", "8 Failed", "8 Remove"]);
}

#[test]
fn a_container_that_is_started_anew_is_waited_for_however_long_its_end_takes() {
    let liveness = probe(json!({"periodSeconds": 1, "failureThreshold": 1}));
    let mut machine = Machine::running(json!({"terminationGracePeriodSeconds": 1}), json!({"livenessProbe": liveness}));
    machine.until(100, |_, _| false);
    machine.expect(&["0 Liveness", "0 Unhealthy", "0 Killing", "0 TERM", "1 KILL"]);
    // Once it is to be gone, it is not.
    machine.input(Input::Delete { grace_s: 30 });
    machine.expect(&["100 Failed", "100 Remove"]);
}

#[test]
fn a_pod_that_is_deleted_before_it_runs_is_removed() {
    let mut early = Machine::new(json!({}), json!({}));
    early.input(Input::Delete { grace_s: 30 });
    early.expect(&["0 Remove"]);

    let mut setting_up = Machine::new(json!({}), json!({}));
    setting_up.input(Input::Tick);
    setting_up.input(Input::Delete { grace_s: 30 });
    setting_up.input(Input::Ready(vec![]));
    setting_up.expect(&["0 SetUp", "0 Remove"]);

    let mut starting = Machine::new(json!({}), json!({}));
    starting.input(Input::Tick);
    starting.input(Input::Ready(vec![]));
    starting.input(Input::Delete { grace_s: 30 });
    starting.input(Input::Started { container: 0 });
    starting.exit(0);
    starting.expect(&["0 SetUp", "0 Start 0", "0 Started", "0 TERM", "0 Remove"]);
}

#[test]
fn a_sandbox_that_cannot_be_set_up_is_tried_again() {
    let mut machine = Machine::new(json!({}), json!({}));
    machine.input(Input::Tick);
    machine.input(Input::Broken("no address".to_owned()));
    machine.until(5, |_, _| true);
    machine.expect(&["0 SetUp", "0 FailedCreatePodSandBox", "5 SetUp"]);
}

#[test]
fn a_new_agent_goes_on_from_what_the_parent_process_says() {
    let found = |attempt, ended: Option<i32>| Found {
        container: 0,
        attempt,
        started: at(1),
        ended: ended.map(|code| (at(50), Exit::code(code))),
    };
    for (case, found, expected) in [
        ("still runs", vec![found(0, None)], vec![]),
        ("has ended meanwhile", vec![found(0, Some(3))], vec!["60 Start 1"]),
        ("is unknown", vec![], vec!["60 Failed", "60 Start 1"]),
        ("is another attempt", vec![found(5, None)], vec!["60 Failed", "60 Start 1"]),
    ] {
        let mut machine = Machine::running(json!({}), json!({}));
        machine.second = 60;
        machine.input(Input::Adopted(found));
        assert_eq!(machine.asked, expected, "{case}");
    }
    let mut asked_before = Machine::new(json!({}), json!({}));
    asked_before.input(Input::Tick);
    asked_before.input(Input::Ready(vec![]));
    asked_before.input(Input::Adopted(vec![found(0, None)]));
    asked_before.expect(&["0 SetUp", "0 Start 0", "0 Started"]);
    assert!(asked_before.ready());
}

#[test]
fn a_new_agent_does_again_what_the_last_one_was_doing_to_end_a_container() {
    let hook = json!({"lifecycle": {"preStop": {"exec": {"command": ["drain"]}}}});
    for (case, container, seconds, expected) in [
        ("the hook runs", hook.clone(), 1, "1 PreStop"),
        ("SIGTERM was sent", json!({}), 1, "1 TERM"),
        ("SIGKILL was sent", json!({}), 40, "40 KILL"),
    ] {
        let mut machine = Machine::running(json!({}), container);
        machine.input(Input::Delete { grace_s: 30 });
        machine.second = seconds;
        machine.input(Input::Tick);
        machine.asked.clear();
        let found = Found { container: 0, attempt: 0, started: at(0), ended: None };
        machine.input(Input::Adopted(vec![found]));
        assert_eq!(machine.asked, [expected], "{case}");
    }
}

#[test]
fn the_exit_status_from_the_time_without_an_agent_is_kept() {
    let mut machine = Machine::running(json!({"restartPolicy": "Never"}), json!({}));
    let exit = Exit::code(42);
    machine.input(Input::Adopted(vec![Found { container: 0, attempt: 0, started: at(0), ended: Some((at(9), exit)) }]));
    machine.expect(&["0 Release"]);
    let crate::Now::Ended(ended) = &machine.state.containers[0].now else { panic!("{:?}", machine.state) };
    assert_eq!((ended.exit.code, ended.finished), (42, at(9)));
}

#[test]
fn when_the_parent_process_is_gone_everything_is_set_up_anew() {
    let mut machine = Machine::running(json!({}), json!({}));
    machine.input(Input::Lost);
    machine.expect(&["0 Failed", "0 SetUp"]);
    machine.input(Input::Ready(vec![]));
    machine.expect(&["0 Start 1"]);
}

#[test]
fn answers_of_an_earlier_attempt_are_not_heard() {
    let mut machine = Machine::running(json!({}), json!({"readinessProbe": probe(json!({}))}));
    machine.exit(1);
    machine.input(Input::Started { container: 0 });
    machine.input(Input::Probed { container: 0, attempt: 0, kind: ProbeKind::Readiness, result: Ok(()) });
    machine.input(Input::Exited { container: 0, attempt: 0, exit: Exit::code(0) });
    assert!(!machine.ready());
    assert_eq!(machine.state.containers[0].restarts, 1);
}

#[test]
fn a_probe_that_was_under_way_when_an_agent_ended_is_tried_again_by_the_next() {
    let mut machine = Machine::running(json!({}), json!({"readinessProbe": probe(json!({"periodSeconds": 10}))}));
    machine.until(0, |_, _| true);
    machine.second = 10;
    machine.input(Input::Tick);
    machine.expect(&["0 Readiness", "10 Readiness"]);
    // The answer never comes: what the next agent has is what this one kept.
    let kept = serde_json::to_string(&machine.state).expect("plain data");
    machine.state = serde_json::from_str(&kept).expect("what was written");
    machine.unanswered.clear();
    machine.input(Input::Tick);
    machine.until(20, |_, second| second < 20);
    machine.expect(&["20 Readiness", "20 Unhealthy"]);
}
