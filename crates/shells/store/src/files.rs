//! The file layer: the few file operations the store does, in one directory, behind a trait.
//!
//! [`Directory`] is the real one. `simulated::SimFiles`, which only tests have, loses power, fills up and breaks on demand.
//! What has not been synced may be lost, whole or in part and in any order: the bytes of a file until [`OpenFile::sync`],
//! its name until [`Files::sync_dir`].

use std::fmt;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::Error;

/// The files of one directory, by name.
pub trait Files: fmt::Debug + Send + Sync + 'static {
    /// What messages call the directory.
    fn place(&self) -> String;

    /// The names of all files.
    fn list(&self) -> io::Result<Vec<String>>;

    /// A file's length in bytes.
    fn length(&self, name: &str) -> io::Result<u64>;

    /// Bytes from an offset on; fewer than asked for only at the file's end.
    fn read(&self, name: &str, offset: u64, length: usize) -> io::Result<Vec<u8>>;

    /// Makes an empty file, or empties the one there is.
    fn create(&self, name: &str) -> io::Result<Box<dyn OpenFile>>;

    /// Opens a file for writing.
    fn open(&self, name: &str) -> io::Result<Box<dyn OpenFile>>;

    /// Gives a file another name, in one step; a file of that name is replaced.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Removes a file.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// Makes the names durable.
    fn sync_dir(&self) -> io::Result<()>;
}

/// A file open for writing.
pub trait OpenFile: fmt::Debug + Send {
    /// Writes all bytes at an offset; beyond the end the file grows.
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()>;

    /// Makes the bytes and the length durable (`fdatasync`).
    fn sync(&mut self) -> io::Result<()>;
}

/// A directory of the operating system, held by this process alone.
#[derive(Debug)]
pub struct Directory {
    path: PathBuf,
    /// Locked as long as it is open; the kernel lets go of it when the process dies.
    _lock: File,
}

impl Directory {
    /// The name of the lock file.
    pub const LOCK: &str = "lock";

    /// Makes the directory if it is missing, and locks it against other processes.
    pub fn open(path: &Path) -> Result<Directory, Error> {
        let unreadable = |what: String| Error::Unreadable(Arc::from(what));
        create_directory(path).map_err(|e| unreadable(format!("cannot create {}: {e}", path.display())))?;
        let name = path.join(Self::LOCK);
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(FILE_MODE)
            .open(&name)
            .map_err(|e| unreadable(format!("cannot open {}: {e}", name.display())))?;
        match lock.try_lock() {
            Ok(()) => Ok(Directory { path: path.to_owned(), _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(unreadable(format!(
                "another process holds {}: a store is for one process; stop the other one or choose another directory",
                name.display()
            ))),
            Err(TryLockError::Error(e)) => Err(unreadable(format!("cannot lock {}: {e}", name.display()))),
        }
    }
}

/// Secrets lie in it: nobody else reads it.
const DIRECTORY_MODE: u32 = 0o700;
const FILE_MODE: u32 = 0o600;

/// Makes a directory and those above it that are missing, and their names durable.
fn create_directory(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    let parent = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    create_directory(parent)?;
    match fs::DirBuilder::new().mode(DIRECTORY_MODE).create(path) {
        Err(e) if e.kind() != io::ErrorKind::AlreadyExists => return Err(e),
        _ => {}
    }
    File::open(parent)?.sync_all()
}

impl Files for Directory {
    fn place(&self) -> String {
        self.path.display().to_string()
    }

    fn list(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            // A name that isn't UTF-8 isn't one of ours.
            names.extend(entry?.file_name().into_string().ok());
        }
        Ok(names)
    }

    fn length(&self, name: &str) -> io::Result<u64> {
        Ok(fs::metadata(self.path.join(name))?.len())
    }

    fn read(&self, name: &str, offset: u64, length: usize) -> io::Result<Vec<u8>> {
        let file = File::open(self.path.join(name))?;
        let mut bytes = vec![0; length];
        let mut filled = 0;
        while filled < length {
            match file.read_at(&mut bytes[filled..], offset + filled as u64) {
                Ok(0) => break,
                Ok(n) => filled += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        bytes.truncate(filled);
        Ok(bytes)
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn OpenFile>> {
        let mut options = OpenOptions::new();
        options.create(true).truncate(true).write(true).mode(FILE_MODE);
        Ok(Box::new(options.open(self.path.join(name))?))
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn OpenFile>> {
        Ok(Box::new(OpenOptions::new().write(true).open(self.path.join(name))?))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.path.join(from), self.path.join(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.path.join(name))
    }

    fn sync_dir(&self) -> io::Result<()> {
        File::open(&self.path)?.sync_all()
    }
}

impl OpenFile for File {
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.write_all_at(bytes, offset)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.sync_data()
    }
}
