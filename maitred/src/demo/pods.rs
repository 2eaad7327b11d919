//! The demo's Pods: real processes, run by the agents.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use api::Pod;
use lab::Namespace;
use serde_json::{Value, json};
use tokio::net::UnixStream;

use super::scene::{PATIENCE, Scene};

/// The last line of a script: what it wrote reaches its log a moment after its end reaches the API.
const END: &str = "(end)";
/// Where the demo's servers listen.
const PORT: u16 = 8080;

impl Scene {
    /// A Pod as the API shows it; none if there is none.
    pub(crate) fn find_pod(&self, name: &str) -> anyhow::Result<Option<Pod>> {
        let name = name.to_owned();
        self.api(move |cluster| async move {
            match cluster.get::<Pod>("default", &name).await {
                Err(error) if error.code() == Some(404) => Ok(None),
                found => found.map(Some),
            }
        })
    }

    fn pod_object(&self, name: &str) -> anyhow::Result<Pod> {
        self.find_pod(name)?.with_context(|| format!("there is no Pod {name}"))
    }

    /// The index of the node that a Pod is bound to, once it is.
    pub(crate) fn node_of(&self, name: &str) -> anyhow::Result<usize> {
        let node = self.eventually(&format!("Pod {name} is bound to a node"), || {
            Ok(Some(self.pod_object(name)?.spec.node_name).filter(|node| !node.is_empty()))
        })?;
        let index = self.lab.nodes().iter().position(|other| other.name() == node);
        index.with_context(|| format!("Pod {name} is bound to {node}, which is no node of the lab"))
    }

    /// The addresses of a Pod.
    pub(crate) fn pod_addresses(&self, name: &str) -> anyhow::Result<Vec<IpAddr>> {
        let ips = self.pod_object(name)?.status.pod_ips;
        ips.iter().map(|ip| Ok(ip.ip.parse()?)).collect()
    }

    /// The process that is the parent of a Pod's processes, as it is numbered here.
    pub(crate) fn pod_parent(&self, name: &str) -> anyhow::Result<u32> {
        let pod = self.pod_object(name)?;
        let root = self.lab.node(self.node_of(name)?).root().context("the node runs programs")?;
        let socket = root.join(format!("run/maitred/pods/{}/socket", pod.metadata.uid));
        let peer = self.runtime.block_on(async move { UnixStream::connect(socket).await?.peer_cred() })?;
        let pid = peer.pid().context("the Pod's parent process has a number")?;
        Ok(pid.try_into()?)
    }

    /// The network namespace of a Pod.
    pub(crate) fn pod(&self, name: &str) -> anyhow::Result<Namespace> {
        let pid = self.pod_parent(name)?;
        Ok(Namespace::open(&PathBuf::from(format!("/proc/{pid}/ns/net")))?)
    }

    /// How often a Pod's containers were restarted.
    pub(crate) fn restarts(&self, pod: &str) -> anyhow::Result<u64> {
        let path = format!("/api/v1/namespaces/default/pods/{pod}");
        let pod: Value =
            self.api(
                move |cluster| async move { cluster.send(http::Method::GET, &path, "application/json", None).await },
            )?;
        let containers = pod["status"]["containerStatuses"].as_array().into_iter().flatten();
        Ok(containers.filter_map(|container| container["restartCount"].as_u64()).sum())
    }

    /// Has a Pod's server say whether it is ready; its readiness probe finds out within a second.
    pub(crate) fn set_ready(&self, pod: &str, ready: bool) -> anyhow::Result<()> {
        let path = if ready { "/readiness/on" } else { "/readiness/off" };
        let (status, _) = self.pod(pod)?.run(|| ask("POST", path))??;
        anyhow::ensure!(status.starts_with("HTTP/1.1 200"), "{pod} answered {status:?}");
        Ok(())
    }

    /// When the first readiness probe since `set_ready` came in, which is before the agent writes its result to the API.
    pub(crate) fn heard(&self, pod: &str) -> anyhow::Result<Instant> {
        let inside = self.pod(pod)?;
        self.eventually(&format!("a probe of {pod}"), || {
            let now = Instant::now();
            let (_, body) = inside.run(|| ask("GET", "/readiness/heard"))??;
            let answer: lab::Answer = serde_json::from_str(&body)?;
            let ago = answer.echo.parse().ok().map(Duration::from_micros);
            Ok(ago.map(|ago| now.checked_sub(ago).unwrap_or(now)))
        })
    }

    /// Waits until the API shows a Pod as ready.
    pub(crate) fn await_ready(&self, pod: &str) -> anyhow::Result<()> {
        self.eventually(&format!("Pod {pod} is ready"), || {
            let found = self.find_pod(pod)?;
            let conditions = found.into_iter().flat_map(|pod| pod.status.conditions);
            Ok(conditions.into_iter().find(|it| it.r#type == "Ready" && it.status == "True").map(drop))
        })
    }

    /// Deletes a Pod as `kubectl delete` does, and waits until it is gone.
    pub(crate) fn delete_pod(&self, pod: &str) -> anyhow::Result<()> {
        let name = pod.to_owned();
        self.api(move |cluster| async move { cluster.delete::<Pod>("default", &name, None).await })?;
        self.eventually(&format!("Pod {pod} is gone"), || Ok(self.find_pod(pod)?.is_none().then_some(())))
    }

    /// Deletes a Pod without grace: its processes get SIGKILL.
    pub(crate) fn kill_pod(&self, pod: &str) -> anyhow::Result<()> {
        let (name, options) = (pod.to_owned(), json!({ "gracePeriodSeconds": 0 }));
        self.api(move |cluster| async move { cluster.delete::<Pod>("default", &name, Some(&options)).await })
    }

    /// Runs a script to its end in a Pod of its own, and returns what it wrote.
    pub(crate) fn run_in_pod(&self, name: &str, script: &str) -> anyhow::Result<String> {
        let pod = json!({
            "metadata": { "name": name },
            "spec": { "restartPolicy": "Never", "containers": [{
                "name": "main", "image": "host", "command": ["sh", "-c", format!("{script}; echo '{END}'")],
            }] },
        });
        let created: Pod = self.api(move |cluster| async move { cluster.create("default", pod).await })?;
        let directory = format!("default_{name}_{}/main/0.log", created.metadata.uid);
        let log = self.log_dir(self.node_of(name)?).join(directory);
        self.eventually(&format!("Pod {name} has written its last line"), || {
            // Each line begins with time, stream and tag.
            let text = std::fs::read_to_string(&log).unwrap_or_default();
            let lines: Vec<&str> = text.lines().filter_map(|line| line.splitn(4, ' ').nth(3)).collect();
            Ok(lines.split_last().filter(|(last, _)| **last == END).map(|(_, lines)| lines.join("\n")))
        })
    }

    /// All Pods that run, by name.
    pub(crate) fn pod_names(&self) -> anyhow::Result<Vec<String>> {
        let list: Value = self.api(|cluster| async move {
            let path = "/api/v1/namespaces/default/pods";
            cluster.send(http::Method::GET, path, "application/json", None).await
        })?;
        let running = list["items"].as_array().into_iter().flatten().filter(|pod| pod["status"]["phase"] == "Running");
        Ok(running.filter_map(|pod| pod["metadata"]["name"].as_str().map(str::to_owned)).collect())
    }
}

/// A request without a body to the server of this network; its status line and its body.
fn ask(method: &str, path: &str) -> std::io::Result<(String, String)> {
    use std::io::{Read, Write};
    let address = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), PORT);
    let mut stream = std::net::TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(format!("{method} {path} HTTP/1.1\r\nConnection: close\r\n\r\n").as_bytes())?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    Ok((head.lines().next().unwrap_or_default().to_owned(), body.to_owned()))
}
