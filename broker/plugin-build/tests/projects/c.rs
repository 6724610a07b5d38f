//! C, by clang from Zig.

use crate::workplace::{Said, Workplace, languages};
use std::{fs, process::Command};

#[test]
fn a_project_in_c() {
    let project = Workplace::with_project(&["--lang", "c"]);
    let interfaces = project.built();
    assert!(interfaces.exports("lifecycle") && interfaces.exports("publish"), "{interfaces}");
    assert_eq!(interfaces.exports.len(), 2, "{interfaces}");

    // More hooks, in more files: the SDK is headers only, and stands in each.
    project.edit("tidegate-plugin.toml", "[\"publish\"]", "[\"publish\", \"timer-handler\"]");
    project.edit("tidegate-plugin.toml", "[\"plugin.c\"]", "[\"plugin.c\", \"timers.c\"]");
    fs::write(
        project.file("timers.c"),
        "#include \"tidegate.h\"\nvoid plugin_on_timer(uint64_t token) { tg_log(TG_INFO, \"%d\", (int)token); }\n",
    )
    .unwrap();
    let interfaces = project.built();
    assert!(interfaces.exports("publish") && interfaces.exports("timer-handler"), "{interfaces}");

    // What need not be there, may be.
    project.edit(
        "tidegate-plugin.toml",
        "\"timer-handler\"]",
        "\"timer-handler\", \"events\", \"subscribers\"]",
    );
    fs::write(project.file("timers.c"), include_str!("more.c")).unwrap();
    project.built();

    what_it_prints_is_there_line_by_line(&project);
    its_reader_of_json_finds_its_way_through_any_text(&project);

    // The SDK is written if it is missing, and replaced on demand only.
    fs::remove_dir_all(project.file("tidegate")).unwrap();
    project.built();
    project.edit("tidegate/tidegate.h", "// ---- Texts ----", "// ---- Words ----");
    let built = project.build();
    assert!(built.complained.contains("`tidegate plugin build --update-sdk` replaces it"), "{built:?}");
    assert!(project.text("tidegate/tidegate.h").contains("Words"));
    let built = project.build_with(&["--update-sdk"]);
    assert!(built.good && project.text("tidegate/tidegate.h").contains("Texts"), "{built:?}");

    // What the compiler says is shown.
    project.edit("timers.c", "(int)token", "(int)tokem");
    let built = project.build();
    assert!(built.failure().contains("ziglang cc"), "{built:?}");
    assert!(built.complained.contains("error: use of undeclared identifier 'tokem'"), "{built:?}");
}

/// In Node, without the adapter between WASI 0.1 and the broker's.
fn what_it_prints_is_there_line_by_line(project: &Workplace) {
    fs::write(project.file("prints.mjs"), include_str!("prints.mjs")).unwrap();
    let mut node = Command::new("node");
    let ran = Said::by(node.arg(project.file("prints.mjs")).arg(project.file("build/work/module.wasm")));
    assert!(ran.good && ran.said == "good\n", "{ran:?}");
}

/// Natively, with what Zig's compiler checks while it runs. It has no sanitizer of addresses: the program has guards of its own.
fn its_reader_of_json_finds_its_way_through_any_text(project: &Workplace) {
    // All of the bindings that it needs.
    let types = "#pragma once\n#include <stdbool.h>\n#include <stddef.h>\n#include <stdint.h>\n\
                 typedef struct { uint8_t *ptr; size_t len; } tg_string_t;\nvoid tg_string_free(tg_string_t *ret);\n";
    fs::write(project.file("tg.h"), types).unwrap();
    fs::write(project.file("json.c"), include_str!("json.c")).unwrap();
    let bindings = project.text("build/work/bindings/tg.c");
    let (_, free) = bindings.split_once("\nvoid tg_string_free(").expect("the bindings have it");
    let (free, _) = free.split_once("\n}").expect("it ends");
    fs::write(project.file("free.h"), format!("void tg_string_free({free}\n}}\n")).unwrap();
    let mut cc = Command::new(languages().join("c/tools/bin/python"));
    cc.args([
        "-m",
        "ziglang",
        "cc",
        "-g",
        "-Wall",
        "-Werror",
        "-Itidegate",
        "-I.",
        "json.c",
        "-o",
        "json",
        "-lm",
    ]);
    cc.current_dir(project.file(".")).env("ZIG_LOCAL_CACHE_DIR", languages().join("c/cache"));
    let compiled = Said::by(&mut cc);
    assert!(compiled.good, "{compiled:?}");
    let ran = Said::by(&mut Command::new(project.file("json")));
    assert!(ran.good && ran.said == "good\n", "{ran:?}");
}
