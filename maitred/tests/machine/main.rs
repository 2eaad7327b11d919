//! What maitred finds on a machine (`check`), what it takes away again (`cleanup`), and how systemd runs it (`deploy/`).

mod check;
mod cleanup;
mod seccomp;
mod units;

use std::process::{Command, Output};

use lab::Namespace;

/// What a program said, and how it ended.
#[derive(Debug)]
struct Said {
    out: String,
    err: String,
    code: Option<i32>,
}

/// Runs maitred with these words in a namespace.
fn maitred(namespace: &Namespace, words: &[&str]) -> Said {
    run(namespace, Command::new(env!("CARGO_BIN_EXE_maitred")).args(words))
}

/// The same on a kernel without nftables.
fn without_nftables(namespace: &Namespace, words: &[&str]) -> Said {
    let mut command = Command::new(env!("CARGO_BIN_EXE_maitred"));
    command.args(words);
    let run = || seccomp::without_nfnetlink().and_then(|()| command.output());
    Said::from(namespace.run(run).expect("the namespace is entered").expect("the filter is taken and the binary runs"))
}

fn run(namespace: &Namespace, command: &mut Command) -> Said {
    Said::from(namespace.run(|| command.output()).expect("the namespace is entered").expect("the binary runs"))
}

impl From<Output> for Said {
    fn from(output: Output) -> Said {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("it speaks UTF-8");
        Said { out: text(output.stdout), err: text(output.stderr), code: output.status.code() }
    }
}
