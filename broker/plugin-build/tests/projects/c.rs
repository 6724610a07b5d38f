//! C, by clang from Zig.

use crate::workplace::Workplace;
use std::fs;

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

    // What the compiler says is shown.
    project.edit("timers.c", "(int)token", "(int)tokem");
    let built = project.build();
    assert!(built.failure().contains("ziglang cc"), "{built:?}");
    assert!(built.complained.contains("error: use of undeclared identifier 'tokem'"), "{built:?}");
}
