//! `./dev bench`: what maitred costs, against peers and physical limits that are measured in the same run.
//!
//! ```text
//!   measurements ──slices, one variant after the other──► protocol ──summaries──► report ──► Markdown, target/bench/AREA.json
//! ```
//!
//! How it is measured and what is aimed at stands in `docs/performance.md`; the rules of it that are arithmetic are pure
//! functions ([`protocol`], [`report`]). Each measurement has a file of its own.

mod api;
mod dns;
mod effort;
mod machine;
mod objects;
mod protocol;
mod proxy;
mod random;
mod report;

use std::path::PathBuf;

use anyhow::{Context as _, bail};
use clap::{Parser, ValueEnum};

use effort::Effort;
use report::Report;

/// Measure maitred against its peers and against physical limits
#[derive(Debug, Parser)]
struct Cli {
    /// What to measure [default: all]
    #[arg(value_enum)]
    areas: Vec<Area>,
    /// Fewer and shorter slices: figures to look at, not to publish
    #[arg(long)]
    quick: bool,
    /// Measure although a compiler runs
    #[arg(long)]
    force: bool,
    /// Where the JSON files go
    #[arg(long, value_name = "DIR", default_value = "target/bench")]
    out: PathBuf,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Area {
    /// Connections through Services, and programming the kernel
    Proxy,
    /// Answers of the DNS server
    Dns,
    /// From a write to the first packet, durable writes, memory
    Api,
}

impl Area {
    fn name(self) -> &'static str {
        match self {
            Area::Proxy => "proxy",
            Area::Dns => "dns",
            Area::Api => "api",
        }
    }

    fn measure(self, effort: &Effort, report: &mut Report) -> anyhow::Result<()> {
        match self {
            Area::Proxy => proxy::measure(effort, report),
            Area::Dns => dns::measure(effort, report),
            Area::Api => api::measure(effort, report),
        }
    }
}

fn main() -> anyhow::Result<()> {
    let cli = Cli::parse();
    refuse_beside_compilers(cli.force)?;
    kernel::process::can_make_namespaces().context("the measurements need network namespaces: run as root")?;
    std::fs::create_dir_all(&cli.out).with_context(|| format!("make {}", cli.out.display()))?;
    let scratch = cli.out.canonicalize()?;
    let effort = if cli.quick { Effort::quick(scratch) } else { Effort::full(scratch) };
    let areas = if cli.areas.is_empty() { Area::value_variants() } else { &cli.areas };
    for area in areas {
        let mut report = Report::default();
        let measured = area.measure(&effort, &mut report).with_context(|| format!("measure {}", area.name()));
        // What was measured before a failure is worth seeing.
        println!("## {}\n\n{}", area.name(), report.markdown());
        measured?;
        let file = cli.out.join(format!("{}.json", area.name()));
        std::fs::write(&file, report.json()).with_context(|| format!("write {}", file.display()))?;
    }
    // Somebody may have started one meanwhile, and then the figures are worth nothing.
    refuse_beside_compilers(cli.force)
}

/// On a loaded machine every figure measures the load.
fn refuse_beside_compilers(force: bool) -> anyhow::Result<()> {
    let compilers = machine::compilers();
    match &compilers[..] {
        [] => Ok(()),
        _ if force => {
            eprintln!("{} at work beside the measurement: its figures are worth nothing", compilers.join(", "));
            Ok(())
        }
        _ => bail!("a compiler is at work ({}): wait for it, or give --force", compilers.join(", ")),
    }
}
