//! A real server as a process of its own, and a real kubectl against it.

use std::io::{BufRead, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;

use tempfile::TempDir;

/// `maitred server` on a free port of loopback, with a data directory of its own. Ends with the test.
pub struct Server {
    process: Child,
    directory: TempDir,
}

impl Server {
    /// Starts a server and waits until it serves.
    pub fn start() -> Server {
        Server::start_in(tempfile::tempdir().expect("a data directory"), &[])
    }

    /// Starts a server on an existing data directory.
    pub fn start_in(directory: TempDir, options: &[&str]) -> Server {
        let mut process = Command::new(env!("CARGO_BIN_EXE_maitred"))
            .args(["server", "--listen", "127.0.0.1:0", "--data-dir"])
            .arg(directory.path())
            .args(options)
            .stderr(Stdio::piped())
            .stdin(Stdio::null())
            .spawn()
            .expect("the binary runs");
        let mut errors = BufReader::new(process.stderr.take().expect("it is piped"));
        let mut said = String::new();
        while !said.contains("serving") {
            let length = errors.read_line(&mut said).expect("the server's errors are text");
            assert!(length > 0, "the server ended: {said}");
        }
        // Whatever else it says belongs to the test's output, and must not fill the pipe.
        std::thread::spawn(move || std::io::copy(&mut errors, &mut std::io::stderr()));
        Server { process, directory }
    }

    /// The administrator's kubeconfig.
    pub fn kubeconfig(&self) -> PathBuf {
        self.directory.path().join("admin.kubeconfig")
    }

    /// Kills the server at once, and hands over its data directory.
    pub fn kill(mut self) -> TempDir {
        self.process.kill().expect("it runs");
        self.process.wait().expect("it ends");
        std::mem::replace(&mut self.directory, tempfile::tempdir().expect("a directory"))
    }

    /// Runs kubectl with these words, and `input` on its standard input.
    pub fn kubectl_with(&self, words: &str, input: &str) -> Said {
        let kubectl = kubectl().expect("the caller asked `kubectl()` first");
        let home = self.directory.path();
        let mut child = Command::new(kubectl)
            .args(words.split_whitespace())
            .env("KUBECONFIG", self.kubeconfig())
            .env("HOME", home)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("kubectl runs");
        let mut pipe = child.stdin.take().expect("it is piped");
        let input = input.to_owned();
        let feeder = std::thread::spawn(move || drop(pipe.write_all(input.as_bytes())));
        let output = child.wait_with_output().expect("kubectl ends");
        feeder.join().expect("the feeder ends");
        Said::from(output)
    }

    /// Runs kubectl with these words.
    pub fn kubectl(&self, words: &str) -> Said {
        self.kubectl_with(words, "")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// What a program said.
#[derive(Debug, PartialEq, Eq)]
pub struct Said {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl From<Output> for Said {
    fn from(output: Output) -> Said {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
        Said { code: output.status.code().unwrap_or(-1), out: text(output.stdout), err: text(output.stderr) }
    }
}

impl Said {
    /// Asserts success and the exact standard output.
    #[track_caller]
    pub fn ok(&self, out: &str) -> &Said {
        assert_eq!((self.code, self.out.as_str()), (0, out), "standard error: {}", self.err);
        self
    }

    /// Asserts exit code 1 and the exact standard error.
    #[track_caller]
    pub fn refused(&self, err: &str) {
        assert_eq!((self.code, self.err.as_str()), (1, err), "standard output: {}", self.out);
    }
}

/// A kubectl of version 1.30 or newer, from `MAITRED_KUBECTL` or the path. Without one, says what is not checked.
pub fn kubectl() -> Option<&'static Path> {
    static FOUND: OnceLock<Option<PathBuf>> = OnceLock::new();
    let found = FOUND.get_or_init(|| {
        let named = std::env::var_os("MAITRED_KUBECTL").map(PathBuf::from);
        let path = std::env::var_os("PATH").unwrap_or_default();
        let places = std::env::split_paths(&path).map(|place| place.join("kubectl")).collect::<Vec<_>>();
        named.into_iter().chain(places).find(|program| minor_version(program).is_some_and(|minor| minor >= 30))
    });
    if found.is_none() {
        println!("SKIP: no kubectl of version 1.30 or newer; what it sees of the API was not checked");
    }
    found.as_deref()
}

fn minor_version(kubectl: &Path) -> Option<u32> {
    let output = Command::new(kubectl).args(["version", "--client", "-o", "json"]).output().ok()?;
    let version: serde_json::Value = serde_json::from_slice(&output.stdout).ok()?;
    version["clientVersion"]["minor"].as_str()?.trim_end_matches('+').parse().ok()
}
