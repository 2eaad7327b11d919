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

use anyhow::Context as _;
use clap::{Parser, ValueEnum};

use effort::Effort;
use report::Report;

/// Measure maitred against its peers and against physical limits
#[derive(Debug, Parser)]
struct Cli {
    /// What to measure [default: all]
    #[arg(value_enum)]
    areas: Vec<Choice>,
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
enum Choice {
    /// Connections through Services, and programming the kernel
    Proxy,
    /// Answers of the DNS server
    Dns,
    /// From a write to the first packet, durable writes, memory
    Api,
    /// Each of them
    All,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Area {
    Proxy,
    Dns,
    Api,
}

impl Choice {
    fn areas(self) -> &'static [Area] {
        match self {
            Choice::Proxy => &[Area::Proxy],
            Choice::Dns => &[Area::Dns],
            Choice::Api => &[Area::Api],
            Choice::All => &[Area::Proxy, Area::Dns, Area::Api],
        }
    }
}

impl Area {
    /// What was chosen, each area once; nothing is everything.
    fn chosen(choices: &[Choice]) -> Vec<Area> {
        let choices = if choices.is_empty() { &[Choice::All] } else { choices };
        let mut areas = Vec::new();
        for area in choices.iter().flat_map(|choice| choice.areas()) {
            if !areas.contains(area) {
                areas.push(*area);
            }
        }
        areas
    }

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
    machine::refuse_beside_compilers(cli.force)?;
    kernel::process::can_make_namespaces().context("the measurements need network namespaces: run as root")?;
    std::fs::create_dir_all(&cli.out).with_context(|| format!("make {}", cli.out.display()))?;
    let scratch = cli.out.canonicalize()?;
    let effort = if cli.quick { Effort::quick(scratch) } else { Effort::full(scratch) };
    let effort = Effort { force: cli.force, ..effort };
    for area in Area::chosen(&cli.areas) {
        let mut report = Report::default();
        let measured = area.measure(&effort, &mut report).with_context(|| format!("measure {}", area.name()));
        // What was measured before a failure is worth seeing.
        println!("## {}\n\n{}", area.name(), report.markdown());
        measured?;
        // Somebody may have started one in the last round, and then the figures are worth no file.
        effort.look()?;
        let file = cli.out.join(format!("{}.json", area.name()));
        std::fs::write(&file, report.json()).with_context(|| format!("write {}", file.display()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_chosen_is_all_and_no_area_is_measured_twice() {
        let check = |words: &[&str], expected: &[Area]| {
            let cli = Cli::try_parse_from(["benches"].iter().chain(words)).expect("a command line");
            assert_eq!(Area::chosen(&cli.areas), expected, "{words:?}");
        };
        check(&[], &[Area::Proxy, Area::Dns, Area::Api]);
        check(&["all", "--quick"], &[Area::Proxy, Area::Dns, Area::Api]);
        check(&["dns", "proxy", "dns"], &[Area::Dns, Area::Proxy]);
        check(&["api", "all"], &[Area::Api, Area::Proxy, Area::Dns]);
    }
}
