//! The side of those who ask.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use crate::seat::{connect, is_nobody, name_of};
use crate::{ControlError, Request};

/// How long an answer may take; a bit longer than the process gives itself.
const PATIENCE: Duration = Duration::from_secs(25);
/// The longest answer in bytes.
const ANSWER_MAX: u64 = 256 << 20;

/// Asks the process that holds the control socket at `path`. Blocks; not to be called from async code.
pub fn ask(path: &Path, request: &Request) -> Result<Value, ControlError> {
    let name = name_of(path);
    let failed = |source| ControlError::Exchange { name: name.clone(), path: path.to_owned(), source };
    let stream = connect(path).map_err(|source| match is_nobody(&source) {
        true => ControlError::NotRunning { name: name.clone(), path: path.to_owned() },
        false => failed(source),
    })?;
    let line = exchange(stream, request).map_err(failed)?;
    let answer: Value =
        serde_json::from_slice(&line).map_err(|source| ControlError::Answer { name: name.clone(), source })?;
    match answer.get("error").and_then(Value::as_str) {
        Some(reason) => Err(ControlError::Refused { name, reason: reason.to_owned() }),
        None => Ok(answer),
    }
}

fn exchange(mut stream: UnixStream, request: &Request) -> io::Result<Vec<u8>> {
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut line = serde_json::to_vec(request)?;
    line.push(b'\n');
    // Who is refused before being heard still finds the reason to read.
    let sent = stream.write_all(&line);
    let mut answer = Vec::new();
    BufReader::new(stream.take(ANSWER_MAX)).read_until(b'\n', &mut answer)?;
    match answer.last() {
        Some(b'\n') => Ok(answer),
        _ => Err(sent.err().unwrap_or_else(|| io::ErrorKind::UnexpectedEof.into())),
    }
}
