use super::{Arrival, GAPS, Sequence};

fn taken(numbers: impl IntoIterator<Item = u64>) -> (Sequence, Vec<Arrival>) {
    let mut sequence = Sequence::default();
    let arrivals = numbers.into_iter().map(|number| sequence.take(number)).collect();
    (sequence, arrivals)
}

#[test]
fn what_comes_in_order_is_new() {
    let (sequence, arrivals) = taken(0..3);
    assert_eq!(arrivals, [Arrival::New(0..1), Arrival::New(1..2), Arrival::New(2..3)]);
    assert_eq!(sequence.lost(3), 0);
}

#[test]
fn what_is_skipped_is_lost_wherever_it_was() {
    assert_eq!(taken([]).0.lost(5), 5, "all");
    assert_eq!(taken([1, 2]).0.lost(3), 1, "the first");
    assert_eq!(taken([0, 2]).0.lost(3), 1, "one in the middle");
    assert_eq!(taken([0, 1]).0.lost(4), 2, "the last");
    assert_eq!(taken([1, 4, 6]).0.lost(9), 6);
}

#[test]
fn an_arrival_covers_what_was_skipped_so_that_nobody_waits_for_it() {
    assert_eq!(taken([0, 4]).1, [Arrival::New(0..1), Arrival::New(1..5)]);
}

#[test]
fn what_comes_behind_a_later_one_is_late_and_not_lost() {
    let (sequence, arrivals) = taken([2, 0, 1]);
    assert_eq!(arrivals, [Arrival::New(0..3), Arrival::Late, Arrival::Late]);
    assert_eq!(sequence.lost(3), 0);
}

#[test]
fn what_comes_again_is_a_duplicate_even_if_it_was_late() {
    let (sequence, arrivals) = taken([0, 0, 2, 1, 1, 2]);
    let (new, late, again) = (Arrival::New, Arrival::Late, Arrival::Duplicate);
    assert_eq!(arrivals, [new(0..1), again.clone(), new(1..3), late, again.clone(), again]);
    assert_eq!(sequence.lost(3), 0);
}

#[test]
fn it_counts_as_a_list_of_all_would() {
    // Numbers that jump back and forth, the same each time.
    let mut state = 1_u64;
    for _ in 0..200 {
        let (mut sequence, mut seen, mut high) = (Sequence::default(), Vec::new(), None);
        for _ in 0..50 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let number = (state >> 33) % 60;
            let arrival = sequence.take(number);
            let expected = match (seen.contains(&number), high) {
                (true, _) => Arrival::Duplicate,
                (false, Some(high)) if number < high => Arrival::Late,
                (false, high) => Arrival::New(high.map_or(0, |high| high + 1)..number + 1),
            };
            assert_eq!(arrival, expected);
            seen.push(number);
            high = high.max(Some(number));
        }
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(sequence.lost(60), 60 - seen.len() as u64);
    }
}

#[test]
fn of_too_many_gaps_the_oldest_are_forgotten_and_the_losses_are_not() {
    // Every other message is missing.
    let count = 3 * GAPS as u64;
    let (mut sequence, _) = taken((0..count).map(|number| 2 * number + 1));
    assert_eq!(sequence.lost(2 * count), count);
    assert!(sequence.gaps.len() <= GAPS);
    assert_eq!(sequence.take(0), Arrival::Late, "certainly behind later ones");
    assert_eq!(sequence.take(2 * count - 2), Arrival::Late);
    assert_eq!(sequence.take(2 * count - 2), Arrival::Duplicate);
}
