//! `maitred check` as people and programs see it; what it finds is shown in `preflight`.

use std::os::unix::process::CommandExt;
use std::process::Command;

use kernel::chains::{Table, TableFamily};
use kernel::links::Scope;
use lab::{Namespace, add_foreign_table};
use serde_json::Value;

/// A machine with an address, and where its data may lie.
fn machine() -> (Namespace, tempfile::TempDir) {
    let namespace = Namespace::create().expect("a namespace");
    let address = "192.0.2.1/32".parse().expect("an address");
    namespace.links().add_address("lo", address, Scope::Global).expect("an address");
    (namespace, tempfile::tempdir().expect("a directory"))
}

#[test]
fn a_clean_machine_gets_ticks_and_exit_code_0() {
    lab::test(|| {
        let (namespace, data) = machine();
        let dir = data.path().to_str().expect("a path in UTF-8");
        let said = crate::maitred(&namespace, &["check", "--data-dir", dir]);
        assert_eq!((said.code, said.err.as_str()), (Some(0), ""), "{}", said.out);
        assert!(!said.out.contains('✗'), "{}", said.out);
        for line in [
            "✓ nftables: the kernel takes all kinds of rules, IPv4",
            "✓ proxies: nobody else serves Services here",
            "✓ port: TCP 127.0.0.1:6443 for the API is free",
            "✓ port: UDP 192.0.2.1:53 for DNS is free",
            &format!("✓ data-dir: {dir} can be written to"),
        ] {
            assert!(said.out.contains(line), "{line} is not in\n{}", said.out);
        }
    });
}

#[test]
fn what_is_in_the_way_is_marked_with_its_remedy_and_makes_exit_code_1() {
    lab::test(|| {
        let (namespace, data) = machine();
        let table = Table { family: TableFamily::Ip, name: "kube-proxy".to_owned() };
        namespace.run(|| add_foreign_table(&table, &[])).expect("it is entered").expect("a table");
        let dir = data.path().to_str().expect("a path in UTF-8");
        let said = crate::maitred(&namespace, &["check", "--data-dir", dir]);
        assert_eq!(said.code, Some(1), "{}", said.out);
        let expected =
            "✗ proxies: rules of kube-proxy are at work (table ip kube-proxy)\n    → stop kube-proxy on this node";
        assert!(said.out.contains(expected), "{}", said.out);
        assert_eq!(said.out.matches('✗').count(), 1, "{}", said.out);

        let tolerated = crate::maitred(&namespace, &["check", "--data-dir", dir, "--tolerate", "proxies"]);
        assert_eq!(tolerated.code, Some(0), "{}", tolerated.out);
        assert!(tolerated.out.contains("! proxies: rules of kube-proxy"), "{}", tolerated.out);
    });
}

#[test]
fn an_address_that_is_not_the_machines_is_to_be_named_otherwise() {
    lab::test(|| {
        let (namespace, data) = machine();
        let dir = data.path().to_str().expect("a path in UTF-8");
        let said = crate::maitred(&namespace, &["check", "--data-dir", dir, "--node-ip=203.0.113.4"]);
        let expected = "✗ port: UDP 203.0.113.4:53 for DNS: this machine has no such address\n    → name an address of \
                        this machine by --node-ip";
        assert!(said.out.contains(expected), "{}", said.out);
    });
}

#[test]
fn programs_get_json_and_nothing_else() {
    lab::test(|| {
        let (namespace, data) = machine();
        let dir = data.path().to_str().expect("a path in UTF-8");
        let said = crate::maitred(&namespace, &["check", "-o", "json", "--data-dir", dir, "--dns-port", "5353"]);
        let found: Value = serde_json::from_str(&said.out).expect("one JSON value");
        assert_eq!(found["ok"], Value::Bool(true), "{found:#}");
        let checks = found["checks"].as_array().expect("a list");
        let dns =
            checks.iter().filter(|check| check["said"].as_str().is_some_and(|said| said.contains(":5353 for DNS")));
        assert_eq!(dns.count(), 2, "{found:#}");
        assert!(checks.iter().all(|check| check["verdict"] != "bad"), "{found:#}");
    });
}

#[test]
fn an_ordinary_user_hears_what_is_missing_and_what_could_not_be_judged() {
    const NOBODY: u32 = 65_534;
    lab::test(|| {
        let (namespace, data) = machine();
        let mut command = Command::new(env!("CARGO_BIN_EXE_maitred"));
        command.args(["check", "--data-dir"]).arg(data.path()).uid(NOBODY).gid(NOBODY);
        let tried = namespace.run(|| command.output()).expect("it is entered");
        let output = match tried {
            Ok(output) => output,
            Err(error) => {
                eprintln!("SKIP: an_ordinary_user_hears_what_is_missing: this user cannot be another one: {error}");
                return;
            }
        };
        let said = String::from_utf8(output.stdout).expect("UTF-8");
        assert_eq!(output.status.code(), Some(1), "{said}");
        for line in [
            "✗ privileges: missing: CAP_NET_ADMIN (to write rules, links and routes) and CAP_SYS_ADMIN (to make namespaces)",
            "! nftables: not judged: cannot make a network namespace",
            "! conntrack: not judged: cannot make a network namespace",
            "! forward: not judged: nftables cannot be read",
            "✓ service-range: 10.96.0.0/16 meets no address and no route",
            "✗ data-dir: cannot write in ",
        ] {
            assert!(said.contains(line), "{line} is not in\n{said}");
        }
    });
}

#[test]
fn who_may_not_program_the_kernel_hears_what_it_takes() {
    const NOBODY: u32 = 65_534;
    lab::test(|| {
        let (namespace, _data) = machine();
        for role in ["proxy", "plan"] {
            let mut command = Command::new(env!("CARGO_BIN_EXE_maitred"));
            command.args([role, "--kubeconfig", "/nothing", "--node-name", "n"]).uid(NOBODY).gid(NOBODY);
            let output = match namespace.run(|| command.output()).expect("it is entered") {
                Ok(output) => output,
                Err(error) => {
                    eprintln!("SKIP: who_may_not_program_the_kernel: this user cannot be another one: {error}");
                    return;
                }
            };
            let said = String::from_utf8(output.stderr).expect("UTF-8");
            assert_eq!(output.status.code(), Some(1), "{said}");
            let sentence = "nftables cannot be reached: the kernel needs nf_tables, the process CAP_NET_ADMIN";
            assert!(said.contains(sentence), "{role}: {said}");
        }
    });
}

/// What a kernel without nf_tables answers, told with the way out: by `check`, and by each role that needs it.
#[test]
fn a_kernel_without_nftables_is_named_with_the_way_out() {
    const WHY: &str = "nftables cannot be reached: the kernel needs nf_tables, the process CAP_NET_ADMIN: this kernel has no \
                       nf_tables: `modprobe nf_tables`, or use a kernel that has it (CONFIG_NF_TABLES): Protocol not \
                       supported (os error 93)";
    lab::test(|| {
        let (namespace, data) = machine();
        let dir = data.path().join("data");
        let dir = dir.to_str().expect("a path in UTF-8");
        let said = crate::without_nftables(&namespace, &["check", "--data-dir", dir]);
        assert_eq!((said.code, said.err.as_str()), (Some(1), ""), "{}", said.out);
        let marked = format!("✗ nftables: IPv4: {WHY}\n    → use a kernel with nf_tables, ");
        assert!(said.out.contains(&marked), "{}", said.out);
        for name in ["proxies", "forward"] {
            let line = format!("! {name}: not judged: nftables cannot be read: this kernel has no nf_tables");
            assert!(said.out.contains(&line), "{}", said.out);
        }
        assert!(!said.out.contains("as root"), "rights help nobody here: {}", said.out);

        let [logs, run] = ["logs", "run"].map(|name| data.path().join(name));
        let [logs, run] = [&logs, &run].map(|path| path.to_str().expect("a path in UTF-8"));
        let said = crate::without_nftables(&namespace, &["up", "--data-dir", dir, "--log-dir", logs, "--run-dir", run]);
        assert_eq!(said.code, Some(1), "{said:?}");
        assert!([said.out, said.err].concat().contains(&marked), "up starts nothing");
        assert!(!std::path::Path::new(dir).exists(), "nothing was written");

        for role in ["proxy", "plan"] {
            let said = crate::without_nftables(&namespace, &[role, "--kubeconfig", "/nothing", "--node-name", "n"]);
            let expected = (Some(1), String::new(), format!("maitred: {WHY}\n"));
            assert_eq!((said.code, said.out, said.err), expected, "{role}");
        }
    });
}
