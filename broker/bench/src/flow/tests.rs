use super::Flow;

fn begun(receivers: u32, window: Option<u64>, count: u64) -> Flow {
    let flow = Flow::new(0, 0, receivers, window);
    (0..count).for_each(|number| flow.begin(number));
    flow
}

#[test]
fn with_one_receiver_what_it_has_is_complete() {
    let flow = begun(1, Some(4), 4);
    assert_eq!(flow.completed(4), 0);
    assert!(flow.received(0..1));
    assert!(flow.received(1..3), "one was skipped");
    assert_eq!(flow.completed(4), 3);
}

#[test]
fn with_many_receivers_the_last_completes() {
    let flow = begun(3, Some(4), 4);
    assert!(!flow.received(0..2));
    assert!(!flow.received(0..1));
    assert!(flow.received(0..1));
    assert_eq!(flow.completed(4), 1);
    assert!(!flow.received(1..2));
    assert!(flow.received(1..4));
    assert_eq!(flow.completed(4), 2);
}

#[test]
fn a_window_goes_on_for_ever() {
    let flow = begun(2, Some(3), 0);
    for number in 0..100 {
        flow.begin(number);
        assert!(!flow.received(number..number + 1));
        assert!(flow.received(number..number + 1));
        assert_eq!(flow.completed(number + 1), number + 1);
    }
}

#[test]
fn what_was_given_up_counts_no_more() {
    for receivers in [1, 2] {
        let flow = begun(receivers, Some(4), 4);
        flow.give_up(4);
        assert_eq!(flow.completed(4), 4);
        flow.begin(4);
        // A receiver that was behind has them all now.
        (0..receivers).for_each(|_| {
            flow.received(0..5);
        });
        assert_eq!(flow.completed(5), 5);
    }
}

#[test]
fn an_open_loop_waits_for_nobody() {
    let flow = begun(2, None, 10);
    assert!(!flow.received(0..1));
    assert_eq!(flow.completed(10), 10);
}
