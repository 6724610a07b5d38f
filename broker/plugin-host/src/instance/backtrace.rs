//! Where a guest trapped, by the names of its functions.

use wasmtime::WasmBacktrace;

/// Functions shown.
const SHOWN: usize = 8;

/// Bytes of a name shown; generic ones can be endless.
const LONGEST: usize = 120;

/// What stands between a panic and who panicked: of no interest.
const PANICKING: [&str; 7] = [
    "core::panicking",
    "std::panicking",
    "std::sys",
    "__rustc",
    "rust_begin_unwind",
    "core::option::",
    "core::result::",
];

/// `shout::parse < shout::on_publish < …`, innermost first. None if no function has a name.
pub(super) fn in_a_line(backtrace: &WasmBacktrace) -> Option<String> {
    let names = backtrace.frames().iter().filter_map(|frame| frame.func_name());
    let names: Vec<String> = names.map(|name| format!("{:#}", rustc_demangle::demangle(name))).collect();
    in_order(&names)
}

fn in_order(names: &[String]) -> Option<String> {
    let is_panic =
        |name: &&String| PANICKING.iter().any(|part| name.trim_start_matches('<').starts_with(part));
    let first = names.iter().take_while(is_panic).count();
    let theirs = match &names[first..] {
        [] => names,
        theirs => theirs,
    };
    let mut shown: Vec<String> = theirs.iter().take(SHOWN).map(|name| cut(name)).collect();
    if theirs.len() > SHOWN {
        shown.push("…".to_owned());
    }
    (!shown.is_empty()).then(|| shown.join(" < "))
}

fn cut(name: &str) -> String {
    match name.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &name[..end]),
        None => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(names: &[&str]) -> Option<String> {
        in_order(&names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn the_way_through_a_panic_is_left_out() {
        let names = [
            "__rustc::rust_panic",
            "std::panicking::panic_with_hook",
            "core::option::unwrap_failed",
            "shout::parse",
            "shout::on_publish",
        ];
        assert_eq!(line(&names).as_deref(), Some("shout::parse < shout::on_publish"));
        assert_eq!(line(&["core::panicking::panic"]).as_deref(), Some("core::panicking::panic"));
        assert_eq!(line(&[]), None);
    }

    #[test]
    fn what_is_long_is_cut() {
        let long = "x".repeat(200);
        assert_eq!(line(&[&long]).unwrap().chars().count(), LONGEST + 1);
        assert!(line(&["f"; 20]).unwrap().ends_with("f < …"));
    }
}
