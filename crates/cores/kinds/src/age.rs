//! Timestamps, and how long ago they were, as `kubectl` writes it.

use jiff::{SignedDuration, Timestamp};

/// What stands in the `Age` column: the time from `then` to `now`, both RFC 3339.
pub fn age(then: Option<&str>, now: &str) -> String {
    let parsed = then.and_then(|then| Some((then.parse::<Timestamp>().ok()?, now.parse::<Timestamp>().ok()?)));
    match parsed {
        Some((then, now)) => human(now.duration_since(then)),
        None => "<unknown>".to_owned(),
    }
}

/// `text` plus `seconds`, RFC 3339 in whole seconds. Out of range it is `text` itself.
pub(crate) fn later(text: &str, seconds: i64) -> String {
    let moved =
        text.parse::<Timestamp>().ok().and_then(|time| time.checked_add(SignedDuration::from_secs(seconds)).ok());
    match moved {
        Some(time) => time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        None => text.to_owned(),
    }
}

/// Two units at most, and only while the smaller one tells something.
pub(crate) fn human(duration: SignedDuration) -> String {
    let seconds = duration.as_secs();
    let (minutes, hours) = (seconds / 60, seconds / 3600);
    let (days, years) = (hours / 24, hours / 24 / 365);
    match seconds {
        ..-1 => "<invalid>".to_owned(),
        -1 => "0s".to_owned(),
        _ if seconds < 2 * 60 => format!("{seconds}s"),
        _ if minutes < 10 => two(minutes, "m", seconds % 60, "s"),
        _ if minutes < 3 * 60 => format!("{minutes}m"),
        _ if hours < 8 => two(hours, "h", minutes % 60, "m"),
        _ if hours < 48 => format!("{hours}h"),
        _ if hours < 8 * 24 => two(days, "d", hours % 24, "h"),
        _ if hours < 2 * 365 * 24 => format!("{days}d"),
        _ if hours < 8 * 365 * 24 => two(years, "y", days % 365, "d"),
        _ => format!("{years}y"),
    }
}

fn two(large: i64, large_unit: &str, small: i64, small_unit: &str) -> String {
    if small == 0 { format!("{large}{large_unit}") } else { format!("{large}{large_unit}{small}{small_unit}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_written_as_kubectl_writes_them() {
        #[rustfmt::skip]
        let cases = [
            (-100,                 "<invalid>"),
            (-1,                   "0s"),
            (0,                    "0s"),
            (5,                    "5s"),
            (119,                  "119s"),
            (120,                  "2m"),
            (123,                  "2m3s"),
            (9 * 60 + 59,          "9m59s"),
            (10 * 60 + 30,         "10m"),
            (179 * 60,             "179m"),
            (3 * 3600 + 4 * 60,    "3h4m"),
            (3 * 3600,             "3h"),
            (8 * 3600 + 59 * 60,   "8h"),
            (47 * 3600,            "47h"),
            (48 * 3600,            "2d"),
            (51 * 3600,            "2d3h"),
            (5 * 86400,            "5d"),
            (8 * 86400 + 5 * 3600, "8d"),
            (365 * 86400,          "365d"),
            (2 * 365 * 86400,      "2y"),
            (765 * 86400,          "2y35d"),
            (9 * 365 * 86400,      "9y"),
        ];
        for (seconds, expected) in cases {
            assert_eq!(human(SignedDuration::from_secs(seconds)), expected, "{seconds} s");
        }
    }

    #[test]
    fn an_age_without_a_timestamp_is_unknown() {
        assert_eq!(age(None, "2026-01-01T00:00:00Z"), "<unknown>");
        assert_eq!(age(Some("yesterday"), "2026-01-01T00:00:00Z"), "<unknown>");
        assert_eq!(age(Some("2025-12-31T23:59:00Z"), "2026-01-01T00:00:00Z"), "60s");
        assert_eq!(age(Some("2025-12-31T23:59:00.123456Z"), "2026-01-01T00:00:00Z"), "59s");
    }

    #[test]
    fn later_never_leaves_the_calendar() {
        assert_eq!(later("2026-01-01T00:00:00Z", 30), "2026-01-01T00:00:30Z");
        assert_eq!(later("2026-01-01T00:00:00Z", i64::MAX), "2026-01-01T00:00:00Z");
        assert_eq!(later("nonsense", 1), "nonsense");
    }
}
