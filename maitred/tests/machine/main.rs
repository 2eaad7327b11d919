//! What maitred finds on a machine (`check`), what it takes away again (`cleanup`), and how systemd runs it (`deploy/`).

mod check;
mod cleanup;
mod units;

use std::process::Command;

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

fn run(namespace: &Namespace, command: &mut Command) -> Said {
    let output = namespace.run(|| command.output()).expect("the namespace is entered").expect("the binary runs");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("it speaks UTF-8");
    Said { out: text(output.stdout), err: text(output.stderr), code: output.status.code() }
}
