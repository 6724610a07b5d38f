//! Guests in WebAssembly text, made into components with the metadata of `wit/plugin.wit`.
//!
//! Their answers depend on the first letter of what they are asked, so that one guest serves many tests.

use std::path::Path;
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::{PackageId, Resolve, WorldId};

#[path = "guests/calm.rs"]
mod calm;
#[path = "guests/messages.rs"]
mod messages;
#[path = "guests/recipients.rs"]
mod recipients;

pub use calm::*;
pub use messages::*;
pub use recipients::*;

/// Makes a component of a core module, as `world` of the plugin package.
pub fn component(module: &str, world: &str) -> Vec<u8> {
    let mut resolve = Resolve::default();
    let package = push(&mut resolve);
    encoded(module, &resolve, package, world)
}

/// As [`component`], for a world with these hooks.
pub fn exporting(module: &str, hooks: &[&str]) -> Vec<u8> {
    let mut resolve = Resolve::default();
    push(&mut resolve);
    let exports: String =
        hooks.iter().map(|hook| format!("export tidegate:plugin/{hook}@0.1.0;\n")).collect();
    let world =
        format!("package test:guest;\nworld guest {{ include tidegate:plugin/base@0.1.0;\n{exports} }}");
    let package = resolve.push_str("guest.wit", &world).unwrap();
    encoded(module, &resolve, package, "guest")
}

/// As [`component`], with everything of several worlds.
pub fn component_of(module: &str, worlds: &[&str]) -> Vec<u8> {
    let mut resolve = Resolve::default();
    let package = push(&mut resolve);
    let chosen: Vec<WorldId> =
        worlds.iter().map(|world| resolve.select_world(&[package], Some(world)).unwrap()).collect();
    encode(module, &resolve, &chosen)
}

/// Adds the plugin package.
pub fn push(resolve: &mut Resolve) -> PackageId {
    let wit = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../wit/plugin.wit");
    resolve.push_file(wit).unwrap()
}

/// Makes a component of a core module, as `world` of `package`.
pub fn encoded(module: &str, resolve: &Resolve, package: PackageId, world: &str) -> Vec<u8> {
    let world = resolve.select_world(&[package], Some(world)).unwrap();
    encode(module, resolve, &[world])
}

/// Makes a component of a core module, with everything of several worlds.
pub fn encode(module: &str, resolve: &Resolve, worlds: &[WorldId]) -> Vec<u8> {
    let mut core = wat::parse_str(module).unwrap();
    for world in worlds {
        embed_component_metadata(&mut core, resolve, *world, StringEncoding::UTF8).unwrap();
    }
    ComponentEncoder::default().validate(true).module(&core).unwrap().encode().unwrap()
}

/// Memory from 1024: answers; 2048: constants; 4096: the state; 8192 and up: arguments, all anew with each call.
pub const COMMON: &str = r#"
    (memory (export "memory") 17)
    (global $top (mut i32) (i32.const 8192))
    (func (export "cabi_realloc") (param $old i32) (param i32) (param $align i32) (param $size i32) (result i32)
        (local $at i32)
        (local.set $at (i32.and
            (i32.add (global.get $top) (i32.sub (local.get $align) (i32.const 1)))
            (i32.sub (i32.const 0) (local.get $align))))
        (global.set $top (i32.add (local.get $at) (local.get $size)))
        (local.get $at))
    (func $done (result i32)
        (global.set $top (i32.const 8192))
        (i32.const 1024))
"#;

/// `types.message`, flattened: all of it in parameters.
pub const MESSAGE: &str = r#"
    (param $session i64) (param $topic i32) (param $topic-len i32) (param $qos i32) (param $retain i32)
    (param $payload-len i32) (param $has-extra i32) (param $payload i32) (param $extra-len i32) (param $client-id i32) (param $client-id-len i32)
    (param $has-username i32) (param i32 i32) (param $properties i32) (param $properties-len i32)"#;

/// `init` without scopes; `drain` without state.
pub const LIFECYCLE: &str = r#"
    (func (export "tidegate:plugin/lifecycle@0.1.0#init")
        (param i32 i32 i64 i32 i32 i32 i32 i32) (result i32)
        (i64.store (i32.const 1024) (i64.const 0))
        (i32.store (i32.const 1032) (i32.const 0))
        (call $done))
    (func (export "tidegate:plugin/lifecycle@0.1.0#drain") (result i32)
        (i32.store8 (i32.const 1024) (i32.const 0))
        (call $done))
"#;

/// Answers publish with `next`, imports nothing.
pub fn next() -> Vec<u8> {
    component(
        &format!(
            r#"(module {COMMON} {LIFECYCLE}
            (func (export "tidegate:plugin/publish@0.1.0#on-publish") {MESSAGE} (result i32)
                (i32.store8 (i32.const 1024) (i32.const 0))
                (call $done)))"#
        ),
        "publish-plugin",
    )
}

/// As [`next`], but takes the compiler a long time: one function in which a thousand variables live through thousands of branches.
pub fn slow_to_compile() -> Vec<u8> {
    const VARIABLES: usize = 1000;
    const BRANCHES: usize = 30_000;
    let branches: String = (0..BRANCHES)
        .map(|n| {
            let (a, b, c) = (n * 7 % VARIABLES, n * 13 % VARIABLES, n * 31 % VARIABLES);
            format!("(if (local.get {a}) (then (local.set {b} (i32.add (local.get {c}) (i32.const {n})))))\n")
        })
        .collect();
    let sum: String = (0..VARIABLES).map(|n| format!("(i32.add (local.get {n}) ")).collect();
    let close = ")".repeat(VARIABLES);
    let locals = "i32 ".repeat(VARIABLES);
    component(
        &format!(
            r#"(module {COMMON} {LIFECYCLE}
            (func (export "tidegate:plugin/publish@0.1.0#on-publish") {MESSAGE} (result i32)
                (i32.store8 (i32.const 1024) (i32.const 0))
                (call $done))
            (func $slow (result i32) (local {locals})
                {branches}
                {sum} (i32.const 0) {close}))"#
        ),
        "publish-plugin",
    )
}

/// As [`next`], but wants every field.
pub fn next_with_all_fields() -> Vec<u8> {
    component(
        &format!(
            r#"(module {COMMON}
            (data (i32.const 2048) "publishpayloadclient-idusernameproperties")
            ;; one scope: hook, no filters, four wants
            (data (i32.const 3000) "\00\08\00\00\07\00\00\00\00\00\00\00\00\00\00\00\20\0c\00\00\04\00\00\00")
            (data (i32.const 3104) "\07\08\00\00\07\00\00\00\0e\08\00\00\09\00\00\00\17\08\00\00\08\00\00\00\1f\08\00\00\0a\00\00\00")
            (func (export "tidegate:plugin/lifecycle@0.1.0#init")
                (param i32 i32 i64 i32 i32 i32 i32 i32) (result i32)
                (i32.store (i32.const 1024) (i32.const 0))
                (i32.store (i32.const 1028) (i32.const 3000))
                (i32.store (i32.const 1032) (i32.const 1))
                (call $done))
            (func (export "tidegate:plugin/lifecycle@0.1.0#drain") (result i32)
                (i32.store8 (i32.const 1024) (i32.const 0))
                (call $done))
            (func (export "tidegate:plugin/publish@0.1.0#on-publish") {MESSAGE} (result i32)
                ;; all three must be there, else 0x99
                (if (result i32) (i32.and
                        (i32.and (i32.ne (i32.const 0) (local.get $extra-len)) (local.get $has-username))
                        (i32.ne (i32.const 0) (local.get $client-id-len)))
                    (then (i32.store8 (i32.const 1024) (i32.const 0)) (call $done))
                    (else
                        (i32.store8 (i32.const 1024) (i32.const 3))
                        (i32.store8 (i32.const 1028) (i32.const 0x99))
                        (call $done)))))"#
        ),
        "publish-plugin",
    )
}

/// What `on-publish` does with a topic beginning with: `t` traps, `l` loops, `g` grows until it cannot, `e` answers with the topic
/// `says`, `w` with a topic with a wildcard, `q` with QoS 3, `r` refuses (0x87), `R` refuses with success, `s` swallows, `n` counts
/// its calls (topic `1`, `2`, …), `S` gives the state it was started with, `k` counts in `kv`, `L` logs, `C` gives the
/// key `greeting` of its configuration, `p` gives the first five bytes of the payload. Leaves the state `left-SAYS`. Its `init`
/// fails if `says` is `bad`, never ends if it is `slow`, and takes longer than a hot call may if it is `lazy`.
pub fn publish(says: &str) -> Vec<u8> {
    let init = match says {
        "bad" => {
            "(i32.store (i32.const 1024) (i32.const 1)) (i32.store (i32.const 1028) (i32.const 2048)) (i32.store (i32.const 1032) (i32.const 3)) (return (call $done))"
        }
        "slow" => "(loop $on (br $on))",
        "lazy" => {
            "(loop $on (global.set $calls (i32.add (global.get $calls) (i32.const 1))) (br_if $on (i32.lt_u (global.get $calls) (i32.const 50000000)))) (global.set $calls (i32.const 0))"
        }
        _ => "",
    };
    let len = says.len();
    let left = len + 5;
    component(
        &format!(
            r#"(module
            (import "tidegate:plugin/kv@0.1.0" "add" (func $add (param i32 i32 i64 i32 i64 i32)))
            (import "tidegate:plugin/logging@0.1.0" "log" (func $log (param i32 i32 i32 i32 i32)))
            (import "tidegate:plugin/config@0.1.0" "get" (func $get (param i32 i32 i32)))
            (import "tidegate:plugin/current@0.1.0" "read" (func $read (param i32 i32 i32)))
            {COMMON}
            (data (i32.const 2048) "{says}")
            (data (i32.const 2200) "left-{says}")
            (data (i32.const 2400) "a/#")
            (data (i32.const 2410) "greeting")
            (data (i32.const 2420) "denied")
            (global $state (mut i32) (i32.const 0))
            (global $calls (mut i32) (i32.const 0))
            (func (export "tidegate:plugin/lifecycle@0.1.0#init")
                (param i32 i32 i64 i32 i32 i32) (param $ptr i32) (param $len i32) (result i32)
                {init}
                (memory.copy (i32.const 4096) (local.get $ptr) (local.get $len))
                (global.set $state (local.get $len))
                (i64.store (i32.const 1024) (i64.const 0))
                (i32.store (i32.const 1032) (i32.const 0))
                (call $done))
            (func (export "tidegate:plugin/lifecycle@0.1.0#drain") (result i32)
                (i32.store (i32.const 1024) (i32.const 1))
                (i32.store (i32.const 1028) (i32.const 2200))
                (i32.store (i32.const 1032) (i32.const {left}))
                (call $done))
            (func $answer (param i32) (result i32)
                (i32.store8 (i32.const 1024) (local.get 0))
                (call $done))
            (func $edit (param $ptr i32) (param $len i32) (result i32)
                (memory.fill (i32.const 1024) (i32.const 0) (i32.const 64))
                (i32.store8 (i32.const 1028) (i32.const 1))
                (i32.store (i32.const 1032) (local.get $ptr))
                (i32.store (i32.const 1036) (local.get $len))
                (call $answer (i32.const 2)))
            (func $number (param i32) (result i32)
                (i32.store8 (i32.const 2300) (i32.add (i32.const 48) (local.get 0)))
                (call $edit (i32.const 2300) (i32.const 1)))
            (func (export "tidegate:plugin/publish@0.1.0#on-publish") {MESSAGE} (result i32)
                (local $c i32)
                (global.set $calls (i32.add (global.get $calls) (i32.const 1)))
                (local.set $c (i32.load8_u (local.get $topic)))
                (if (i32.eq (local.get $c) (i32.const 0x74)) (then unreachable))
                (if (i32.eq (local.get $c) (i32.const 0x6c)) (then (loop $on (br $on))))
                (if (i32.eq (local.get $c) (i32.const 0x67)) (then
                    (loop $on (br_if $on (i32.ne (memory.grow (i32.const 16)) (i32.const -1)))) unreachable))
                (if (i32.eq (local.get $c) (i32.const 0x65)) (then
                    (return (call $edit (i32.const 2048) (i32.const {len})))))
                (if (i32.eq (local.get $c) (i32.const 0x77)) (then
                    (return (call $edit (i32.const 2400) (i32.const 3)))))
                (if (i32.eq (local.get $c) (i32.const 0x71)) (then
                    (memory.fill (i32.const 1024) (i32.const 0) (i32.const 64))
                    (i32.store8 (i32.const 1052) (i32.const 1))
                    (i32.store8 (i32.const 1053) (i32.const 3))
                    (return (call $answer (i32.const 2)))))
                (if (i32.eq (local.get $c) (i32.const 0x72)) (then
                    (i32.store8 (i32.const 1028) (i32.const 0x87))
                    (return (call $answer (i32.const 3)))))
                (if (i32.eq (local.get $c) (i32.const 0x52)) (then
                    (i32.store8 (i32.const 1028) (i32.const 0))
                    (return (call $answer (i32.const 3)))))
                (if (i32.eq (local.get $c) (i32.const 0x73)) (then (return (call $answer (i32.const 4)))))
                (if (i32.eq (local.get $c) (i32.const 0x6e)) (then (return (call $number (global.get $calls)))))
                (if (i32.eq (local.get $c) (i32.const 0x53)) (then
                    (return (call $edit (i32.const 4096) (global.get $state)))))
                (if (i32.eq (local.get $c) (i32.const 0x6b)) (then
                    (call $add (i32.const 2048) (i32.const 1) (i64.const 1) (i32.const 0) (i64.const 0) (i32.const 1200))
                    (if (i32.load8_u (i32.const 1200)) (then (return (call $edit (i32.const 2420) (i32.const 6)))))
                    (return (call $number (i32.load (i32.const 1208))))))
                (if (i32.eq (local.get $c) (i32.const 0x4c)) (then
                    (call $log (i32.const 2) (i32.const 2048) (i32.const {len}) (i32.const 0) (i32.const 0))))
                (if (i32.eq (local.get $c) (i32.const 0x43)) (then
                    (call $get (i32.const 2410) (i32.const 8) (i32.const 1200))
                    (return (call $edit (i32.load (i32.const 1204)) (i32.load (i32.const 1208))))))
                (if (i32.eq (local.get $c) (i32.const 0x70)) (then
                    (call $read (i32.const 0) (i32.const 5) (i32.const 1200))
                    (return (call $edit (i32.load (i32.const 1200)) (i32.load (i32.const 1204))))))
                (call $answer (i32.const 0))))"#
        ),
        "publish-plugin",
    )
}

/// `authenticate` by the username's first letter: `g` grants the client id `granted`, the rule `u/%u/#` and an attribute, `b` grants a
/// rule that does not parse, `r` refuses (0x86), `t` traps, `l` loops, `s` spins for a while and passes on, else passes on.
/// `check` by the topic's first letter: `a` allows `a/#` for 1 s, `d` denies `d/#` once, `x` allows what was not asked, `t` traps.
pub fn access() -> Vec<u8> {
    component(
        &format!(
            r#"(module {COMMON} {LIFECYCLE}
            (data (i32.const 2048) "granted")
            (data (i32.const 2060) "u/%u/#")
            (data (i32.const 2070) "u/#/x")
            (data (i32.const 2080) "teamblue")
            (data (i32.const 2090) "a/#d/#")
            ;; the rule: allow, publish, filter, max-qos 1
            (data (i32.const 2100) "\01\00\00\00\0c\08\00\00\06\00\00\00\01\00\00\00")
            (data (i32.const 2120) "\01\00\00\00\16\08\00\00\05\00\00\00\01\00\00\00")
            ;; the attribute
            (data (i32.const 2140) "\20\08\00\00\04\00\00\00\24\08\00\00\04\00\00\00")
            (func $answer (param i32) (result i32)
                (i32.store8 (i32.const 1024) (local.get 0))
                (call $done))
            (func $grant (param $rule i32) (result i32)
                (memory.fill (i32.const 1024) (i32.const 0) (i32.const 64))
                (i32.store8 (i32.const 1032) (i32.const 1))
                (i32.store (i32.const 1036) (i32.const 2048))
                (i32.store (i32.const 1040) (i32.const 7))
                (i32.store (i32.const 1056) (local.get $rule))
                (i32.store (i32.const 1060) (i32.const 1))
                (i32.store8 (i32.const 1064) (i32.const 1))
                (i64.store (i32.const 1072) (i64.const 60000))
                (i32.store (i32.const 1080) (i32.const 2140))
                (i32.store (i32.const 1084) (i32.const 1))
                (call $answer (i32.const 1)))
            (func (export "tidegate:plugin/auth@0.1.0#authenticate") (param $m i32) (result i32)
                (local $c i32) (local $n i32)
                (if (i32.load8_u offset=16 (local.get $m)) (then
                    (local.set $c (i32.load8_u (i32.load offset=20 (local.get $m))))))
                (if (i32.eq (local.get $c) (i32.const 0x67)) (then (return (call $grant (i32.const 2100)))))
                (if (i32.eq (local.get $c) (i32.const 0x62)) (then (return (call $grant (i32.const 2120)))))
                (if (i32.eq (local.get $c) (i32.const 0x72)) (then
                    (memory.fill (i32.const 1024) (i32.const 0) (i32.const 64))
                    (i32.store8 (i32.const 1032) (i32.const 0x86))
                    (return (call $answer (i32.const 2)))))
                (if (i32.eq (local.get $c) (i32.const 0x74)) (then unreachable))
                (if (i32.eq (local.get $c) (i32.const 0x6c)) (then (loop $on (br $on))))
                (if (i32.eq (local.get $c) (i32.const 0x73)) (then
                    (loop $on
                        (local.set $n (i32.add (local.get $n) (i32.const 1)))
                        (br_if $on (i32.lt_u (local.get $n) (i32.const 200000000))))))
                (call $answer (i32.const 0)))
            (func $span (param $case i32) (param $filter i32) (param $ttl i32) (result i32)
                (i32.store (i32.const 1028) (local.get $filter))
                (i32.store (i32.const 1032) (i32.const 3))
                (i32.store (i32.const 1036) (local.get $ttl))
                (call $answer (local.get $case)))
            (func (export "tidegate:plugin/acl@0.1.0#check")
                (param i64 i32 i32 i32 i32 i32 i32) (param $topic i32) (param i32 i32 i32) (result i32)
                (local $c i32)
                (local.set $c (i32.load8_u (local.get $topic)))
                (if (i32.eq (local.get $c) (i32.const 0x61)) (then
                    (return (call $span (i32.const 1) (i32.const 2090) (i32.const 1000)))))
                (if (i32.eq (local.get $c) (i32.const 0x64)) (then
                    (return (call $span (i32.const 2) (i32.const 2093) (i32.const 0)))))
                (if (i32.eq (local.get $c) (i32.const 0x78)) (then
                    (return (call $span (i32.const 1) (i32.const 2090) (i32.const 0)))))
                (if (i32.eq (local.get $c) (i32.const 0x74)) (then unreachable))
                (call $answer (i32.const 0))))"#
        ),
        "access-plugin",
    )
}
