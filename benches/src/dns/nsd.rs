//! NSD as a peer, where it is installed: the same names from a zone file.

use std::fmt::Write as _;
use std::net::{SocketAddr, UdpSocket};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use kernel::netns::Namespace;

use super::PATIENCE;
use crate::machine::installed;
use crate::objects::{cluster_ip, name};

/// A running NSD with its files; it is killed when dropped.
pub(super) struct Nsd {
    child: Child,
    _files: tempfile::TempDir,
}

impl Nsd {
    /// Starts it on a processor and waits for its first answer; none if it is not installed.
    pub(super) fn start(
        namespace: &Namespace,
        at: SocketAddr,
        names: usize,
        cpu: usize,
        scratch: &Path,
    ) -> anyhow::Result<Option<Nsd>> {
        let (Some(nsd), Some(taskset)) = (installed("nsd"), installed("taskset")) else { return Ok(None) };
        let files = tempfile::tempdir_in(scratch).context("make a directory for NSD")?;
        let place = files.path();
        std::fs::write(place.join("zone"), zone(names)).context("write NSD's zone")?;
        std::fs::write(place.join("nsd.conf"), config(place, at)).context("write NSD's configuration")?;
        let mut command = Command::new(taskset);
        command.args(["-c", &cpu.to_string()]).arg(nsd).arg("-d").arg("-c").arg(place.join("nsd.conf"));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut running = Nsd { child: namespace.spawn(command)?, _files: files };
        let answered = namespace.run(|| running.await_answer(at))?;
        answered.map(|()| Some(running))
    }

    fn await_answer(&mut self, at: SocketAddr) -> anyhow::Result<()> {
        const LIMIT: Duration = Duration::from_secs(20);
        let socket = UdpSocket::bind((at.ip(), 0))?;
        socket.connect(at)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        let started = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait()? {
                anyhow::bail!("NSD ended at once ({status})");
            }
            anyhow::ensure!(started.elapsed() < LIMIT, "NSD answers nothing");
            // Until it listens, the kernel refuses for it.
            let mut reply = [0; 512];
            if socket.send(&super::load::query(&name(0))).is_ok() && socket.recv(&mut reply).is_ok() && reply[7] == 1 {
                return Ok(());
            }
            std::thread::sleep(PATIENCE);
        }
    }
}

impl Drop for Nsd {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn zone(names: usize) -> String {
    let mut text = "$ORIGIN cluster.local.\n$TTL 5\n@ SOA ns.dns hostmaster 1 7200 1800 86400 5\n@ NS ns.dns\n\
                    ns.dns A 10.96.0.10\n"
        .to_owned();
    for number in 0..names {
        writeln!(text, "{}.default.svc A {}", name(number), cluster_ip(number))
            .expect("a String takes what is written");
    }
    text
}

fn config(place: &Path, at: SocketAddr) -> String {
    let place = place.display();
    format!(
        "server:\n  ip-address: {}@{}\n  server-count: 1\n  username: \"\"\n  database: \"\"\n  zonesdir: {place}\n  \
         pidfile: {place}/pid\n  xfrdfile: {place}/xfrd\n  zonelistfile: {place}/zones\n  xfrdir: {place}\n  \
         rrl-ratelimit: 0\nremote-control:\n  control-enable: no\nzone:\n  name: cluster.local\n  zonefile: zone\n",
        at.ip(),
        at.port()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_zone_file_has_the_names_that_are_asked_for() {
        let text = zone(2);
        assert!(text.contains("\ns1.default.svc A 10.96.1.1\n"), "{text}");
        assert_eq!(text.lines().filter(|line| line.contains(".default.svc A ")).count(), 2);
    }
}
