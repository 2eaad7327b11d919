//! Who is at the other end of a Unix socket. std doesn't tell yet (`peer_credentials_unix_socket`).
//! <https://man7.org/linux/man-pages/man7/unix.7.html>, `SO_PEERCRED`.
#![allow(unsafe_code)] // One system call that fills a structure.

use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;

/// A process, as it was when it connected or began to listen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Its number; 0 if it lives in a PID namespace that is hidden from ours.
    pub pid: u32,
    /// The user it acts as.
    pub uid: u32,
}

/// The process at the other end.
pub fn of(stream: &UnixStream) -> io::Result<Peer> {
    let mut credentials = libc::ucred { pid: 0, uid: 0, gid: 0 };
    let mut length = size_of_val(&credentials) as libc::socklen_t;
    let (level, option) = (libc::SOL_SOCKET, libc::SO_PEERCRED);
    // SAFETY: both pointers are those of live variables, and the length is that of the first.
    let result =
        unsafe { libc::getsockopt(stream.as_raw_fd(), level, option, (&raw mut credentials).cast(), &raw mut length) };
    match result {
        0 => Ok(Peer { pid: credentials.pid.max(0) as u32, uid: credentials.uid }),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_other_end_of_ones_own_pair_is_oneself() {
        let (end, _other) = UnixStream::pair().expect("a pair");
        let expected = Peer { pid: std::process::id(), uid: crate::detached::user() };
        assert_eq!(of(&end).expect("credentials"), expected);
    }
}
