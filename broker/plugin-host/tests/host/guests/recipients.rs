//! Guests that decide who gets a message, and what of it.

use super::{COMMON, LIFECYCLE, exporting};

/// `select` by the first letter of the topic: `o` keeps the last candidate only, `x` all but the first, `c` the first for 5 s, `i` one that is not
/// there, `d` the first twice, `t` traps; else all. `pick` in the same way: `o` the last member, `i` one that is not there, `t` traps; else
/// none.
pub fn subscribers() -> Vec<u8> {
    exporting(
        &format!(
            r#"(module {COMMON} {LIFECYCLE}
            ;; one index, or the first twice
            (func $choice (param $case i32) (param $index i32) (param $count i32) (param $ttl i32) (result i32)
                (i32.store (i32.const 2048) (local.get $index))
                (i32.store (i32.const 2052) (local.get $index))
                (i32.store8 (i32.const 1024) (local.get $case))
                (i32.store (i32.const 1028) (i32.const 2048))
                (i32.store (i32.const 1032) (local.get $count))
                (i32.store (i32.const 1036) (local.get $ttl))
                (call $done))
            (func (export "tidegate:plugin/subscribers@0.1.0#select") (param $m i32) (result i32)
                (local $c i32) (local $n i32)
                (local.set $c (i32.load8_u (i32.load offset=8 (local.get $m))))
                (local.set $n (i32.load offset=68 (local.get $m)))
                (if (i32.eq (local.get $c) (i32.const 0x74)) (then unreachable))
                (if (i32.eq (local.get $c) (i32.const 0x6f)) (then
                    (return (call $choice (i32.const 1) (i32.sub (local.get $n) (i32.const 1)) (i32.const 1) (i32.const 0)))))
                (if (i32.eq (local.get $c) (i32.const 0x78)) (then
                    (return (call $choice (i32.const 2) (i32.const 0) (i32.const 1) (i32.const 0)))))
                (if (i32.eq (local.get $c) (i32.const 0x63)) (then
                    (return (call $choice (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 5000)))))
                (if (i32.eq (local.get $c) (i32.const 0x69)) (then
                    (return (call $choice (i32.const 1) (local.get $n) (i32.const 1) (i32.const 0)))))
                (if (i32.eq (local.get $c) (i32.const 0x64)) (then
                    (return (call $choice (i32.const 1) (i32.const 0) (i32.const 2) (i32.const 0)))))
                (call $choice (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)))
            (func $member (param $some i32) (param $index i32) (result i32)
                (i32.store8 (i32.const 1024) (local.get $some))
                (i32.store (i32.const 1028) (local.get $index))
                (call $done))
            (func (export "tidegate:plugin/subscribers@0.1.0#pick") (param $m i32) (result i32)
                (local $c i32) (local $n i32)
                (local.set $c (i32.load8_u (i32.load offset=8 (local.get $m))))
                (local.set $n (i32.load offset=76 (local.get $m)))
                (if (i32.eq (local.get $c) (i32.const 0x74)) (then unreachable))
                (if (i32.eq (local.get $c) (i32.const 0x6f)) (then
                    (return (call $member (i32.const 1) (i32.sub (local.get $n) (i32.const 1))))))
                (if (i32.eq (local.get $c) (i32.const 0x69)) (then
                    (return (call $member (i32.const 1) (local.get $n)))))
                (call $member (i32.const 0) (i32.const 0))))"#
        ),
        &["subscribers"],
    )
}

/// What a recipient gets, by the first letter of the topic: `e` its own client identifier as payload, `q` another QoS, `d` nothing, `t` traps; else
/// the message. Asks for the topics that `filter` matches, for all if it is empty.
pub fn deliver(filter: &str) -> Vec<u8> {
    let (filters, len) = (i32::from(!filter.is_empty()), filter.len());
    exporting(
        &format!(
            r#"(module {COMMON}
            (data (i32.const 2048) "deliver")
            (data (i32.const 2060) "{filter}")
            (func (export "tidegate:plugin/lifecycle@0.1.0#init")
                (param i32 i32 i64 i32 i32 i32 i32 i32) (result i32)
                ;; the filters
                (i32.store (i32.const 3200) (i32.const 2060))
                (i32.store (i32.const 3204) (i32.const {len}))
                ;; one scope: hook, filters, wants
                (i32.store (i32.const 3000) (i32.const 2048))
                (i32.store (i32.const 3004) (i32.const 7))
                (i32.store (i32.const 3008) (i32.const 3200))
                (i32.store (i32.const 3012) (i32.const {filters}))
                (i64.store (i32.const 3016) (i64.const 0))
                (i32.store (i32.const 1024) (i32.const 0))
                (i32.store (i32.const 1028) (i32.const 3000))
                (i32.store (i32.const 1032) (i32.const 1))
                (call $done))
            (func (export "tidegate:plugin/lifecycle@0.1.0#drain") (result i32)
                (i32.store8 (i32.const 1024) (i32.const 0))
                (call $done))
            (func (export "tidegate:plugin/deliver@0.1.0#on-deliver") (param $m i32) (result i32)
                (local $c i32)
                (local.set $c (i32.load8_u (i32.load offset=8 (local.get $m))))
                (memory.fill (i32.const 1024) (i32.const 0) (i32.const 64))
                (if (i32.eq (local.get $c) (i32.const 0x74)) (then unreachable))
                (if (i32.eq (local.get $c) (i32.const 0x65)) (then
                    (i32.store8 (i32.const 1024) (i32.const 1))
                    (i32.store8 (i32.const 1040) (i32.const 1))
                    (i32.store (i32.const 1044) (i32.load offset=72 (local.get $m)))
                    (i32.store (i32.const 1048) (i32.load offset=76 (local.get $m)))))
                (if (i32.eq (local.get $c) (i32.const 0x71)) (then
                    (i32.store8 (i32.const 1024) (i32.const 1))
                    (i32.store8 (i32.const 1052) (i32.const 1))))
                (if (i32.eq (local.get $c) (i32.const 0x64)) (then (i32.store8 (i32.const 1024) (i32.const 2))))
                (call $done)))"#
        ),
        &["deliver"],
    )
}
