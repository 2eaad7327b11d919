use super::*;

const PAUSES: Pauses = Pauses {
    failed: (Duration::from_millis(50), Duration::from_secs(30)),
    behind: (Duration::from_millis(1), Duration::from_secs(1)),
};

fn queue(at_once: usize) -> (Queue<&'static str, u32>, watch::Receiver<LastRun>) {
    let (shown, last) = watch::channel(LastRun::default());
    (Queue::new(at_once, PAUSES, shown), last)
}

/// How long it takes until a key that was just set back can be taken again.
async fn pause_of(queue: &mut Queue<&'static str, u32>, key: &'static str) -> Duration {
    let begun = Instant::now();
    assert_eq!(queue.take(), None);
    assert_eq!(queue.next().await, None, "the pause ends");
    assert_eq!(queue.take(), Some(key));
    begun.elapsed()
}

#[tokio::test(start_paused = true)]
async fn a_key_is_under_way_once_and_keys_only_so_many_at_once() {
    let (mut queue, _) = queue(2);
    for key in ["a", "b", "c"] {
        queue.mark(key);
    }
    let first = queue.take().expect("a key is marked");
    queue.start(first, async { 1 });
    queue.mark("a");
    let second = queue.take().expect("another key is marked");
    assert_eq!((first, second), ("a", "b"));
    queue.start(second, pending());
    assert_eq!(queue.take(), None, "two are under way");
    assert_eq!(queue.next().await, Some(("a", 1)));
    assert_eq!(queue.take(), Some("c"), "it waits for longer than what was marked meanwhile");
    queue.start("c", async { 3 });
    assert_eq!(queue.next().await, Some(("c", 3)));
    assert_eq!(queue.take(), Some("a"), "it was marked meanwhile");
}

#[tokio::test(start_paused = true)]
async fn one_key_that_waits_out_a_failure_holds_up_no_other() {
    let (mut queue, last) = queue(1);
    queue.failed("a", &std::io::Error::other("not yet"));
    assert_eq!((last.borrow().failures, last.borrow().error.as_deref()), (1, Some("not yet")));
    queue.mark("a");
    queue.mark("b");
    assert_eq!(queue.take(), Some("b"));
    assert_eq!(queue.take(), None);
}

#[tokio::test(start_paused = true)]
async fn conflicts_and_failures_are_counted_apart_until_a_success() {
    let (mut queue, last) = queue(1);
    for _ in 0..20 {
        queue.behind("a");
        pause_of(&mut queue, "a").await;
    }
    assert_eq!(last.borrow().error, None, "being behind is no failure");
    queue.behind("a");
    assert!(pause_of(&mut queue, "a").await <= Duration::from_millis(1_010));
    queue.failed("a", &std::io::Error::other("not yet"));
    assert!(pause_of(&mut queue, "a").await < Duration::from_millis(60), "the first failure is the first");
    queue.failed("a", &std::io::Error::other("not yet"));
    assert!(pause_of(&mut queue, "a").await >= Duration::from_millis(100), "the second pause is longer");
    queue.done(&"a");
    queue.behind("a");
    assert!(pause_of(&mut queue, "a").await < Duration::from_millis(10), "after a success all begins anew");
}

#[tokio::test(start_paused = true)]
async fn a_key_that_is_forgotten_pauses_no_more() {
    let (mut queue, _) = queue(1);
    queue.failed("a", &std::io::Error::other("not yet"));
    queue.forget(&"a");
    queue.mark("a");
    assert_eq!(queue.take(), Some("a"));
    assert!(queue.setbacks.is_empty() && queue.due.is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_fails_is_shown_until_it_fails_no_more_whatever_becomes_of_the_others() {
    let (mut queue, last) = queue(1);
    let shown = || (last.borrow().failures, last.borrow().error.clone());
    queue.failed("a", &std::io::Error::other("full"));
    queue.failed("b", &std::io::Error::other("refused"));
    queue.done(&"c");
    queue.behind("d");
    assert_eq!(shown(), (2, Some("full".to_owned())));
    queue.settled(&"a");
    assert_eq!(shown(), (1, Some("refused".to_owned())));
    queue.behind("b");
    assert_eq!(shown(), (1, Some("refused".to_owned())), "being behind is no success");
    queue.forget(&"b");
    assert_eq!(shown(), (0, None));
    assert_eq!(last.borrow().runs, 5, "what needs nothing is no run");
}
