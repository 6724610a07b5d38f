use super::Meeting;
use crate::failure::Failure;
use std::{
    sync::atomic::{AtomicUsize, Ordering::SeqCst},
    thread,
};

#[test]
fn nobody_goes_on_before_all_are_here() {
    let (meeting, arrived) = (Meeting::new(3), AtomicUsize::new(0));
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                for round in 1..=50 {
                    arrived.fetch_add(1, SeqCst);
                    meeting.wait().unwrap();
                    assert!(arrived.load(SeqCst) >= 3 * round);
                    meeting.wait().unwrap();
                }
            });
        }
    });
}

#[test]
fn a_failure_ends_all_waiting() {
    let meeting = Meeting::new(2);
    thread::scope(|scope| {
        let waits = scope.spawn(|| meeting.wait());
        meeting.fail();
        assert!(matches!(waits.join().unwrap(), Err(Failure::Stopped)));
    });
    assert!(meeting.wait().is_err());
}

#[test]
fn the_first_interruption_is_gentle() {
    let meeting = Meeting::new(1);
    meeting.interrupt();
    assert!(meeting.is_interrupted() && !meeting.has_failed());
    meeting.wait().unwrap();
    meeting.interrupt();
    assert!(meeting.has_failed());
}
