//! Nothing of a lab stays behind, and nothing of it ever shows on the host.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use lab::{Lab, LabConfig, Namespace};

/// What the network of the host (or of whoever runs the test) looks like.
fn own_network() -> (Vec<String>, usize) {
    let own = Namespace::current().unwrap();
    let links = own.links().links().unwrap();
    (links.into_iter().map(|link| link.name).collect(), own.links().routes().unwrap().len())
}

/// The network namespaces that any process or open file holds, as far as this user may look.
fn namespaces_held() -> BTreeSet<String> {
    let processes = std::fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().bytes().all(|byte| byte.is_ascii_digit()));
    processes
        .flat_map(|process| {
            let descriptors = std::fs::read_dir(process.path().join("fd")).into_iter().flatten().flatten();
            let mut paths: Vec<PathBuf> = descriptors.map(|entry| entry.path()).collect();
            paths.push(process.path().join("ns/net"));
            paths
        })
        .filter_map(|path| std::fs::read_link(path).ok())
        .map(|target| target.to_string_lossy().into_owned())
        .filter(|target| target.starts_with("net:["))
        .collect()
}

fn is_held(inode: u64) -> bool {
    namespaces_held().contains(&format!("net:[{inode}]"))
}

fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let started = Instant::now();
    while !condition() {
        assert!(started.elapsed() < Duration::from_secs(20), "not {what} in time");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Nodes and a Pod with programs, one of which has left an orphan behind; the inodes of their namespaces.
fn busy_lab() -> (Lab, Vec<lab::Program>, Vec<u64>) {
    let lab = Lab::new(LabConfig { nodes: 2, ..LabConfig::default() }).unwrap();
    let pod = lab.add_pod(0, "pod", lab.pod_ips(0, 0)).unwrap();
    let mut programs = Vec::new();
    for host in [lab.node(0), lab.node(1), &pod] {
        let mut shell = Command::new("sh");
        shell.args(["-c", "setsid sleep 1000 & exec sleep 1000"]);
        programs.push(host.spawn(shell).unwrap());
    }
    let inodes = [lab.node(0), lab.node(1), lab.control(), lab.client(), &pod]
        .iter()
        .map(|host| host.namespace().inode().unwrap())
        .collect();
    (lab, programs, inodes)
}

#[test]
fn a_lab_never_shows_on_the_host_and_is_gone_when_dropped() {
    lab::test(|| {
        let before = own_network();
        let (lab, programs, inodes) = busy_lab();
        assert_eq!(own_network(), before);
        for inode in &inodes {
            assert!(is_held(*inode));
        }
        drop(programs);
        drop(lab);
        for inode in inodes {
            wait_until("gone", || !is_held(inode));
        }
        assert_eq!(own_network(), before);
    });
}

#[test]
fn nothing_in_a_lab_has_a_route_or_a_link_to_the_host() {
    lab::test(|| {
        let (lab, _programs, _) = busy_lab();
        let gateway = ["172.31.0.1", "fd00:31::1", "169.254.1.1", "fe80::1"].map(|ip| ip.parse().unwrap());
        let pod = lab.pod("pod").unwrap();
        for host in lab.nodes().iter().chain([lab.control(), lab.client(), &pod]) {
            for route in host.links().routes().unwrap().iter().filter(|route| route.to.prefix_len() == 0) {
                assert!(gateway.contains(&route.via.unwrap()), "{} has {route:?}", host.name());
            }
            let links = host.links().links().unwrap();
            let strange = links.iter().find(|link| !["lo", "eth0", "pod0-2"].contains(&link.name.as_str()));
            assert_eq!(strange, None, "{}", host.name());
        }
    });
}

/// The process that the next test kills: it holds a busy lab until then.
const VICTIM: &str = "MAITRED_LAB_VICTIM";

#[test]
fn a_lab_whose_process_is_killed_leaves_nothing() {
    lab::test(|| {
        if std::env::var_os(VICTIM).is_some() {
            let (_lab, _programs, inodes) = busy_lab();
            println!("holding {}", inodes.iter().map(u64::to_string).collect::<Vec<_>>().join(" "));
            loop {
                std::thread::park();
            }
        }
        let mut command = Command::new("/proc/self/exe");
        command.args(["--exact", "a_lab_whose_process_is_killed_leaves_nothing", "--nocapture"]);
        let mut victim = command.env(VICTIM, "1").stdout(Stdio::piped()).spawn().unwrap();
        let output = std::io::BufReader::new(victim.stdout.take().unwrap());
        let inodes: Vec<u64> = std::io::BufRead::lines(output)
            .map(Result::unwrap)
            .find_map(|line| {
                Some(line.split_once("holding ")?.1.split(' ').map(|text| text.parse().unwrap()).collect())
            })
            .expect("the victim says what it holds");
        for inode in &inodes {
            assert!(is_held(*inode));
        }
        victim.kill().unwrap();
        victim.wait().unwrap();
        for inode in inodes {
            wait_until("gone", || !is_held(inode));
        }
    });
}

#[test]
fn an_ordinary_user_has_a_lab_too() {
    use std::os::unix::process::CommandExt;
    const NOBODY: u32 = 65534;
    if !kernel::process::is_root() {
        // Then the other tests show it already.
        return;
    }
    // The binary may lie where others can't reach it.
    let place = tempfile::Builder::new().prefix("lab-as-nobody").tempdir().unwrap();
    let binary = place.path().join("tests");
    std::fs::copy("/proc/self/exe", &binary).unwrap();
    for path in [place.path(), &binary] {
        std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    }
    let mut command = Command::new(&binary);
    command.args(["--exact", "a_lab_never_shows_on_the_host_and_is_gone_when_dropped", "--nocapture"]);
    command.uid(NOBODY).gid(NOBODY).current_dir("/");
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr) + String::from_utf8_lossy(&output.stdout);
    eprintln!("{text}");
    assert!(output.status.success());
    // Either it ran inside user namespaces, or it said why not.
    assert!(text.contains(" ran inside user namespaces") || text.contains("SKIP:"));
}
