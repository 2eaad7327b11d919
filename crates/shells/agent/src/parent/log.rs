//! A container's output in files, in the format of the container runtime interface:
//! `TIME STREAM F LINE`, with `P` for a line that goes on.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;

/// A file is closed and numbered when it is larger.
const FILE_BYTES_MAX: u64 = 10 << 20;
/// So many files of one attempt are kept.
const FILES: u32 = 5;
/// Longer lines are cut into pieces.
const LINE_BYTES_MAX: u64 = 16 << 10;

/// The file of one attempt of a container.
#[derive(Debug)]
pub(crate) struct Log {
    path: PathBuf,
    file: File,
    bytes: u64,
    bytes_max: u64,
}

impl Log {
    /// Opens `DIR/CONTAINER/ATTEMPT.log`, and removes the files of all attempts but the one before.
    pub(crate) fn open(dir: &std::path::Path, container: &str, attempt: u32) -> io::Result<Log> {
        let dir = dir.join(container);
        fs::create_dir_all(&dir)?;
        for old in (0..attempt.saturating_sub(1)).rev() {
            let path = dir.join(format!("{old}.log"));
            if fs::remove_file(&path).is_err() {
                break;
            }
            (1..FILES).for_each(|number| drop(fs::remove_file(numbered(&path, number))));
        }
        Log::at(dir.join(format!("{attempt}.log")), FILE_BYTES_MAX)
    }

    fn at(path: PathBuf, bytes_max: u64) -> io::Result<Log> {
        let file = OpenOptions::new().create(true).append(true).open(&path)?;
        let bytes = file.metadata()?.len();
        Ok(Log { path, file, bytes, bytes_max })
    }

    fn write(&mut self, stream: &str, tag: char, line: &[u8], now: Timestamp) -> io::Result<()> {
        if self.bytes > self.bytes_max {
            self.rotate()?;
        }
        let mut entry = format!("{now:.9} {stream} {tag} ").into_bytes();
        entry.extend_from_slice(line);
        entry.push(b'\n');
        self.bytes += entry.len() as u64;
        self.file.write_all(&entry)
    }

    fn rotate(&mut self) -> io::Result<()> {
        for number in (1..FILES - 1).rev() {
            let _ = fs::rename(numbered(&self.path, number), numbered(&self.path, number + 1));
        }
        fs::rename(&self.path, numbered(&self.path, 1))?;
        *self = Log::at(self.path.clone(), self.bytes_max)?;
        Ok(())
    }
}

fn numbered(path: &std::path::Path, number: u32) -> PathBuf {
    PathBuf::from(format!("{}.{number}", path.display()))
}

/// Copies a stream to the log until nobody can write to it any more. What cannot be written is lost, so that a full disk
/// never stops a container.
pub(crate) fn copy(from: impl Read, stream: &str, log: &Arc<Mutex<Log>>) {
    let mut from = BufReader::new(from);
    let mut line = Vec::new();
    loop {
        line.clear();
        match (&mut from).take(LINE_BYTES_MAX).read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        let tag = if line.pop_if(|last| *last == b'\n').is_some() { 'F' } else { 'P' };
        let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = log.write(stream, tag, &line, Timestamp::now());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_kept_with_time_and_stream_in_files_of_limited_size_and_number() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("0.log");
        let log = Arc::new(Mutex::new(Log::at(path.clone(), 100).expect("a file")));
        copy(&b"hello\nand\nunfinished"[..], "stdout", &log);
        let text = fs::read_to_string(&path).expect("the file");
        let entries: Vec<&str> = text.lines().map(|line| line.split_once(' ').expect("a time").1).collect();
        assert_eq!(entries, ["stdout F hello", "stdout F and", "stdout P unfinished"]);
        let time = text.split(' ').next().expect("a time");
        assert!(time.parse::<Timestamp>().is_ok() && time.len() == "2030-01-01T00:00:00.000000000Z".len(), "{time}");

        copy("x\n".repeat(100).as_bytes(), "stderr", &log);
        let mut names: Vec<String> = fs::read_dir(dir.path())
            .expect("files")
            .map(|e| e.expect("a file").file_name().into_string().unwrap())
            .collect();
        names.sort();
        assert_eq!(names, ["0.log", "0.log.1", "0.log.2", "0.log.3", "0.log.4"]);
    }

    #[test]
    fn the_logs_of_this_attempt_and_the_last_are_kept() {
        let dir = tempfile::tempdir().expect("a directory");
        (0..4).for_each(|attempt| drop(Log::open(dir.path(), "web", attempt).expect("a file")));
        let exists = |attempt: u32| dir.path().join(format!("web/{attempt}.log")).exists();
        assert_eq!([0, 1, 2, 3].map(exists), [false, false, true, true]);
    }
}
