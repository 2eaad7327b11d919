//! Standard output for people and pipes.

use std::io::{ErrorKind, Write as _};

/// Writes to standard output. Whoever reads may have read enough: that is no error.
pub(crate) fn print(text: &str) -> anyhow::Result<()> {
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => Ok(written?),
    }
}
