//! A real server as a process of its own, and a real kubectl against it.

use std::io::{BufRead, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{OnceLock, mpsc};
use std::time::Duration;

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
            .arg("--run-dir")
            .arg(directory.path().join("run"))
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

    /// A server for tests that speak to it by kubectl; `None`, and a word about it, if there is no kubectl.
    pub fn for_kubectl() -> Option<Server> {
        kubectl().map(|_| Server::start())
    }

    /// kubectl with these arguments, as the administrator, in a home of its own.
    pub fn command<'a>(&self, words: impl IntoIterator<Item = &'a str>) -> Command {
        let mut command = Command::new(kubectl().expect("the caller asked `kubectl()` first"));
        command
            .args(words)
            .env("KUBECONFIG", self.kubeconfig())
            .env("HOME", self.directory.path())
            .env_remove("KUBE_EDITOR")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Runs kubectl with these words, and `input` on its standard input.
    pub fn kubectl_with(&self, words: &str, input: &str) -> Said {
        let mut child = self.command(words.split_whitespace()).stdin(Stdio::piped()).spawn().expect("kubectl runs");
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

    /// Runs `kubectl edit` with a sed script as the editor. What it leaves behind goes with the server.
    pub fn kubectl_edit(&self, words: &str, script: &str) -> Said {
        let mut command = self.command(words.split_whitespace());
        command.env("EDITOR", format!("sed -i -e {script}")).env("TMPDIR", self.directory.path());
        Said::from(command.output().expect("kubectl runs"))
    }

    /// Starts kubectl with these words and reads what it prints, line by line.
    pub fn following(&self, words: &str) -> Following {
        Following::start(self.command(words.split_whitespace()))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A kubectl that goes on printing. Ends with the test.
pub struct Following {
    process: Child,
    lines: mpsc::Receiver<String>,
}

impl Following {
    fn start(mut command: Command) -> Following {
        let mut process = command.spawn().expect("kubectl runs");
        let out = BufReader::new(process.stdout.take().expect("it is piped"));
        let (send, lines) = mpsc::channel();
        std::thread::spawn(move || out.lines().map_while(Result::ok).try_for_each(|line| send.send(line)));
        Following { process, lines }
    }

    /// The next line's words; fails the test if there is none within half a minute.
    #[track_caller]
    pub fn next(&self) -> Vec<String> {
        let line = self.lines.recv_timeout(Duration::from_secs(30)).expect("kubectl prints another line");
        line.split_whitespace().map(str::to_owned).collect()
    }

    /// The next line as it is, but for its age, which is `0s`; fails the test if there is none within half a minute.
    #[track_caller]
    pub fn line(&self) -> String {
        young(&self.lines.recv_timeout(Duration::from_secs(30)).expect("kubectl prints another line"))
    }

    /// Waits until the program ends by itself, and says what it said beyond the lines that were taken.
    #[track_caller]
    pub fn end(mut self) -> (i32, Vec<String>) {
        let code = self.process.wait().expect("it ends").code().unwrap_or(-1);
        (code, self.lines.iter().collect())
    }
}

impl Drop for Following {
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

    /// Asserts success and a table of these cells, laid out as kubectl does. Ages are `0s` in it, whatever they are.
    #[track_caller]
    pub fn table(&self, rows: &[&[&str]]) -> &Said {
        assert_eq!((self.code, young(&self.out)), (0, table(rows)), "standard error: {}", self.err);
        self
    }

    /// Asserts success and the exact standard output but for what differs each time: see [`timeless`].
    #[track_caller]
    pub fn timeless(&self, out: &str) -> &Said {
        assert_eq!((self.code, timeless(&self.out).as_str()), (0, out), "standard error: {}", self.err);
        self
    }

    /// Asserts success and what `describe` says, but for what differs each time: ages are `0s`, other times `*`.
    #[track_caller]
    pub fn described(&self, out: &str) -> &Said {
        assert_eq!((self.code, timeless(&young(&self.out)).as_str()), (0, out), "standard error: {}", self.err);
        self
    }

    /// Asserts exit code 1, the exact standard error, and that nothing was said to have been done.
    #[track_caller]
    pub fn refused(&self, err: &str) {
        self.partly_refused("", err);
    }

    /// Asserts exit code 1, and exactly what was done (standard output) and what was refused (standard error).
    #[track_caller]
    pub fn partly_refused(&self, out: &str, err: &str) {
        assert_eq!((self.code, self.out.as_str(), self.err.as_str()), (1, out, err));
    }
}

/// A table of these cells as kubectl lays it out: three blanks behind the widest cell of a column, which is six characters
/// wide at least, nothing behind the last.
pub fn table(rows: &[&[&str]]) -> String {
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
    let mut text = String::new();
    for row in rows {
        let (last, others) = row.split_last().expect("a row has cells");
        for (column, cell) in others.iter().enumerate() {
            text.push_str(&format!("{cell:width$}", width = (width(column) + 3).max(6)));
        }
        text.push_str(last);
        text.push('\n');
    }
    text
}

/// A table with every age of less than a hundred seconds as `0s`, of the same width.
fn young(table: &str) -> String {
    let is_age = |word: &str| {
        let digits = word.strip_suffix('s').unwrap_or_default();
        (1..=2).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit())
    };
    let line = |line: &str| {
        let words = line.split_inclusive(' ').map(|word| match word.trim_end() {
            age if is_age(age) && word.ends_with(' ') => format!("{:width$}", "0s", width = word.len()),
            age if is_age(age) => "0s".to_owned(),
            _ => word.to_owned(),
        });
        words.collect::<String>() + "\n"
    };
    table.lines().map(line).collect()
}

/// YAML, JSON or a description with `*` for times, uids and resource versions.
pub fn timeless(text: &str) -> String {
    let changing = ["creationTimestamp", "uid", "resourceVersion", "CreationTimestamp", "RenewTime"];
    let line = |line: &str| {
        let name = line.trim_start().trim_start_matches("- ").split(':').next().unwrap_or_default().trim_matches('"');
        match line.split_once(": ") {
            Some((start, end)) if changing.contains(&name) => {
                format!("{start}: *{}\n", if end.ends_with(',') { "," } else { "" })
            }
            _ => format!("{line}\n"),
        }
    };
    text.lines().map(line).collect()
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
        let test = std::thread::current();
        let name = test.name().unwrap_or("a test by kubectl");
        println!("SKIP: {name}: not checked, as there is no kubectl of version 1.30 or newer");
    }
    found.as_deref()
}

fn minor_version(kubectl: &Path) -> Option<u32> {
    let output = Command::new(kubectl).args(["version", "--client", "-o", "json"]).output().ok()?;
    let version: serde_json::Value = serde_json::from_slice(&output.stdout).ok()?;
    version["clientVersion"]["minor"].as_str()?.trim_end_matches('+').parse().ok()
}
