use super::*;
use proptest::{collection::vec, prelude::*};

/// What one vectored write of at most `slices` slices would send.
fn visible(outgoing: &Outgoing, slices: usize) -> Vec<u8> {
    let mut space = vec![IoSlice::new(&[]); slices];
    let used = outgoing.fill_slices(&mut space);
    space[..used].iter().flat_map(|slice| slice.to_vec()).collect()
}

#[test]
fn small_and_shared_bytes_keep_their_order() {
    let mut outgoing = Outgoing::new();
    outgoing.tail().extend(b"ab");
    outgoing.push_shared(&Payload::copied(b"cd"));
    outgoing.push_shared(&vec![b'X'; COPY_BELOW].into());
    outgoing.tail().extend(b"ef");
    assert_eq!(outgoing.len(), 6 + COPY_BELOW);
    let all = visible(&outgoing, 8);
    assert_eq!(&all[..5], b"abcdX");
    assert_eq!(&all[3 + COPY_BELOW..], b"Xef");
    assert_eq!(visible(&outgoing, 1), b"abcd");
    outgoing.consume(5);
    assert_eq!(visible(&outgoing, 8), all[5..]);
    outgoing.consume(usize::MAX);
    assert!(outgoing.is_empty());
}

#[test]
fn large_shared_frames_are_not_copied() {
    let frame = Payload::from(vec![7; COPY_BELOW]);
    let mut outgoing = Outgoing::new();
    outgoing.push_shared(&frame);
    let mut slices = [IoSlice::new(&[])];
    assert_eq!(outgoing.fill_slices(&mut slices), 1);
    assert_eq!(slices[0].as_ptr(), frame.as_ptr());
}

#[test]
fn an_idle_connection_holds_no_buffer() {
    let mut outgoing = Outgoing::new();
    outgoing.tail().extend(b"ab");
    outgoing.push_shared(&vec![7; COPY_BELOW].into());
    outgoing.consume(1);
    outgoing.release();
    assert_eq!(outgoing.len(), 1 + COPY_BELOW, "release keeps what waits");
    outgoing.consume(1 + COPY_BELOW);
    outgoing.release();
    assert_eq!((outgoing.copied.capacity(), outgoing.shared.capacity()), (0, 0));
}

#[test]
fn a_queue_that_is_never_empty_does_not_keep_what_it_sent() {
    let mut outgoing = Outgoing::new();
    for _ in 0..1_000 {
        outgoing.tail().extend([0; 1_000]);
        outgoing.consume(outgoing.len() - 1);
    }
    assert!(outgoing.copied.capacity() < 4 * COMPACT_FROM, "{}", outgoing.copied.capacity());
}

#[derive(Clone, Debug)]
enum Step {
    Append(Vec<u8>),
    Share(Vec<u8>),
    Consume(usize),
    Release,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        vec(any::<u8>(), 0..3_000).prop_map(Step::Append),
        vec(any::<u8>(), 0..200).prop_map(Step::Share),
        vec(any::<u8>(), COPY_BELOW - 1..3 * COPY_BELOW).prop_map(Step::Share),
        (0..9_000_usize).prop_map(Step::Consume),
        Just(Step::Release),
    ]
}

proptest! {
    #[test]
    fn any_mix_of_appends_and_writes_sends_the_same_bytes(
        steps in vec(step(), 0..60),
        slices in 1..6_usize,
    ) {
        let (mut outgoing, mut want, mut sent) = (Outgoing::new(), Vec::new(), Vec::new());
        for step in steps {
            match step {
                Step::Append(bytes) => {
                    want.extend_from_slice(&bytes);
                    outgoing.tail().extend(bytes);
                }
                Step::Share(bytes) => {
                    want.extend_from_slice(&bytes);
                    outgoing.push_shared(&bytes.into());
                }
                Step::Consume(n) => {
                    let written = visible(&outgoing, slices);
                    let n = n.min(written.len());
                    sent.extend_from_slice(&written[..n]);
                    outgoing.consume(n);
                }
                Step::Release => outgoing.release(),
            }
            prop_assert_eq!(outgoing.len(), want.len() - sent.len());
        }
        while !outgoing.is_empty() {
            let written = visible(&outgoing, slices);
            prop_assert!(!written.is_empty());
            outgoing.consume(written.len());
            sent.extend(written);
        }
        prop_assert_eq!(sent, want);
    }
}
