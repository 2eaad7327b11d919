//! When something that failed is tried again, and whether its failure is news.

use std::time::Duration;

use tokio::time::Instant;

/// Pauses after failures, each twice the one before up to a limit.
#[derive(Clone, Debug)]
pub(crate) struct Backoff {
    first: Duration,
    greatest: Duration,
    /// How long the pause after the next failure is.
    pause: Duration,
    until: Option<Instant>,
    error: Option<String>,
}

impl Backoff {
    pub(crate) fn new(first: Duration, greatest: Duration) -> Backoff {
        Backoff { first, greatest, pause: first, until: None, error: None }
    }

    /// Whether the last failure is too fresh to try again.
    pub(crate) fn holds(&self, now: Instant) -> bool {
        self.until.is_some_and(|until| now < until)
    }

    /// When it may be tried again, if the last attempt failed.
    pub(crate) fn until(&self) -> Option<Instant> {
        self.until
    }

    /// Whether the pauses have grown to this length.
    pub(crate) fn reached(&self, pause: Duration) -> bool {
        self.pause >= pause
    }

    /// What the last attempt said, if it failed.
    pub(crate) fn error(&self) -> Option<&str> {
        self.error.as_deref()
    }

    pub(crate) fn succeeded(&mut self) {
        (self.pause, self.until, self.error) = (self.first, None, None);
    }

    /// Begins a pause. Says whether this failure is another one than the last: one that lasts is told once.
    pub(crate) fn failed(&mut self, error: String, now: Instant) -> bool {
        let is_news = self.error.as_ref() != Some(&error);
        self.error = Some(error);
        self.until = Some(now + self.pause);
        self.pause = (self.pause * 2).min(self.greatest);
        is_news
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_limit_and_a_success_begins_anew() {
        let now = Instant::now();
        let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(5));
        assert!(!backoff.holds(now));
        for seconds in [1, 2, 4, 5, 5] {
            backoff.failed("no".to_owned(), now);
            assert_eq!(backoff.until(), Some(now + Duration::from_secs(seconds)));
        }
        assert!(backoff.holds(now + Duration::from_secs(4)) && !backoff.holds(now + Duration::from_secs(5)));
        backoff.succeeded();
        assert_eq!((backoff.until(), backoff.error()), (None, None));
        backoff.failed("no".to_owned(), now);
        assert_eq!(backoff.until(), Some(now + Duration::from_secs(1)));
    }

    #[test]
    fn a_failure_is_news_until_it_comes_again() {
        let now = Instant::now();
        let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(5));
        let told = ["no", "no", "not yet", "no"].map(|error| backoff.failed(error.to_owned(), now));
        assert_eq!(told, [true, false, true, true]);
    }
}
