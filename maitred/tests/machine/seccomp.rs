//! A kernel without nftables, played by a seccomp filter to one thread and to the programs that it starts.
#![allow(unsafe_code)] // The filter is installed by system calls for which std has no function.

use std::io;

/// Where the kernel puts the number of the system call and the low halves of its arguments (`struct seccomp_data`).
const NUMBER: u32 = 0;
const fn argument(index: u32) -> u32 {
    16 + 8 * index + if cfg!(target_endian = "big") { 4 } else { 0 }
}

const LOAD: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
const SKIP_UNLESS_EQUAL: u16 = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
const RETURN: u16 = (libc::BPF_RET | libc::BPF_K) as u16;
const NETLINK_NETFILTER: u32 = 12;

/// From now on this thread, and what it starts, can open no socket of nfnetlink: `socket` says EPROTONOSUPPORT, as a kernel
/// does that was built without CONFIG_NETFILTER_NETLINK.
pub fn without_nfnetlink() -> io::Result<()> {
    let step = |code, jf, k| libc::sock_filter { code, jt: 0, jf, k };
    let mut filter = [
        step(LOAD, 0, NUMBER),
        step(SKIP_UNLESS_EQUAL, 5, libc::SYS_socket as u32),
        step(LOAD, 0, argument(0)),
        step(SKIP_UNLESS_EQUAL, 3, libc::AF_NETLINK as u32),
        step(LOAD, 0, argument(2)),
        step(SKIP_UNLESS_EQUAL, 1, NETLINK_NETFILTER),
        step(RETURN, 0, libc::SECCOMP_RET_ERRNO | libc::EPROTONOSUPPORT as u32),
        step(RETURN, 0, libc::SECCOMP_RET_ALLOW),
    ];
    let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_mut_ptr() };
    // SAFETY: the first call takes numbers only; the second reads the program and the filter, which live until it returns.
    let installed = unsafe {
        libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
            && libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program) == 0
    };
    if installed { Ok(()) } else { Err(io::Error::last_os_error()) }
}
