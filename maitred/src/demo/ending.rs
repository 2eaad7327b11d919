//! The end of a demo that is interrupted: what lies on disk is removed. Everything else is the kernel's and goes with the
//! process.

use std::path::PathBuf;

/// The exit code of a program that Ctrl-C ended: 128 and the number of SIGINT.
const INTERRUPTED: i32 = 130;

/// From now on Ctrl-C removes this directory and ends the process.
pub(super) fn remove_when_interrupted(directory: PathBuf) {
    let body = move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        // Signals are listened for inside the runtime.
        runtime.expect("a runtime needs only an epoll descriptor").block_on(async { crate::stop_signal().await });
        // The programs of the lab still write to it, until they end with this process.
        for _ in 0..10 {
            match std::fs::remove_dir_all(&directory) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {}
                _ => break,
            }
        }
        std::process::exit(INTERRUPTED);
    };
    std::thread::Builder::new().name("ending".to_owned()).spawn(body).expect("the process may start a thread");
}
