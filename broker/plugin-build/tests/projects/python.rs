//! Python, in CPython.

use crate::workplace::Workplace;

#[test]
fn a_project_in_python() {
    let project = Workplace::with_project(&["--lang", "python"]);
    let interfaces = project.built();
    assert!(interfaces.exports("lifecycle") && interfaces.exports("publish"), "{interfaces}");
    assert!(!interfaces.exports("auth"), "{interfaces}");
    // For editors.
    assert!(project.file("build/work/bindings/wit_world/exports/publish.py").is_file());

    // What Python says is shown, and what is missing is said when it is built, not when it is asked.
    for (old, new, expected) in [
        (
            "def on_publish(",
            "def on_publsh(",
            "TypeError: Temperatures needs a method `on_publish` for the hooks",
        ),
        ("import json", "import jason", "ModuleNotFoundError: No module named 'jason'"),
    ] {
        project.edit("plugin.py", old, new);
        let built = project.build();
        assert!(built.failure().contains("componentize-py"), "{built:?}");
        assert!(built.complained.contains(expected), "{built:?}");
        project.edit("plugin.py", new, old);
    }
}
