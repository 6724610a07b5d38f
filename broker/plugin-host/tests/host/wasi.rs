//! Guests that import WASI, of an older 0.2 than the host links.

use crate::{guests, logs, place::Place};
use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};
use tidegate_hooks::PublishOutcome;
use wit_parser::{PackageId, Resolve};

/// What the host has not, as far as the guest asks for it.
const ABSENT: &str = r#"
    package test:guest;

    world guest {
        include tidegate:plugin/publish-plugin@0.1.0;
        import wasi:cli/environment@0.2.3;
        import wasi:cli/terminal-stdout@0.2.3;
        import wasi:clocks/timezone@0.2.3;
        import wasi:filesystem/preopens@0.2.3;
        import wasi:sockets/instance-network@0.2.3;
        import wasi:sockets/ip-name-lookup@0.2.3;
        import wasi:sockets/tcp-create-socket@0.2.3;
    }

    package wasi:filesystem@0.2.3 {
        interface types {
            use wasi:io/streams@0.2.3.{input-stream};
            enum error-code { access, not-permitted }
            resource descriptor { read-via-stream: func() -> result<input-stream, error-code>; }
        }
        interface preopens {
            use types.{descriptor};
            get-directories: func() -> list<tuple<descriptor, string>>;
        }
    }

    package wasi:sockets@0.2.3 {
        interface network {
            enum error-code { unknown, access-denied, not-supported }
            resource network;
        }
        interface instance-network {
            use network.{network};
            instance-network: func() -> network;
        }
        interface ip-name-lookup {
            use network.{network, error-code};
            resource resolve-address-stream;
            resolve-addresses: func(network: borrow<network>, name: string) -> result<resolve-address-stream, error-code>;
        }
        interface tcp { resource tcp-socket; }
        interface tcp-create-socket {
            use network.{error-code};
            use tcp.{tcp-socket};
            create-tcp-socket: func(v6: bool) -> result<tcp-socket, error-code>;
        }
    }
"#;

/// What those packages have of it whose other interfaces the host has.
const ADDED: [(&str, &str); 3] = [
    (
        "package wasi:cli@0.2.3 {",
        "interface environment { get-environment: func() -> list<tuple<string, string>>; }
         interface terminal-output { resource terminal-output; }
         interface terminal-stdout { use terminal-output.{terminal-output}; get-terminal-stdout: func() -> option<terminal-output>; }",
    ),
    ("package wasi:clocks@0.2.3 {", "interface timezone { utc-offset: func() -> s32; }"),
    ("world offered {", "import wasi:clocks/timezone@0.2.3;"),
];

/// Does what the first letter of the topic says; where there is something to tell, it is told as a topic of one letter.
fn guest() -> Vec<u8> {
    let host = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("wit/wasi.wit")).unwrap();
    let host = ADDED.iter().fold(host.replace("0.2.12", "0.2.3"), |wit, (place, added)| {
        wit.replace(place, &format!("{place}\n{added}"))
    });
    let mut resolve = Resolve::default();
    guests::push(&mut resolve);
    let host = resolve.push_str("wasi.wit", &host).unwrap();
    let package = resolve.push_str("guest.wit", ABSENT).unwrap();
    let world = |package: PackageId, world: &str| resolve.select_world(&[package], Some(world)).unwrap();
    guests::encode(&module(), &resolve, &[world(host, "offered"), world(package, "guest")])
}

fn module() -> String {
    let guests = (guests::COMMON, guests::LIFECYCLE, guests::MESSAGE);
    let (common, lifecycle, message) = guests;
    // Each case ends in a return.
    let cases = [
        ('o', "(call $write (call $stdout) (i32.const 2048) (i32.const 5) (i32.const 1200)) (call $write (call $stdout) (i32.const 2053) (i32.const 10) (i32.const 1200)) (return (call $next))"),
        ('O', "(call $write (call $stderr) (i32.const 2053) (i32.const 9) (i32.const 1200)) (return (call $next))"),
        // More at once than may be.
        ('b', "(call $write (call $stdout) (i32.const 2048) (i32.const 4097) (i32.const 1200)) (return (call $next))"),
        // Closed is 1.
        ('i', "(call $read (call $stdin) (i64.const 1) (i32.const 1200)) (return (call $digit (i32.load8_u (i32.const 1204))))"),
        ('x', "(call $exit (i32.const 1)) (return (call $next))"),
        // After 2020, and later than before.
        ('c', "(call $wall (i32.const 1200)) (return (call $digit (i32.and
            (i64.gt_u (i64.load (i32.const 1200)) (i64.const 1577836800))
            (i64.le_u (call $monotonic) (call $monotonic)))))"),
        ('r', "(call $random (i64.const 8) (i32.const 1200)) (return (call $digit (i32.load (i32.const 1204))))"),
        ('R', "(call $random (i64.const 65537) (i32.const 1200)) (return (call $next))"),
        // Two pollables, the second of which is ready.
        ('p', "(i32.store (i32.const 1300) (call $after (i64.const 60000000000))) (i32.store (i32.const 1304) (call $after (i64.const 0)))
            (call $poll (i32.const 1300) (i32.const 2) (i32.const 1200))
            (return (call $digit (i32.add (i32.mul (i32.load (i32.const 1204)) (i32.const 2)) (i32.load (i32.load (i32.const 1200))))))"),
        ('s', "(call $block (call $after (i64.const 900000000))) (return (call $next))"),
        ('S', "(i32.store (i32.const 1300) (call $after (i64.const -1))) (call $poll (i32.const 1300) (i32.const 1) (i32.const 1200)) (return (call $next))"),
        ('l', "(loop $on (drop (call $after (i64.const 0))) (br $on))"),
        ('y', "(call $block (call $after (i64.const 900000))) (return (call $next))"),
        ('d', "(local.set $n (i32.const 20000)) (loop $on (call $drop (call $after (i64.const 0)))
            (local.set $n (i32.sub (local.get $n) (i32.const 1))) (br_if $on (local.get $n))) (return (call $next))"),
        ('e', "(call $environment (i32.const 1200)) (call $directories (i32.const 1208)) (return (call $digit
            (i32.add (i32.load (i32.const 1204)) (i32.load (i32.const 1212)))))"),
        ('t', "(call $terminal (i32.const 1200)) (return (call $digit (i32.load8_u (i32.const 1200))))"),
        // An error, and which one.
        ('n', "(call $socket (i32.const 0) (i32.const 1200)) (return (call $digit
            (i32.add (i32.mul (i32.load8_u (i32.const 1200)) (i32.const 2)) (i32.load8_u (i32.const 1204)))))"),
        ('N', "(call $resolve (call $network) (i32.const 2048) (i32.const 5) (i32.const 1200)) (return (call $digit
            (i32.add (i32.mul (i32.load8_u (i32.const 1200)) (i32.const 2)) (i32.load8_u (i32.const 1204)))))"),
        ('z', "(drop (call $timezone)) (return (call $next))"),
        // `HTTP-request-denied` is the sixteenth.
        ('h', "(call $handle (call $request (call $fields)) (i32.const 0) (i32.const 0) (i32.const 1200)) (return (call $digit
            (i32.and (i32.load8_u (i32.const 1200)) (i32.eq (i32.load8_u (i32.const 1208)) (i32.const 15)))))"),
    ];
    let cases: String = cases
        .iter()
        .map(|(letter, does)| {
            format!("(if (i32.eq (local.get $c) (i32.const {})) (then {does}))\n", *letter as u32)
        })
        .collect();
    format!(
        r#"(module
        (import "wasi:cli/stdout@0.2.3" "get-stdout" (func $stdout (result i32)))
        (import "wasi:cli/stderr@0.2.3" "get-stderr" (func $stderr (result i32)))
        (import "wasi:cli/stdin@0.2.3" "get-stdin" (func $stdin (result i32)))
        (import "wasi:cli/exit@0.2.3" "exit" (func $exit (param i32)))
        (import "wasi:cli/environment@0.2.3" "get-environment" (func $environment (param i32)))
        (import "wasi:cli/terminal-stdout@0.2.3" "get-terminal-stdout" (func $terminal (param i32)))
        (import "wasi:io/streams@0.2.3" "[method]output-stream.blocking-write-and-flush" (func $write (param i32 i32 i32 i32)))
        (import "wasi:io/streams@0.2.3" "[method]input-stream.read" (func $read (param i32 i64 i32)))
        (import "wasi:io/poll@0.2.3" "poll" (func $poll (param i32 i32 i32)))
        (import "wasi:io/poll@0.2.3" "[method]pollable.block" (func $block (param i32)))
        (import "wasi:io/poll@0.2.3" "[resource-drop]pollable" (func $drop (param i32)))
        (import "wasi:clocks/monotonic-clock@0.2.3" "now" (func $monotonic (result i64)))
        (import "wasi:clocks/monotonic-clock@0.2.3" "subscribe-duration" (func $after (param i64) (result i32)))
        (import "wasi:clocks/wall-clock@0.2.3" "now" (func $wall (param i32)))
        (import "wasi:clocks/timezone@0.2.3" "utc-offset" (func $timezone (result i32)))
        (import "wasi:random/random@0.2.3" "get-random-bytes" (func $random (param i64 i32)))
        (import "wasi:filesystem/preopens@0.2.3" "get-directories" (func $directories (param i32)))
        (import "wasi:filesystem/types@0.2.3" "[method]descriptor.read-via-stream" (func (param i32 i32)))
        (import "wasi:sockets/tcp-create-socket@0.2.3" "create-tcp-socket" (func $socket (param i32 i32)))
        (import "wasi:sockets/instance-network@0.2.3" "instance-network" (func $network (result i32)))
        (import "wasi:sockets/ip-name-lookup@0.2.3" "resolve-addresses" (func $resolve (param i32 i32 i32 i32)))
        (import "wasi:http/types@0.2.3" "[constructor]fields" (func $fields (result i32)))
        (import "wasi:http/types@0.2.3" "[constructor]outgoing-request" (func $request (param i32) (result i32)))
        (import "wasi:http/outgoing-handler@0.2.3" "handle" (func $handle (param i32 i32 i32 i32)))
        {common} {lifecycle}
        (data (i32.const 2048) "half-told once\n")
        (func $answer (param i32) (result i32)
            (i32.store8 (i32.const 1024) (local.get 0))
            (call $done))
        (func $next (result i32) (call $answer (i32.const 0)))
        (func $digit (param i32) (result i32)
            (memory.fill (i32.const 1024) (i32.const 0) (i32.const 64))
            (i32.store8 (i32.const 2300) (i32.add (i32.const 48) (local.get 0)))
            (i32.store8 (i32.const 1028) (i32.const 1))
            (i32.store (i32.const 1032) (i32.const 2300))
            (i32.store (i32.const 1036) (i32.const 1))
            (call $answer (i32.const 2)))
        (func (export "tidegate:plugin/publish@0.1.0#on-publish") {message} (result i32)
            (local $c i32) (local $n i32)
            (local.set $c (i32.load8_u (local.get $topic)))
            {cases}
            (call $next)))"#
    )
}

/// `authenticate` sleeps for 20 ms where the username begins with `s`, for ever where it begins with `f`, and passes on.
fn sleeper() -> Vec<u8> {
    let mut resolve = Resolve::default();
    let plugin = guests::push(&mut resolve);
    let host = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("wit/wasi.wit")).unwrap();
    let host = resolve.push_str("wasi.wit", &host).unwrap();
    let world = |package: PackageId, world: &str| resolve.select_world(&[package], Some(world)).unwrap();
    let (common, lifecycle) = (guests::COMMON, guests::LIFECYCLE);
    let module = format!(
        r#"(module
        (import "wasi:io/poll@0.2.12" "poll" (func $poll (param i32 i32 i32)))
        (import "wasi:io/poll@0.2.12" "[method]pollable.block" (func $block (param i32)))
        (import "wasi:clocks/monotonic-clock@0.2.12" "subscribe-duration" (func $after (param i64) (result i32)))
        (import "wasi:http/types@0.2.12" "[constructor]fields" (func $fields (result i32)))
        (import "wasi:http/types@0.2.12" "[constructor]outgoing-request" (func (param i32) (result i32)))
        (import "wasi:http/outgoing-handler@0.2.12" "handle" (func (param i32 i32 i32 i32)))
        {common} {lifecycle}
        (func (export "tidegate:plugin/auth@0.1.0#authenticate") (param $m i32) (result i32)
            (local $c i32)
            (if (i32.load8_u offset=16 (local.get $m)) (then
                (local.set $c (i32.load8_u (i32.load offset=20 (local.get $m))))))
            (if (i32.eq (local.get $c) (i32.const 0x73)) (then (call $block (call $after (i64.const 20000000)))))
            (if (i32.eq (local.get $c) (i32.const 0x66)) (then
                (i32.store (i32.const 1300) (call $after (i64.const -1)))
                (call $poll (i32.const 1300) (i32.const 1) (i32.const 1200))))
            (i32.store8 (i32.const 1024) (i32.const 0))
            (call $done)))"#
    );
    guests::encode(&module, &resolve, &[world(host, "offered"), world(plugin, "auth-plugin")])
}

fn place(name: &str) -> Place {
    Place::with(&format!("{name}.wasm"), &guest())
}

#[tokio::test]
async fn what_guests_write_is_lines_of_the_log() {
    let place = place("writes");
    let host = place.start().await;
    assert!(matches!(place.publish("o").await, Ok(PublishOutcome::Unchanged)));
    assert!(matches!(place.publish("O").await, Ok(PublishOutcome::Unchanged)));
    let lines = || logs::lines("plugin=\"writes\"");
    assert_eq!(lines().len(), 1, "{:?}", lines());
    assert!(
        lines()[0].contains("INFO plugin: half-told once plugin=\"writes\" generation=1"),
        "{:?}",
        lines()
    );
    let fault = place.fault("b").await;
    assert!(fault.contains("it wrote 4097 bytes where 4096 may be written at once"), "{fault}");
    // The end of the instance ends the line.
    assert!(lines()[1].contains("WARN plugin: told once plugin=\"writes\""), "{:?}", lines());
    host.stop().await;
}

#[tokio::test]
async fn there_are_clocks_and_random_numbers() {
    let place = place("p");
    let _host = place.start().await;
    assert_eq!(place.edited("c").await, "1");
    assert_eq!(place.edited("r").await, "8");
    let fault = place.fault("R").await;
    assert!(fault.contains("it asked for 65537 random bytes at once; 65536 are the most"), "{fault}");
}

#[tokio::test]
async fn there_is_no_input_no_environment_no_file_and_no_terminal() {
    let place = place("p");
    let _host = place.start().await;
    assert_eq!(place.edited("i").await, "1", "closed");
    assert_eq!(place.edited("e").await, "0", "empty lists");
    assert_eq!(place.edited("t").await, "0", "none");
}

#[tokio::test]
async fn the_network_is_denied() {
    let place = place("p");
    let _host = place.start().await;
    assert_eq!(place.edited("n").await, "3", "an error: access-denied");
    assert_eq!(place.edited("N").await, "3", "an error: access-denied");
    assert_eq!(place.edited("h").await, "1", "an error: HTTP-request-denied");
}

#[tokio::test]
async fn what_a_guest_imports_without_use_does_no_harm() {
    let place = place("p");
    let _host = place.start().await;
    let fault = place.fault("z").await;
    assert_eq!(fault, "trap: wasi:clocks/timezone#utc-offset is not offered to plugins");
}

#[tokio::test]
async fn an_exit_is_a_fault() {
    let place = place("p");
    let _host = place.start().await;
    assert_eq!(place.fault("x").await, "trap: it ended itself with exit code 1");
    assert!(place.publish("-").await.is_ok());
}

#[tokio::test]
async fn a_hook_may_poll_but_not_sleep() {
    let place = place("p");
    let _host = place.start().await;
    assert_eq!(place.edited("p").await, "3", "one is ready, the second");
    assert!(matches!(place.publish("y").await, Ok(PublishOutcome::Unchanged)), "less than a millisecond");
    for topic in ["s", "S"] {
        let fault = place.fault(topic).await;
        assert!(fault.contains("it may not sleep or wait"), "{fault}");
    }
}

#[tokio::test]
async fn resources_are_bounded() {
    let place = place("p").table("p", "limits.deadline = '10s'");
    let _host = place.start().await;
    let fault = place.fault("l").await;
    assert!(fault.contains("at most 10000 WASI resources at once"), "{fault}");
    assert!(matches!(place.publish("d").await, Ok(PublishOutcome::Unchanged)), "one at a time");
}

#[tokio::test]
async fn a_plugin_that_was_granted_http_may_sleep() {
    let fault = async |place: &Place, username: &str| {
        let refusal = place.authenticate(username).await.unwrap_err();
        refusal.fault.map(|fault| fault.kind.to_string())
    };
    let place = Place::with("p.wasm", &sleeper());
    let host = place.start().await;
    assert!(fault(&place, "s").await.unwrap().contains("it may not sleep or wait"));
    host.stop().await;
    let granted = "grants.http = ['http://127.0.0.1:9']\nlimits.auth_timeout = '500ms'";
    let place = Place::with("p.wasm", &sleeper()).table("p", granted);
    let _host = place.start().await;
    let began = Instant::now();
    assert_eq!(fault(&place, "s").await, None, "passed on");
    assert!(began.elapsed() >= Duration::from_millis(20));
    assert_eq!(fault(&place, "f").await.as_deref(), Some("deadline passed"));
    assert_eq!(fault(&place, "-").await, None);
}
