//! Who sits at a control socket: the one living process that listens on it, or nobody.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use socket2::{Domain, SockAddr, Socket, Type};

use crate::ControlError;

const SUFFIX: &str = ".sock";
/// Held while a socket is taken or given up, so that two processes that start at once don't replace each other's.
const LOCK: &str = ".lock";
/// A process that doesn't accept for so long is there, but doesn't listen any more.
const PATIENCE: Duration = Duration::from_secs(2);

/// A socket file and who holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seat {
    /// The role, from the file's name.
    pub name: String,
    /// The socket.
    pub path: PathBuf,
    /// The living process that holds it; none if it is dead.
    pub holder: Option<Holder>,
}

/// A living process that holds a control socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// Its role: `agent`, `server`, …
    pub name: String,
    /// Its number, where it can be seen from here.
    pub pid: Option<u32>,
}

impl std::fmt::Display for Holder {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "maitred {}", self.name)?;
        self.pid.map_or(Ok(()), |pid| write!(out, " (pid {pid})"))
    }
}

/// The file that stays in a directory of control sockets when all of them have gone.
pub fn lock_file(dir: &Path) -> PathBuf {
    dir.join(LOCK)
}

/// The living processes that hold a control socket in a directory, by name.
pub fn holders(dir: &Path) -> io::Result<Vec<Holder>> {
    Ok(seats(dir)?.into_iter().filter_map(|seat| seat.holder).collect())
}

/// All control sockets in a directory, by name; none if there is no directory.
pub fn seats(dir: &Path) -> io::Result<Vec<Seat>> {
    let entries = match std::fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other?,
    };
    let paths = entries.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?;
    let mut seats: Vec<Seat> = paths.into_iter().filter(|path| is_socket(path)).map(look).collect();
    seats.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(seats)
}

fn is_socket(path: &Path) -> bool {
    use std::os::unix::fs::FileTypeExt;
    let named = path.to_str().is_some_and(|path| path.ends_with(SUFFIX));
    named && path.symlink_metadata().is_ok_and(|file| file.file_type().is_socket())
}

fn look(path: PathBuf) -> Seat {
    let name = name_of(&path);
    let holder = match connect(&path) {
        Ok(stream) => Some(Holder { name: name.clone(), pid: peer_pid(&stream) }),
        Err(error) if is_nobody(&error) => None,
        // Whom we may not ask, or who is too busy to answer, is there all the same.
        Err(_) => Some(Holder { name: name.clone(), pid: None }),
    };
    Seat { name, path, holder }
}

/// The role that a socket stands for.
pub(crate) fn name_of(path: &Path) -> String {
    let file = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    file.strip_suffix(SUFFIX).unwrap_or(&file).to_owned()
}

/// Connects, without waiting longer than a living process would let us.
pub(crate) fn connect(path: &Path) -> io::Result<UnixStream> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    // A full queue makes connect() wait for as long as a write may wait (unix_stream_connect).
    socket.set_write_timeout(Some(PATIENCE))?;
    socket.connect(&SockAddr::unix(path)?)?;
    Ok(socket.into())
}

/// Whether a failure to connect means that no process holds the socket.
pub(crate) fn is_nobody(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound)
}

/// Number 0 stands for a process of a PID namespace that is hidden from ours.
fn peer_pid(stream: &UnixStream) -> Option<u32> {
    kernel::peer::of(stream).ok().map(|peer| peer.pid).filter(|pid| *pid != 0)
}

/// A socket that this process listens on; the file goes when this is dropped.
#[derive(Debug)]
pub(crate) struct Taken {
    path: PathBuf,
    /// Device and inode: somebody may have put another socket in its place.
    identity: (u64, u64),
}

/// Takes the seat at `path`, unless a living process has it.
pub(crate) fn take(path: &Path) -> Result<(Taken, std::os::unix::net::UnixListener), ControlError> {
    let dir = path.parent().unwrap_or(Path::new("."));
    let made = DirBuilder::new().recursive(true).mode(0o755).create(dir);
    let unusable = |source| ControlError::Directory { path: dir.to_owned(), source };
    made.map_err(unusable)?;
    let _lock = lock(dir).map_err(unusable)?;
    let seat = look(path.to_owned());
    if let Some(holder) = seat.holder {
        return Err(ControlError::Taken { name: holder.name, pid: holder.pid, path: seat.path });
    }
    listen(path).map_err(|source| ControlError::Listen { path: path.to_owned(), source })
}

fn listen(path: &Path) -> io::Result<(Taken, std::os::unix::net::UnixListener)> {
    use std::os::unix::fs::PermissionsExt;
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = std::os::unix::net::UnixListener::bind(path)?;
    std::fs::set_permissions(path, PermissionsExt::from_mode(0o600))?;
    listener.set_nonblocking(true)?;
    let file = path.symlink_metadata()?;
    Ok((Taken { path: path.to_owned(), identity: (file.dev(), file.ino()) }, listener))
}

/// Waits for the directory's lock; it is only ever held for moments.
fn lock(dir: &Path) -> io::Result<File> {
    let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(lock_file(dir))?;
    let begun = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(std::fs::TryLockError::Error(error)) => return Err(error),
            Err(std::fs::TryLockError::WouldBlock) if begun.elapsed() > 2 * PATIENCE => {
                return Err(io::ErrorKind::TimedOut.into());
            }
            Err(std::fs::TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(5)),
        }
    }
}

impl Taken {
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        let _lock = self.path.parent().map(lock);
        let is_ours = |file: std::fs::Metadata| (file.dev(), file.ino()) == self.identity;
        if self.path.symlink_metadata().is_ok_and(is_ours) {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}
