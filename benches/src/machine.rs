//! This machine: who else works on it, how busy it was, and on which processor a thread runs.

use std::time::Duration;

use anyhow::{Context as _, bail};
use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;

/// The programs that turn sources into programs.
const COMPILERS: [&str; 12] = [
    "rustc",
    "clippy-driver",
    "rustdoc",
    "cc1",
    "cc1plus",
    "compile",
    "ld",
    "ld.bfd",
    "ld.gold",
    "ld.lld",
    "rust-lld",
    "mold",
];

/// On a loaded machine every figure measures the load.
pub(crate) fn refuse_beside_compilers(force: bool) -> anyhow::Result<()> {
    let compilers = compilers();
    match &compilers[..] {
        [] => Ok(()),
        _ if force => {
            eprintln!("{} at work beside the measurement: its figures are worth nothing", compilers.join(", "));
            Ok(())
        }
        _ => bail!("a compiler is at work ({}): wait for it, or give --force", compilers.join(", ")),
    }
}

/// The compilers at work, by name.
fn compilers() -> Vec<String> {
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let names = processes.filter_map(|process| std::fs::read_to_string(process.path().join("comm")).ok());
    only_compilers(names)
}

fn only_compilers(names: impl Iterator<Item = String>) -> Vec<String> {
    let mut found: Vec<String> =
        names.map(|name| name.trim_end().to_owned()).filter(|name| COMPILERS.contains(&name.as_str())).collect();
    found.sort();
    found.dedup();
    found
}

/// Binds the calling thread, and those that it starts, to a processor.
pub(crate) fn pin(cpu: usize) -> anyhow::Result<()> {
    let mut set = CpuSet::new();
    set.set(cpu).and_then(|()| sched_setaffinity(Pid::from_raw(0), &set)).with_context(|| format!("run on CPU {cpu}"))
}

/// How long all processors together have worked since the machine started.
pub(crate) fn busy() -> Duration {
    let stat = std::fs::read_to_string("/proc/stat").unwrap_or_default();
    busy_of(&stat)
}

/// All ticks of the first line of `/proc/stat` but idle, iowait and what guests count twice. A tick is 10 ms.
fn busy_of(stat: &str) -> Duration {
    let found = stat.lines().find_map(|line| line.strip_prefix("cpu "));
    let ticks: Vec<u64> = found.unwrap_or_default().split_whitespace().filter_map(|word| word.parse().ok()).collect();
    let busy = ticks.iter().take(8).enumerate().filter(|(column, _)| ![3, 4].contains(column));
    Duration::from_millis(10 * busy.map(|(_, ticks)| ticks).sum::<u64>())
}

/// How much memory of a process is resident, in bytes.
pub(crate) fn resident(pid: u32) -> anyhow::Result<u64> {
    let path = format!("/proc/{pid}/status");
    let status = std::fs::read_to_string(&path).with_context(|| format!("read {path}"))?;
    resident_of(&status).with_context(|| format!("{path} has no VmRSS"))
}

fn resident_of(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kib * 1024)
}

/// Where a program is in the path, if it is installed.
pub(crate) fn installed(program: &str) -> Option<std::path::PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let places = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]);
    places.map(|place| place.join(program)).find(|file| file.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compilers_are_told_from_what_is_named_alike() {
        let names =
            ["rustc\n", "bash\n", "cc1plus\n", "rustc\n", "rust-analyzer\n", "clippy-driver\n", "lda\n", "mold\n"];
        let found = only_compilers(names.into_iter().map(str::to_owned));
        assert_eq!(found, ["cc1plus", "clippy-driver", "mold", "rustc"]);
    }

    #[test]
    fn work_is_all_but_idle_and_waiting() {
        let stat = "cpu  10 1 20 500 60 2 3 4 9 9\ncpu0 5 0 10 250 30 1 1 2 0 0\ncpu1 5 1 10 250 30 1 2 2 0 0\n";
        assert_eq!(busy_of(stat), Duration::from_millis(400));
        assert_eq!(busy_of(""), Duration::ZERO);
    }

    #[test]
    fn resident_memory_is_read_in_bytes() {
        assert_eq!(resident_of("VmPeak:\t 9 kB\nVmRSS:\t   2048 kB\n"), Some(2 << 20));
        assert_eq!(resident_of("Name:\tkthreadd\n"), None);
    }
}
