//! The measuring protocol as arithmetic: variants take turns in short slices, so that whatever else happens on the machine
//! happens to all of them, and medians of slices are compared. Pure.

use std::time::Duration;

/// What one turn of a variant gave.
#[derive(Clone, Debug, Default)]
pub(crate) struct Slice {
    /// How long each operation took, in any order.
    pub(crate) latencies: Vec<Duration>,
    /// How many operations were completed.
    pub(crate) operations: u64,
    /// How long the turn took.
    pub(crate) elapsed: Duration,
    /// How long all processors worked meanwhile.
    pub(crate) busy: Duration,
}

/// A variant over all its turns.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Summary {
    /// The median of the turns' medians, in µs.
    pub(crate) p50_us: f64,
    /// The median of the turns' 99th percentiles, in µs.
    pub(crate) p99_us: f64,
    /// The median of the turns' operations per second.
    pub(crate) rate: f64,
    /// The median of the turns' processor time per operation, in µs.
    pub(crate) cpu_us: f64,
}

impl Summary {
    pub(crate) fn of(slices: &[Slice]) -> Summary {
        let over = |figure: &dyn Fn(&Slice) -> f64| median(slices.iter().map(figure).collect());
        let seconds = |slice: &Slice| slice.elapsed.as_secs_f64().max(f64::MIN_POSITIVE);
        Summary {
            p50_us: over(&|slice| micros(percentile(&slice.latencies, 50.0))),
            p99_us: over(&|slice| micros(percentile(&slice.latencies, 99.0))),
            rate: over(&|slice| slice.operations as f64 / seconds(slice)),
            cpu_us: over(&|slice| micros(slice.busy) / (slice.operations.max(1) as f64)),
        }
    }
}

/// Lets the variants take turns, A-B-C-A-B-C; the first round warms up and doesn't count. Each round begins with a
/// look at whatever would spoil it. The summaries are in the order of the variants.
pub(crate) fn interleave<V, E>(
    rounds: usize,
    variants: &mut [V],
    mut look: impl FnMut() -> Result<(), E>,
    mut turn: impl FnMut(&mut V) -> Result<Slice, E>,
) -> Result<Vec<Summary>, E> {
    let mut slices = vec![Vec::with_capacity(rounds); variants.len()];
    for round in 0..=rounds {
        look()?;
        for (variant, slices) in variants.iter_mut().zip(&mut slices) {
            let slice = turn(variant)?;
            if round > 0 {
                slices.push(slice);
            }
        }
    }
    Ok(slices.iter().map(|slices| Summary::of(slices)).collect())
}

/// The value that `percent` of a hundred are not above (nearest rank); zero of none.
pub(crate) fn percentile(values: &[Duration], percent: f64) -> Duration {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    let rank = (percent / 100.0 * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or_default()
}

/// The middle of some figures; zero of none.
pub(crate) fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_unstable_by(f64::total_cmp);
    match figures.len() {
        0 => 0.0,
        count if count % 2 == 1 => figures[count / 2],
        count => (figures[count / 2 - 1] + figures[count / 2]) / 2.0,
    }
}

/// A time in µs.
pub(crate) fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    fn micro(us: u64) -> Duration {
        Duration::from_micros(us)
    }

    #[test]
    fn a_percentile_is_a_value_that_occurred() {
        let values: Vec<Duration> = (1..=200).rev().map(micro).collect();
        assert_eq!(percentile(&values, 50.0), micro(100));
        assert_eq!(percentile(&values, 99.0), micro(198));
        assert_eq!(percentile(&values, 100.0), micro(200));
        assert_eq!(percentile(&[micro(7)], 99.0), micro(7));
        assert_eq!(percentile(&[], 50.0), Duration::ZERO);
    }

    #[test]
    fn a_median_lies_between_the_two_in_the_middle() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), 2.5);
        assert_eq!(median(Vec::new()), 0.0);
    }

    #[test]
    fn one_bad_slice_does_not_move_a_summary() {
        let slice = |us, operations| Slice {
            latencies: vec![micro(us); 10],
            operations,
            elapsed: Duration::from_millis(500),
            busy: Duration::from_millis(250),
        };
        let summary = Summary::of(&[slice(30, 5_000), slice(9_000, 10), slice(30, 5_000)]);
        assert_eq!(summary, Summary { p50_us: 30.0, p99_us: 30.0, rate: 10_000.0, cpu_us: 50.0 });
    }

    #[test]
    fn a_look_that_fails_ends_the_rounds() {
        let (mut looks, mut turns) = (0, 0);
        let look = || {
            looks += 1;
            if looks == 3 { Err("a compiler") } else { Ok(()) }
        };
        let turn = |_: &mut char| {
            turns += 1;
            Ok(Slice::default())
        };
        assert_eq!(interleave(9, &mut ['a', 'b'], look, turn), Err("a compiler"));
        assert_eq!((looks, turns), (3, 4));
    }

    #[test]
    fn variants_take_turns_and_the_first_round_does_not_count() {
        let mut turns = String::new();
        let mut variants = ['a', 'b'];
        let turn = |variant: &mut char| {
            turns.push(*variant);
            let operations = if turns.len() <= 2 { 1_000_000 } else { 10 };
            Ok::<_, std::convert::Infallible>(Slice { operations, elapsed: Duration::from_secs(1), ..Slice::default() })
        };
        let summaries = interleave(2, &mut variants, || Ok(()), turn);
        let Ok(summaries) = summaries;
        assert_eq!((turns.as_str(), summaries.len()), ("ababab", 2));
        assert!(summaries.iter().all(|summary| summary.rate == 10.0), "{summaries:?}");
    }
}
