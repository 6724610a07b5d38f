//! JavaScript and TypeScript, in QuickJS and StarlingMonkey.

use crate::workplace::{Said, Workplace};
use std::{fs, process::Command};

#[test]
fn a_project_in_typescript() {
    let project = Workplace::with_project(&["--lang", "typescript"]);
    let interfaces = project.built();
    assert!(interfaces.exports("lifecycle") && interfaces.exports("publish"), "{interfaces}");
    assert!(!interfaces.exports("auth"), "{interfaces}");
    texts_are_those_of_other_engines(&project);
    numbers_that_do_not_fit_are_no_answers(&project);

    // What the compiler says is shown.
    project.edit("plugin.ts", "return next;", "return nxt;");
    let built = project.build();
    assert_eq!(built.failure(), "tidegate: tsc --noEmit: exit status: 1");
    assert!(built.said.contains("plugin.ts(") && built.said.contains("Cannot find name 'nxt'"), "{built:?}");
}

#[test]
fn a_project_in_javascript() {
    let project = Workplace::with_project(&["--lang", "javascript", "--hook", "auth"]);
    let interfaces = project.built();
    assert!(interfaces.exports("lifecycle") && interfaces.exports("auth"), "{interfaces}");
    assert!(!interfaces.imports.iter().any(|name| name.starts_with("wasi:http")), "{interfaces}");

    // What is missing is said when it is built, not when it is asked.
    project.edit("plugin.js", "authenticate(", "authentify(");
    let built = project.build();
    assert!(built.failure().contains("componentize.mjs quickjs"), "{built:?}");
    assert!(built.complained.contains("the plugin's class needs a method `authenticate`"), "{built:?}");
    project.edit("plugin.js", "authentify(", "authenticate(");

    // Packages of the user's own are found, and bundled.
    project.edit(
        "plugin.js",
        "export default",
        "import esbuild from \"./node_modules/esbuild/package.json\";\nesbuild;\nexport default",
    );
    project.built();

    // They may want at once what the engine lacks and the SDK brings.
    let package =
        "new TextDecoder().decode(new TextEncoder().encode(\"hello\"));\nconsole.log.bind(console);\n";
    fs::write(project.file("package.js"), package).unwrap();
    project.edit("plugin.js", "import { bytes,", "import \"./package.js\";\nimport { bytes,");
    project.built();

    // The other engine, with a package of its own.
    project.edit("tidegate-plugin.toml", "engine = \"quickjs\"", "engine = \"starlingmonkey\"");
    let built = project.build();
    let (_, remedy) = built.failure().split_once(" is missing. `").expect("it names what is missing");
    let remedy = remedy.strip_suffix("` brings it.").expect("it says what to do");
    let mut npm = Command::new("sh");
    let installed = Said::by(npm.args(["-c", remedy]).current_dir(project.file(".")));
    assert!(installed.good, "{installed:?}");
    let interfaces = project.built();
    assert!(interfaces.exports("auth"), "{interfaces}");
    assert!(interfaces.imports.iter().any(|name| name.starts_with("wasi:http")), "{interfaces}");
}

/// What QuickJS lacks and the SDK brings, beside what Node has.
fn texts_are_those_of_other_engines(project: &Workplace) {
    assert_eq!(said_in_node(project, "text", include_str!("compare.mjs")), "20000 texts, 20000 bytes\n");
}

fn numbers_that_do_not_fit_are_no_answers(project: &Workplace) {
    assert_eq!(said_in_node(project, "tidegate", include_str!("numbers.mjs")), "238 numbers\n");
}

/// What a script says that imports this file of the SDK, with a broker that has nothing to say.
fn said_in_node(project: &Workplace, file: &str, script: &str) -> String {
    let broker = "export function log() {}\nexport const document = () => \"\", secret = () => undefined;\n";
    fs::write(project.file("build/work/broker.js"), broker).unwrap();
    let mut esbuild = Command::new(project.file("node_modules/.bin/esbuild"));
    esbuild.arg(format!("tidegate/{file}.ts")).args(["--bundle", "--format=esm"]);
    esbuild.arg(format!("--outfile=build/work/{file}.mjs")).current_dir(project.file("."));
    for interface in ["config", "logging"] {
        esbuild.arg(format!("--alias:tidegate:plugin/{interface}@0.1.0=./build/work/broker.js"));
    }
    let bundled = Said::by(&mut esbuild);
    assert!(bundled.good, "{bundled:?}");
    fs::write(project.file("build/work/script.mjs"), script).unwrap();
    let ran = Said::by(Command::new("node").arg(project.file("build/work/script.mjs")));
    assert!(ran.good, "{ran:?}");
    ran.said
}
