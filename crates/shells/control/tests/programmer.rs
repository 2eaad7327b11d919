//! Who programs a network namespace, in namespaces of their own.

use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};

use control::{ControlError, Found, Programmer, programmer};
use kernel::netns::Namespace;

fn in_namespace(test: impl FnOnce() + Send) {
    match Namespace::create() {
        Ok(namespace) => namespace.run(test).expect("the namespace can be entered"),
        Err(_) => println!("SKIP: no network namespaces, so nobody can program one"),
    }
}

#[test]
fn a_namespace_has_one_programmer_who_is_known_by_its_number() {
    in_namespace(|| {
        assert_eq!(programmer().expect("an answer"), None);
        let first = Programmer::claim().expect("the first");
        let found = programmer().expect("an answer").expect("it is there");
        assert!(found.may_program);
        assert_eq!(found.pid, Some(std::process::id()));
        let second = Programmer::claim().expect_err("the second");
        assert!(matches!(second, ControlError::Programmed { pid } if pid == Some(std::process::id())), "{second:?}");
        let text = format!(
            "another maitred (pid {}) keeps the Service rules of this machine: stop it first",
            std::process::id()
        );
        assert_eq!(second.to_string(), text);
        drop(first);
        Programmer::claim().expect("the first has gone");
    });
}

#[test]
fn another_namespace_has_another_one() {
    in_namespace(|| {
        let _first = Programmer::claim().expect("the first");
        in_namespace(|| drop(Programmer::claim().expect("this namespace's")));
    });
}

#[test]
fn who_is_just_going_is_waited_for() {
    in_namespace(|| {
        let first = Programmer::claim().expect("the first");
        let going = std::thread::spawn(move || {
            std::thread::sleep(std::time::Duration::from_millis(200));
            drop(first);
        });
        Programmer::claim().expect("the first has gone");
        going.join().expect("no panic");
    });
}

#[test]
fn a_full_queue_keeps_nobody_waiting() {
    in_namespace(|| {
        let name = SocketAddr::from_abstract_name(b"maitred/programmer").expect("a name");
        let _there = UnixListener::bind_addr(&name).expect("bound");
        let found = (0..6000)
            .map(|_| programmer().expect("an answer"))
            .find(|found| *found == Some(Found { pid: None, uid: 0, may_program: true }));
        assert!(found.is_some(), "the queue was never full");
    });
}
