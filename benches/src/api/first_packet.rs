//! A Pod becomes ready: from before the write to the API, and from its acknowledgement, to the first answer through its
//! Service. Between them lie the store, the watch, the endpoint controller, its write, the proxy and the kernel.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use kernel::netns::Namespace;

use super::scene::{PATIENCE, Scene};
use crate::effort::Effort;
use crate::protocol::{micros, percentile};
use crate::report::{Report, Row, figure};

/// The pause between two attempts of the client.
const PAUSE: Duration = Duration::from_micros(200);
/// The pause between two changes, so that nothing of the last one is left to do.
const REST: Duration = Duration::from_millis(20);
/// The time among many Services may be so many times that among few.
const GROWTH: f64 = 1.5;
/// Milliseconds from the acknowledgement to the first packet.
const AFTER_ACKNOWLEDGEMENT: f64 = 5.0;

/// How long it took, each time.
#[derive(Default)]
struct Times {
    from_write: Vec<Duration>,
    from_acknowledgement: Vec<Duration>,
}

pub(super) fn measure(effort: &Effort, report: &mut Report, scenes: &[Scene; 2]) -> anyhow::Result<()> {
    let mut times = [Times::default(), Times::default()];
    for round in 0..=effort.rounds {
        effort.look()?;
        for (scene, times) in scenes.iter().zip(&mut times) {
            let measured = turn(scene, effort.choose(20, 10))?;
            // The first round warms up.
            if round > 0 {
                times.from_write.extend(measured.from_write);
                times.from_acknowledgement.extend(measured.from_acknowledgement);
            }
        }
    }
    add(report, scenes, &times);
    Ok(())
}

fn add(report: &mut Report, scenes: &[Scene; 2], times: &[Times; 2]) {
    let ms = |times: &[Duration], percent| micros(percentile(times, percent)) / 1e3;
    for (scene, times) in scenes.iter().zip(times) {
        let services = scene.services;
        report.add(Row::new(format!("write_to_packet_{services}_p50"), ms(&times.from_write, 50.0), "ms"));
        report.add(Row::new(format!("write_to_packet_{services}_p99"), ms(&times.from_write, 99.0), "ms"));
        let after = ms(&times.from_acknowledgement, 50.0);
        report.add(Row::new(format!("acknowledgement_to_packet_{services}_p50"), after, "ms"));
        let after = ms(&times.from_acknowledgement, 99.0);
        let row = Row::new(format!("acknowledgement_to_packet_{services}_p99"), after, "ms");
        report.add(row.at_most("M7", AFTER_ACKNOWLEDGEMENT));
    }
    let [few, many] = times.each_ref().map(|times| ms(&times.from_write, 50.0));
    let row = Row::new("write_to_packet_growth", many / few, "×");
    let against =
        format!("{} ms at {} Services, {} ms at {}", figure(many), scenes[1].services, figure(few), scenes[0].services);
    report.add(row.against(against).at_most("", GROWTH));
}

/// The Pod becomes ready so many times.
fn turn(scene: &Scene, count: usize) -> anyhow::Result<Times> {
    let mut times = Times::default();
    for _ in 0..count {
        await_refused(scene.client(), scene.vip)?;
        std::thread::sleep(REST);
        let (started, acknowledged, answered) = one(scene)?;
        times.from_write.push(answered - started);
        times.from_acknowledgement.push(answered.saturating_duration_since(acknowledged));
        scene.set_ready(false)?;
    }
    Ok(times)
}

/// When the write began, when it was acknowledged, and when the first answer came.
fn one(scene: &Scene) -> anyhow::Result<(Instant, Instant, Instant)> {
    let (begin, begun) = mpsc::channel();
    let (namespace, to) = (scene.client().clone(), scene.vip);
    let client = std::thread::spawn(move || namespace.run(|| first_answer(to, &begin)));
    begun.recv().context("the client tries")?;
    let started = Instant::now();
    scene.set_ready(true)?;
    let acknowledged = Instant::now();
    let answered = client.join().ok().context("the client panicked")???;
    Ok((started, acknowledged, answered))
}

/// Tries until somebody answers; says when the first attempt was made.
fn first_answer(to: SocketAddr, begun: &mpsc::Sender<()>) -> anyhow::Result<Instant> {
    let started = Instant::now();
    while ask(to).is_err() {
        // Nobody listens any more after the first attempt.
        let _ = begun.send(());
        anyhow::ensure!(started.elapsed() < PATIENCE, "{to} does not answer");
        std::thread::sleep(PAUSE);
    }
    Ok(Instant::now())
}

/// Waits until new connections are refused.
fn await_refused(namespace: &Namespace, to: SocketAddr) -> anyhow::Result<()> {
    namespace.run(|| {
        let started = Instant::now();
        while ask(to).is_ok() {
            anyhow::ensure!(started.elapsed() < PATIENCE, "{to} still answers");
            std::thread::sleep(PAUSE);
        }
        Ok(())
    })?
}

/// One line and its answer.
fn ask(to: SocketAddr) -> std::io::Result<()> {
    let mut stream = TcpStream::connect_timeout(&to, Duration::from_secs(1))?;
    stream.set_read_timeout(Some(Duration::from_secs(1)))?;
    stream.write_all(b"here?\n")?;
    let mut answer = [0; 512];
    match stream.read(&mut answer)? {
        0 => Err(std::io::ErrorKind::UnexpectedEof.into()),
        _ => Ok(()),
    }
}
