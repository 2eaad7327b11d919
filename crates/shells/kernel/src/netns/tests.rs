use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};

use super::*;
use crate::process::can_make_namespaces;
use crate::sandbox::{Sandbox, SandboxConfig};

/// False, with the reason printed, where namespaces cannot be made.
fn possible() -> bool {
    match can_make_namespaces() {
        Ok(()) => true,
        Err(error) => {
            eprintln!("SKIP: no network namespaces here: {error:?}");
            false
        }
    }
}

fn shell(script: &str) -> Command {
    let mut command = Command::new("sh");
    command.arg("-c").arg(script).stdout(Stdio::piped());
    command
}

fn output(child: Child) -> String {
    String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap()
}

#[test]
fn a_new_namespace_holds_only_a_loopback_that_is_up() {
    if !possible() {
        return;
    }
    let namespace = Namespace::create().unwrap();
    let links = namespace.links().links().unwrap();
    assert_eq!(links.len(), 1);
    assert_eq!((links[0].name.as_str(), links[0].is_up), ("lo", true));
    assert_eq!(namespace.links().routes().unwrap(), []);
}

#[test]
fn a_socket_stays_where_it_was_made() {
    if !possible() {
        return;
    }
    let (here, there) = (Namespace::create().unwrap(), Namespace::create().unwrap());
    let listener = here.run(|| TcpListener::bind("127.0.0.1:0").unwrap()).unwrap();
    let address = listener.local_addr().unwrap();
    assert!(here.run(|| TcpStream::connect(address)).unwrap().is_ok());
    assert!(there.run(|| TcpStream::connect(address)).unwrap().is_err());
}

#[test]
fn a_program_and_a_path_lead_into_the_same_namespace() {
    if !possible() {
        return;
    }
    let namespace = Namespace::create().unwrap();
    let inode = namespace.inode().unwrap();
    let child = namespace.spawn(shell("readlink /proc/self/ns/net")).unwrap();
    assert_eq!(output(child), format!("net:[{inode}]\n"));
    assert_eq!(Namespace::open(&namespace.path()).unwrap().inode().unwrap(), inode);
    assert_ne!(Namespace::current().unwrap().inode().unwrap(), inode);
}

#[test]
fn a_runtime_opens_its_sockets_inside() {
    if !possible() {
        return;
    }
    let namespace = Namespace::create().unwrap();
    let listener = namespace.run(|| TcpListener::bind("127.0.0.1:0").unwrap()).unwrap();
    let address = listener.local_addr().unwrap();
    let runtime = namespace.runtime().unwrap();
    let connected = runtime.block_on(async move { tokio::net::TcpStream::connect(address).await.is_ok() });
    assert!(connected);
}

#[test]
fn a_setting_belongs_to_one_namespace_and_a_wrong_one_is_named() {
    if !possible() {
        return;
    }
    let (one, other) = (Namespace::create().unwrap(), Namespace::create().unwrap());
    one.set_sysctls(&[("net/ipv4/ip_forward", "1")]).unwrap();
    let read = |namespace: &Namespace| {
        namespace.run(|| std::fs::read_to_string("/proc/sys/net/ipv4/ip_forward").unwrap()).unwrap()
    };
    assert_eq!((read(&one).as_str(), read(&other).as_str()), ("1\n", "0\n"));
    let error = one.set_sysctls(&[("net/ipv4/no_such_thing", "1")]).unwrap_err();
    assert_eq!(error.to_string(), "cannot set net/ipv4/no_such_thing to 1");
}

#[test]
fn a_sandbox_has_its_own_run_directory_processes_and_resolver() {
    if !possible() {
        return;
    }
    let namespace = Namespace::create().unwrap();
    let config = SandboxConfig { resolv_conf: Some("nameserver 10.96.0.10\n".to_owned()) };
    let sandbox = Sandbox::start(&namespace, &config).unwrap();
    let script = "readlink /proc/self/ns/net; cat /etc/resolv.conf; echo here > /run/proof; cat /proc/1/comm";
    let inode = namespace.inode().unwrap();
    assert_eq!(
        output(sandbox.spawn(shell(script)).unwrap()),
        format!("net:[{inode}]\nnameserver 10.96.0.10\nsandbox-init\n")
    );
    assert_eq!(output(sandbox.spawn(shell("cat /run/proof")).unwrap()), "here\n");
    assert_eq!(std::fs::read_to_string(sandbox.root().join("run/proof")).unwrap(), "here\n");
    assert!(!Path::new("/run/proof").exists());
}

#[test]
fn orphans_end_with_their_sandbox() {
    if !possible() {
        return;
    }
    let namespace = Namespace::create().unwrap();
    let sandbox = Sandbox::start(&namespace, &SandboxConfig::default()).unwrap();
    // The shell ends at once and leaves a process of another session behind, which holds the pipe open.
    let child = sandbox.spawn(shell("setsid sleep 600 & echo started")).unwrap();
    drop(sandbox);
    // The pipe ends only when its last holder is gone.
    assert!(["started\n", ""].contains(&output(child).as_str()));
}
