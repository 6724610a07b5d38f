use super::{Rate, Timeline};
use std::time::Duration;

fn schedules(total: u64, publishers: u64) -> Vec<Rate> {
    (0..publishers).map(|turn| Rate { total, publishers, turn }).collect()
}

#[test]
fn publishers_take_turns_at_even_distances() {
    let [first, second] = schedules(4, 2)[..] else { panic!() };
    let ms = |times: [u64; 3]| times.map(|time| time / 1_000_000);
    assert_eq!(ms([0, 1, 2].map(|number| first.due(number))), [0, 500, 1000]);
    assert_eq!(ms([0, 1, 2].map(|number| second.due(number))), [250, 750, 1250]);
}

#[test]
fn the_rate_is_what_was_asked_for() {
    for (total, publishers, ms) in
        [(1000, 3, 300), (7, 20, 1000), (1, 1, 10), (999_983, 100, 1500), (5, 3, 0), (100_000_000, 7, 2000)]
    {
        let length = Duration::from_millis(ms);
        let counts = schedules(total, publishers).into_iter().map(|rate| rate.within(length));
        let due = (u128::from(total) * u128::from(ms)).div_ceil(1000) as u64;
        assert_eq!(counts.sum::<u64>(), due, "{total} a second of {publishers} in {ms} ms");
    }
}

#[test]
fn what_is_within_a_time_is_due_before_its_end() {
    let length = Duration::from_millis(700);
    for rate in schedules(333, 10) {
        let count = rate.within(length);
        assert!(rate.due(count - 1) < length.as_nanos() as u64);
        // Due times are whole nanoseconds, rounded down.
        assert!(rate.due(count) + 1 >= length.as_nanos() as u64);
    }
}

#[test]
fn no_drift_after_a_day() {
    let rate = Rate { total: 3, publishers: 1, turn: 0 };
    assert_eq!(rate.due(3 * 86_400), 86_400_000_000_000);
}

#[test]
fn figures_count_between_warm_up_and_end() {
    let timeline = Timeline::new(100, Duration::from_nanos(20), Duration::from_nanos(30));
    let counted: Vec<u64> = (0..200).filter(|now| timeline.counts(*now)).collect();
    assert_eq!((counted[0], counted.len()), (120, 30));
    assert_eq!(timeline.length(), Duration::from_nanos(50));
}
