//! Whether answers are spread evenly: Pearson's chi-square test. Pure.
//!
//! The rule of the tests: a fixed number of connections, and a spread counts as uneven when chance alone would be at
//! least as uneven with a probability below one in a million.

/// The probability below which a spread counts as uneven.
pub const LIMIT: f64 = 1e-6;

/// The probability that an even choice gives counts at least as uneven as these. 1 for less than two counts or none.
pub fn uniform(counts: &[u64]) -> f64 {
    let total: u64 = counts.iter().sum();
    if counts.len() < 2 || total == 0 {
        return 1.0;
    }
    let expected = total as f64 / counts.len() as f64;
    let statistic: f64 = counts.iter().map(|count| (*count as f64 - expected).powi(2) / expected).sum();
    upper_gamma((counts.len() - 1) as f64 / 2.0, statistic / 2.0)
}

/// Whether the rule lets these counts pass as an even choice.
pub fn is_uniform(counts: &[u64]) -> bool {
    uniform(counts) >= LIMIT
}

/// The regularised upper incomplete gamma function Q(a, x), as in Numerical Recipes 6.2: a series below a + 1 and a
/// continued fraction (Lentz) above it, where each converges fast.
fn upper_gamma(a: f64, x: f64) -> f64 {
    if x <= 0.0 {
        return 1.0;
    }
    let scale = (a * x.ln() - x - ln_gamma(a)).exp();
    if x < a + 1.0 { 1.0 - scale * lower_series(a, x) } else { scale * upper_fraction(a, x) }
}

const TERMS_MAX: u32 = 10_000;

fn lower_series(a: f64, x: f64) -> f64 {
    let mut term = 1.0 / a;
    let mut sum = term;
    for n in 1..TERMS_MAX {
        term *= x / (a + f64::from(n));
        sum += term;
        if term < sum * f64::EPSILON {
            break;
        }
    }
    sum
}

fn upper_fraction(a: f64, x: f64) -> f64 {
    let mut b = x + 1.0 - a;
    let mut c = f64::MAX;
    let mut d = 1.0 / b;
    let mut fraction = d;
    for n in 1..TERMS_MAX {
        let n = f64::from(n);
        let factor = -n * (n - a);
        b += 2.0;
        d = 1.0 / (factor * d + b);
        c = b + factor / c;
        fraction *= d * c;
        if (d * c - 1.0).abs() < f64::EPSILON {
            break;
        }
    }
    fraction
}

/// The logarithm of the gamma function for x > 0, by Stirling's series after shifting x above 10.
fn ln_gamma(mut x: f64) -> f64 {
    let mut shift = 0.0;
    while x < 10.0 {
        shift -= x.ln();
        x += 1.0;
    }
    let inverse = 1.0 / x;
    let square = inverse * inverse;
    let series = inverse * (1.0 / 12.0 - square * (1.0 / 360.0 - square * (1.0 / 1260.0 - square / 1680.0)));
    shift + (x - 0.5) * x.ln() - x + 0.5 * std::f64::consts::TAU.ln() + series
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Quantiles from the printed chi-square tables: (degrees of freedom, statistic, probability).
    #[test]
    fn the_distribution_agrees_with_printed_tables() {
        let cases = [
            (1.0, 3.841, 0.05),
            (1.0, 6.635, 0.01),
            (1.0, 10.828, 0.001),
            (2.0, 5.991, 0.05),
            (2.0, 13.816, 0.001),
            (5.0, 11.070, 0.05),
            (5.0, 1.145, 0.95),
            (10.0, 18.307, 0.05),
            (10.0, 29.588, 0.001),
            (30.0, 43.773, 0.05),
            (100.0, 124.342, 0.05),
        ];
        for (degrees, statistic, probability) in cases {
            let found = upper_gamma(degrees / 2.0, statistic / 2.0);
            assert!((found / probability - 1.0).abs() < 0.002, "{degrees} {statistic}: {found}");
        }
    }

    /// With two degrees of freedom the distribution is exp(-x/2) exactly.
    #[test]
    fn small_probabilities_are_exact_with_two_degrees_of_freedom() {
        for statistic in [0.1, 1.0, 20.0, 27.631, 60.0] {
            let exact = (-statistic / 2.0_f64).exp();
            assert!((upper_gamma(1.0, statistic / 2.0) / exact - 1.0).abs() < 1e-9, "{statistic}");
        }
    }

    #[test]
    fn the_rule_passes_chance_and_fails_bias() {
        let check = |counts: &[u64], expected: bool| {
            assert_eq!(is_uniform(counts), expected, "{counts:?}: p = {}", uniform(counts));
        };
        check(&[], true);
        check(&[7], true);
        check(&[0, 0, 0], true);
        check(&[100, 100, 100], true);
        check(&[330, 345, 325], true);
        // 3.9 standard deviations: p is about 1e-4, unusual but chance.
        check(&[562, 438], true);
        check(&[600, 400], false);
        check(&[300, 300, 0], false);
        // exp(-10) with the statistic 20; ten times the sample makes it exp(-100).
        check(&[400, 300, 300], true);
        check(&[4000, 3000, 3000], false);
    }
}
