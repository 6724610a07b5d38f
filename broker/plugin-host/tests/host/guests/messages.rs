//! Guests that decide about messages and subscriptions.

use super::{COMMON, LIFECYCLE, MESSAGE, exporting};

/// For `$answers`, one after the other behind 512 KiB: where the next one is written.
const ANSWERS: &str = r#"
    (global $to (mut i32) (i32.const 524288))
    (func $begin (param $len i32)
        (global.set $to (i32.const 524288))
        (memory.fill (i32.const 524288) (i32.const 0) (local.get $len)))
    ;; the list of so many answers
    (func $answers (param $count i32) (result i32)
        (i32.store (i32.const 1024) (i32.const 524288))
        (i32.store (i32.const 1028) (local.get $count))
        (call $done))
"#;

/// Takes messages in batches, each by the first letter of its topic: `s` swallows, `r` refuses (0x87), `R` refuses with success, `e` gives
/// the topic `says`, `b` gives the number of messages in the batch as topic, `t` traps, `f` answers one message too few.
pub fn batch(says: &str) -> Vec<u8> {
    let len = says.len();
    exporting(
        &format!(
            r#"(module {COMMON} {LIFECYCLE} {ANSWERS}
            (data (i32.const 2048) "{says}")
            (func $topic (param $ptr i32) (param $len i32)
                (i32.store8 (global.get $to) (i32.const 2))
                (i32.store8 offset=4 (global.get $to) (i32.const 1))
                (i32.store offset=8 (global.get $to) (local.get $ptr))
                (i32.store offset=12 (global.get $to) (local.get $len)))
            (func (export "tidegate:plugin/publish-batch@0.1.0#on-publish") (param $at i32) (param $count i32) (result i32)
                (local $left i32) (local $less i32) (local $c i32)
                (call $begin (i32.mul (local.get $count) (i32.const 44)))
                (local.set $left (local.get $count))
                (loop $on
                    (local.set $c (i32.load8_u (i32.load offset=8 (local.get $at))))
                    (if (i32.eq (local.get $c) (i32.const 0x74)) (then unreachable))
                    (if (i32.eq (local.get $c) (i32.const 0x66)) (then (local.set $less (i32.const 1))))
                    (if (i32.eq (local.get $c) (i32.const 0x73)) (then (i32.store8 (global.get $to) (i32.const 4))))
                    (if (i32.eq (local.get $c) (i32.const 0x72)) (then
                        (i32.store8 (global.get $to) (i32.const 3))
                        (i32.store8 offset=4 (global.get $to) (i32.const 0x87))))
                    (if (i32.eq (local.get $c) (i32.const 0x52)) (then (i32.store8 (global.get $to) (i32.const 3))))
                    (if (i32.eq (local.get $c) (i32.const 0x65)) (then (call $topic (i32.const 2048) (i32.const {len}))))
                    (if (i32.eq (local.get $c) (i32.const 0x62)) (then
                        (i32.store8 (i32.const 2300) (i32.add (i32.const 48) (local.get $count)))
                        (call $topic (i32.const 2300) (i32.const 1))))
                    (local.set $at (i32.add (local.get $at) (i32.const 64)))
                    (global.set $to (i32.add (global.get $to) (i32.const 44)))
                    (local.set $left (i32.sub (local.get $left) (i32.const 1)))
                    (br_if $on (local.get $left)))
                (call $answers (i32.sub (local.get $count) (local.get $less)))))"#
        ),
        &["publish-batch"],
    )
}

/// Exports both ways to take messages, which is one too many.
pub fn publish_twice() -> Vec<u8> {
    exporting(
        &format!(
            r#"(module {COMMON} {LIFECYCLE}
            (func (export "tidegate:plugin/publish@0.1.0#on-publish") {MESSAGE} (result i32) unreachable)
            (func (export "tidegate:plugin/publish-batch@0.1.0#on-publish") (param i32 i32) (result i32) unreachable))"#
        ),
        &["publish", "publish-batch"],
    )
}

/// Tells what `current` says, as topic: for topics beginning with `A` the attribute `team`, `N` the number of attributes, `O` the origin, `H`
/// the hops, `p` the payload's first five bytes. What there is none of is `none`.
pub fn current() -> Vec<u8> {
    exporting(
        &format!(
            r#"(module
            (import "tidegate:plugin/current@0.1.0" "read" (func $read (param i32 i32 i32)))
            (import "tidegate:plugin/current@0.1.0" "attribute" (func $attribute (param i32 i32 i32)))
            (import "tidegate:plugin/current@0.1.0" "attributes" (func $attributes (param i32)))
            (import "tidegate:plugin/current@0.1.0" "origin" (func $origin (param i32)))
            (import "tidegate:plugin/current@0.1.0" "hops" (func $hops (result i32)))
            {COMMON} {LIFECYCLE}
            (data (i32.const 2048) "teamnone")
            (func $edit (param $ptr i32) (param $len i32) (result i32)
                (memory.fill (i32.const 1024) (i32.const 0) (i32.const 64))
                (i32.store8 (i32.const 1024) (i32.const 2))
                (i32.store8 (i32.const 1028) (i32.const 1))
                (i32.store (i32.const 1032) (local.get $ptr))
                (i32.store (i32.const 1036) (local.get $len))
                (call $done))
            (func $option (result i32)
                (if (result i32) (i32.load8_u (i32.const 1200))
                    (then (call $edit (i32.load (i32.const 1204)) (i32.load (i32.const 1208))))
                    (else (call $edit (i32.const 2052) (i32.const 4)))))
            (func $number (param i32) (result i32)
                (i32.store8 (i32.const 2300) (i32.add (i32.const 48) (local.get 0)))
                (call $edit (i32.const 2300) (i32.const 1)))
            (func (export "tidegate:plugin/publish@0.1.0#on-publish") {MESSAGE} (result i32)
                (local $c i32)
                (local.set $c (i32.load8_u (local.get $topic)))
                (if (i32.eq (local.get $c) (i32.const 0x41)) (then
                    (call $attribute (i32.const 2048) (i32.const 4) (i32.const 1200))
                    (return (call $option))))
                (if (i32.eq (local.get $c) (i32.const 0x4e)) (then
                    (call $attributes (i32.const 1200))
                    (return (call $number (i32.load (i32.const 1204))))))
                (if (i32.eq (local.get $c) (i32.const 0x4f)) (then
                    (call $origin (i32.const 1200))
                    (return (call $option))))
                (if (i32.eq (local.get $c) (i32.const 0x48)) (then (return (call $number (call $hops)))))
                (call $read (i32.const 0) (i32.const 5) (i32.const 1200))
                (call $edit (i32.load (i32.const 1200)) (i32.load (i32.const 1204)))))"#
        ),
        &["publish"],
    )
}

/// Each subscription by the first letter of its filter: `a` accepts, `e` changes it to `says`, `q` lowers it to QoS 0, `Q` asks for QoS 2, `w`
/// gives a filter that is none, `r` refuses (0x8F), `R` refuses with a code of PUBACK only, `t` traps.
pub fn subscribe(says: &str) -> Vec<u8> {
    let len = says.len();
    exporting(
        &format!(
            r#"(module {COMMON} {LIFECYCLE} {ANSWERS}
            (data (i32.const 2048) "{says}")
            (data (i32.const 2400) "a/#/b")
            (func $filter (param $ptr i32) (param $len i32)
                (i32.store8 (global.get $to) (i32.const 2))
                (i32.store8 offset=4 (global.get $to) (i32.const 1))
                (i32.store offset=8 (global.get $to) (local.get $ptr))
                (i32.store offset=12 (global.get $to) (local.get $len)))
            (func $qos (param $qos i32)
                (i32.store8 (global.get $to) (i32.const 2))
                (i32.store8 offset=16 (global.get $to) (i32.const 1))
                (i32.store8 offset=17 (global.get $to) (local.get $qos)))
            (func $refuse (param $code i32)
                (i32.store8 (global.get $to) (i32.const 3))
                (i32.store8 offset=4 (global.get $to) (local.get $code)))
            (func (export "tidegate:plugin/subscribe@0.1.0#on-subscribe") (param $at i32) (param $count i32) (result i32)
                (local $left i32) (local $c i32)
                (call $begin (i32.mul (local.get $count) (i32.const 20)))
                (local.set $left (local.get $count))
                (loop $on
                    (local.set $c (i32.load8_u (i32.load offset=28 (local.get $at))))
                    (if (i32.eq (local.get $c) (i32.const 0x74)) (then unreachable))
                    (if (i32.eq (local.get $c) (i32.const 0x61)) (then (i32.store8 (global.get $to) (i32.const 1))))
                    (if (i32.eq (local.get $c) (i32.const 0x65)) (then (call $filter (i32.const 2048) (i32.const {len}))))
                    (if (i32.eq (local.get $c) (i32.const 0x77)) (then (call $filter (i32.const 2400) (i32.const 5))))
                    (if (i32.eq (local.get $c) (i32.const 0x71)) (then (call $qos (i32.const 0))))
                    (if (i32.eq (local.get $c) (i32.const 0x51)) (then (call $qos (i32.const 2))))
                    (if (i32.eq (local.get $c) (i32.const 0x72)) (then (call $refuse (i32.const 0x8F))))
                    (if (i32.eq (local.get $c) (i32.const 0x52)) (then (call $refuse (i32.const 0x99))))
                    (local.set $at (i32.add (local.get $at) (i32.const 48)))
                    (global.set $to (i32.add (global.get $to) (i32.const 20)))
                    (local.set $left (i32.sub (local.get $left) (i32.const 1)))
                    (br_if $on (local.get $left)))
                (call $answers (local.get $count))))"#
        ),
        &["subscribe"],
    )
}
