//! The systemd units: systemd understands them, and maitred understands what they call it with.

use std::path::{Path, PathBuf};
use std::process::Command;

const BINARY: &str = "/usr/local/bin/maitred";

/// The units, each with its text.
fn units() -> Vec<(PathBuf, String)> {
    let deploy = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy");
    let entries = std::fs::read_dir(deploy).expect("the directory of the units").flatten().map(|entry| entry.path());
    let units = entries.filter(|path| path.extension().is_some_and(|extension| extension == "service"));
    units.map(|path| (path.clone(), std::fs::read_to_string(&path).expect("a unit"))).collect()
}

#[test]
fn each_role_has_a_unit_whose_command_line_maitred_understands() {
    let units = units();
    let mut roles: Vec<String> = Vec::new();
    for (path, text) in &units {
        let line = text.lines().find_map(|line| line.strip_prefix("ExecStart=")).expect("a command");
        // The host's name as systemd puts it in.
        let line = line.replace("%H", "Host-1");
        let words: Vec<&str> = line.split(' ').filter(|word| *word != "$OPTIONS").collect();
        let [BINARY, role, ..] = words[..] else { panic!("{}: {line}", path.display()) };
        // What stands before --help is parsed first.
        let said =
            Command::new(env!("CARGO_BIN_EXE_maitred")).args(&words[1..]).arg("--help").output().expect("it runs");
        assert!(said.status.success(), "{}: {line}: {}", path.display(), String::from_utf8_lossy(&said.stderr));
        assert!(path.ends_with(format!("maitred-{role}.service")), "{} runs {role}", path.display());
        roles.push(role.to_owned());
    }
    roles.sort();
    assert_eq!(roles, ["agent", "dns", "proxy", "server", "up"]);
}

#[test]
fn systemd_understands_each_unit() {
    if Command::new("systemd-analyze").arg("--version").output().is_err() {
        eprintln!("SKIP: systemd_understands_each_unit: systemd-analyze is not installed");
        return;
    }
    let place = tempfile::tempdir().expect("a directory");
    // The program must be there for systemd to be content.
    let copies = units().into_iter().map(|(path, text)| {
        let copy = place.path().join(path.file_name().expect("a file"));
        std::fs::write(&copy, text.replace(BINARY, env!("CARGO_BIN_EXE_maitred"))).expect("a copy");
        copy
    });
    let said = Command::new("systemd-analyze").arg("verify").args(copies).output().expect("it runs");
    let complaints = String::from_utf8_lossy(&said.stderr).into_owned();
    let ours: Vec<&str> = complaints.lines().filter(|line| line.contains("maitred-")).collect();
    assert!(said.status.success() && ours.is_empty(), "{complaints}");
}
