//! Who programs a network namespace, in namespaces of their own.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use control::{ControlError, Found, Programmer, programmer};
use kernel::netns::Namespace;
use socket2::{Domain, SockAddr, Socket, Type};

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

/// Binds the name as a stranger might.
fn stranger(listens: bool) -> Socket {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None).expect("a socket");
    let name = SockAddr::unix(OsStr::from_bytes(b"\0maitred/programmer")).expect("a name");
    socket.bind(&name).expect("bound");
    if listens {
        socket.listen(0).expect("it listens");
    }
    socket
}

#[test]
fn a_name_at_which_nobody_listens_keeps_nobody_out() {
    in_namespace(|| {
        let _stranger = stranger(false);
        assert_eq!(programmer().expect("an answer"), None);
        assert!(!Programmer::claim().expect("it goes on").is_known());
    });
}

#[test]
fn a_stranger_whose_queue_is_full_keeps_nobody_out() {
    in_namespace(|| {
        let _stranger = stranger(true);
        let mut asked = None;
        for _ in 0..3 {
            asked = programmer().expect("an answer");
        }
        assert_eq!(asked, Some(Found { pid: None, may_program: false }));
        assert!(!Programmer::claim().expect("it goes on").is_known());
    });
}

#[test]
fn whoever_asks_often_is_always_told() {
    in_namespace(|| {
        let first = Programmer::claim().expect("the first");
        assert!(first.is_known());
        let mut told = 0;
        for _ in 0..20_000 {
            let found = programmer().expect("an answer").expect("it is there");
            told += usize::from(found.pid == Some(std::process::id()));
        }
        // Who asks faster than it is let go may once meet a full queue.
        assert!(told > 19_000, "{told}");
        drop(first);
        assert_eq!(programmer().expect("an answer"), None);
    });
}
