//! Guests whose hooks may take their time.

use super::{COMMON, LIFECYCLE, exporting};

const LOG: &str = r#"(import "tidegate:plugin/logging@0.1.0" "log" (func $log (param i32 i32 i32 i32 i32)))"#;

/// Authenticates in steps. `authenticate` asks `who?` and leaves the state `first`. `proceed` by the first letter of what the client says: `g` grants
/// with the data `welcome`, `r` refuses with 0x87, `R` with 0x8E, `t` traps, else asks again: its data is the state, followed by `!` if the
/// client is in already, its state `second`.
pub fn steps() -> Vec<u8> {
    exporting(
        &format!(
            r#"(module {COMMON} {LIFECYCLE}
            (data (i32.const 2048) "who?firstsecondwelcome")
            (func $challenge (param $data i32) (param $data-len i32) (param $state i32) (param $state-len i32) (result i32)
                (i32.store8 (i32.const 1024) (i32.const 3))
                (i32.store (i32.const 1032) (local.get $data))
                (i32.store (i32.const 1036) (local.get $data-len))
                (i32.store (i32.const 1040) (local.get $state))
                (i32.store (i32.const 1044) (local.get $state-len))
                (call $done))
            (func $refuse (param $code i32) (result i32)
                (memory.fill (i32.const 1024) (i32.const 0) (i32.const 64))
                (i32.store8 (i32.const 1024) (i32.const 2))
                (i32.store8 (i32.const 1032) (local.get $code))
                (call $done))
            (func (export "tidegate:plugin/auth@0.1.0#authenticate") (param i32) (result i32)
                (call $challenge (i32.const 2048) (i32.const 4) (i32.const 2052) (i32.const 5)))
            (func (export "tidegate:plugin/enhanced-auth@0.1.0#proceed") (param $m i32) (result i32)
                (local $c i32) (local $len i32)
                (if (i32.load8_u offset=104 (local.get $m)) (then
                    (local.set $c (i32.load8_u (i32.load offset=108 (local.get $m))))))
                (if (i32.eq (local.get $c) (i32.const 0x74)) (then unreachable))
                (if (i32.eq (local.get $c) (i32.const 0x72)) (then (return (call $refuse (i32.const 0x87)))))
                (if (i32.eq (local.get $c) (i32.const 0x52)) (then (return (call $refuse (i32.const 0x8E)))))
                (if (i32.eq (local.get $c) (i32.const 0x67)) (then
                    (memory.fill (i32.const 1024) (i32.const 0) (i32.const 128))
                    (i32.store8 (i32.const 1024) (i32.const 1))
                    (i32.store8 (i32.const 1088) (i32.const 1))
                    (i32.store (i32.const 1092) (i32.const 2063))
                    (i32.store (i32.const 1096) (i32.const 7))
                    (return (call $done))))
                (local.set $len (i32.load offset=100 (local.get $m)))
                (memory.copy (i32.const 4096) (i32.load offset=96 (local.get $m)) (local.get $len))
                (if (i32.load8_u offset=116 (local.get $m)) (then
                    (i32.store8 (i32.add (i32.const 4096) (local.get $len)) (i32.const 0x21))
                    (local.set $len (i32.add (local.get $len) (i32.const 1)))))
                (call $challenge (i32.const 4096) (local.get $len) (i32.const 2057) (i32.const 6))))"#
        ),
        &["auth", "enhanced-auth"],
    )
}

/// Writes the kind of the first event of each batch to the log, with `says` before it in a line of its own if events were lost. Traps at one whose kind begins
/// with `w`. Wants the events named `wants`.
pub fn events(says: &str, wants: &str) -> Vec<u8> {
    let (len, count, wants_len) = (says.len(), i32::from(!wants.is_empty()), wants.len());
    exporting(
        &format!(
            r#"(module {LOG} {COMMON}
            (data (i32.const 2048) "events")
            (data (i32.const 2060) "{wants}")
            (data (i32.const 2100) "{says}")
            (func (export "tidegate:plugin/lifecycle@0.1.0#init")
                (param i32 i32 i64 i32 i32 i32 i32 i32) (result i32)
                (i32.store (i32.const 3200) (i32.const 2060))
                (i32.store (i32.const 3204) (i32.const {wants_len}))
                ;; one scope: hook, filters, wants
                (i32.store (i32.const 3000) (i32.const 2048))
                (i32.store (i32.const 3004) (i32.const 6))
                (i64.store (i32.const 3008) (i64.const 0))
                (i32.store (i32.const 3016) (i32.const 3200))
                (i32.store (i32.const 3020) (i32.const {count}))
                (i32.store (i32.const 1024) (i32.const 0))
                (i32.store (i32.const 1028) (i32.const 3000))
                (i32.store (i32.const 1032) (i32.const 1))
                (call $done))
            (func (export "tidegate:plugin/lifecycle@0.1.0#drain") (result i32)
                (i32.store8 (i32.const 1024) (i32.const 0))
                (call $done))
            (func (export "tidegate:plugin/events@0.1.0#on-events") (param $at i32) (param $count i32) (param $lost i64)
                (if (i32.eq (i32.load8_u (i32.load (local.get $at))) (i32.const 0x77)) (then unreachable))
                (if (i64.ne (local.get $lost) (i64.const 0)) (then
                    (call $log (i32.const 2) (i32.const 2100) (i32.const {len}) (i32.const 0) (i32.const 0))))
                (call $log (i32.const 2) (i32.load (local.get $at)) (i32.load offset=4 (local.get $at)) (i32.const 0) (i32.const 0))
                (drop (call $done))))"#
        ),
        &["events"],
    )
}

/// Writes `says` to the log at every timer but 0, where it traps.
#[allow(dead_code, reason = "for unit tests")]
pub fn timer(says: &str) -> Vec<u8> {
    let len = says.len();
    exporting(
        &format!(
            r#"(module {LOG} {COMMON} {LIFECYCLE}
            (data (i32.const 2048) "{says}")
            (func (export "tidegate:plugin/timer-handler@0.1.0#on-timer") (param $token i64)
                (if (i64.eqz (local.get $token)) (then unreachable))
                (call $log (i32.const 2) (i32.const 2048) (i32.const {len}) (i32.const 0) (i32.const 0))))"#
        ),
        &["timer-handler"],
    )
}

/// Keeps one record: the last that was put. Format 9 is fatal, a commit to table 9 is to be tried again. Table 66 traps, and a scan of table 77 answers with
/// rows in the wrong order. Traps where it was not opened before.
pub fn storage() -> Vec<u8> {
    exporting(
        &format!(
            r#"(module {COMMON} {LIFECYCLE}
            (data (i32.const 2048) "formatlater")
            ;; two rows, the second before the first
            (data (i32.const 2100) "ba")
            (data (i32.const 2200) "\34\08\00\00\01\00\00\00\34\08\00\00\01\00\00\00\35\08\00\00\01\00\00\00\34\08\00\00\01\00\00\00")
            (global $open (mut i32) (i32.const 0))
            (global $sequence (mut i64) (i64.const 0))
            (global $has (mut i32) (i32.const 0))
            ;; the record: key at 4096, value at 6144, and a row for both
            (func $sequence (result i32)
                (i32.store8 (i32.const 1024) (i32.const 0))
                (i64.store (i32.const 1032) (global.get $sequence))
                (call $done))
            (func $open-only (if (i32.eqz (global.get $open)) (then unreachable)))
            (func (export "tidegate:plugin/storage@0.1.0#open") (param $format i32) (param i32 i64) (result i32)
                (if (i32.eq (local.get $format) (i32.const 9)) (then
                    (i32.store8 (i32.const 1024) (i32.const 1))
                    (i32.store8 (i32.const 1032) (i32.const 1))
                    (i32.store (i32.const 1036) (i32.const 2048))
                    (i32.store (i32.const 1040) (i32.const 6))
                    (return (call $done))))
                (global.set $open (i32.const 1))
                ;; the term is 0 always
                (i64.store (i32.const 1040) (i64.const 0))
                (call $sequence))
            (func (export "tidegate:plugin/storage@0.1.0#commit") (param $op i32) (param $count i32) (param $durable i32) (result i32)
                (call $open-only)
                (if (i32.eq (i32.load8_u offset=8 (local.get $op)) (i32.const 66)) (then unreachable))
                (if (i32.eq (i32.load8_u offset=8 (local.get $op)) (i32.const 9)) (then
                    (i32.store8 (i32.const 1024) (i32.const 1))
                    (i32.store8 (i32.const 1032) (i32.const 0))
                    (i32.store (i32.const 1036) (i32.const 2054))
                    (i32.store (i32.const 1040) (i32.const 5))
                    (return (call $done))))
                (loop $on
                    (if (i32.load8_u (local.get $op))
                        (then (global.set $has (i32.const 0)))
                        (else
                            (global.set $has (i32.const 1))
                            (i32.store (i32.const 2500) (i32.const 4096))
                            (i32.store (i32.const 2504) (i32.load offset=16 (local.get $op)))
                            (memory.copy (i32.const 4096) (i32.load offset=12 (local.get $op)) (i32.load offset=16 (local.get $op)))
                            (i32.store (i32.const 2508) (i32.const 6144))
                            (i32.store (i32.const 2512) (i32.load offset=24 (local.get $op)))
                            (memory.copy (i32.const 6144) (i32.load offset=20 (local.get $op)) (i32.load offset=24 (local.get $op)))))
                    (local.set $op (i32.add (local.get $op) (i32.const 48)))
                    (local.set $count (i32.sub (local.get $count) (i32.const 1)))
                    (br_if $on (local.get $count)))
                (global.set $sequence (i64.add (global.get $sequence) (i64.const 1)))
                (call $sequence))
            (func (export "tidegate:plugin/storage@0.1.0#get") (param $table i32) (param $key i32) (param $len i32) (result i32)
                (call $open-only)
                (i32.store8 (i32.const 1024) (i32.const 0))
                (i32.store8 (i32.const 1028) (global.get $has))
                (i32.store (i32.const 1032) (i32.const 6144))
                (i32.store (i32.const 1036) (i32.load (i32.const 2512)))
                (call $done))
            (func (export "tidegate:plugin/storage@0.1.0#scan")
                (param $table i32) (param i32 i32) (param $after i32) (param i32 i32) (param i32) (result i32)
                (call $open-only)
                (i32.store8 (i32.const 1024) (i32.const 0))
                (i32.store (i32.const 1028) (i32.const 2500))
                (i32.store (i32.const 1032) (i32.and (global.get $has) (i32.eqz (local.get $after))))
                (if (i32.eq (local.get $table) (i32.const 77)) (then
                    (i32.store (i32.const 1028) (i32.const 2200))
                    (i32.store (i32.const 1032) (i32.const 2))))
                (call $done)))"#
        ),
        &["storage"],
    )
}
