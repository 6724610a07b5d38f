use super::*;
use tempfile::TempDir;

fn project(manifest: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join(MANIFEST), manifest).unwrap();
    fs::write(folder.path().join("plugin.c"), "").unwrap();
    for file in ["plugin.py", "my-plugin.py", "class.py", "plugin2.py"] {
        fs::write(folder.path().join(file), "").unwrap();
    }
    folder
}

#[test]
fn sources_have_usual_names_and_may_have_others() {
    let read = |manifest| {
        let folder = project(manifest);
        let manifest = Manifest::read(folder.path()).unwrap();
        manifest.sources().into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    let beginning = "name = 'x'\nlang = 'c'\nhooks = ['publish', 'timer-handler']\nimports = ['http']\n";
    assert_eq!(read(beginning), ["plugin.c"]);
    let several = format!("{beginning}source = ['plugin.c', 'plugin.py']");
    assert_eq!(read(several.as_str()), ["plugin.c", "plugin.py"]);
    assert_eq!(read("name = 'x'\nlang = 'rust'"), ["src/lib.rs"]);
    let python = "name = 'x'\nlang = 'python'\nhooks = ['acl']\nsource = 'plugin2.py'";
    assert_eq!(read(python), ["plugin2.py"]);
}

#[test]
fn a_folder_without_one_is_no_project() {
    let folder = tempfile::tempdir().unwrap();
    let failure = Manifest::read(folder.path()).unwrap_err().to_string();
    assert!(
        failure.ends_with(
            " has no tidegate-plugin.toml: name the folder of a plugin's project, or begin one by `tidegate plugin new`"
        ),
        "{failure}"
    );
}

#[test]
fn errors_name_the_key() {
    let c = "name = 'x'\nlang = 'c'\n";
    let python = "name = 'x'\nlang = 'python'\nhooks = ['acl']\n";
    for (manifest, complaint) in [
        ("lang = 'c'", "missing field `name`"),
        ("name = 'X'\nlang = 'c'", "key `name`: \"X\" is no name for a plugin"),
        ("name = 'x'\nlang = 'cobol'", "unknown variant `cobol`, expected one of `rust`, `c`, `javascript`"),
        ("name = 'x'\nlang = 'rust'\nhooks = ['acl']", "keys `hooks`, `imports` and `source`: in Rust"),
        (c, "key `hooks`: a plugin has at least one"),
        (&format!("{c}hooks = ['on-publish']"), "unknown variant `on-publish`, expected one of `auth`"),
        (&format!("{c}hooks = ['publish', 'publish-batch']"), "key `hooks`: a plugin has one of"),
        (&format!("{c}hooks = ['acl']\nsource = 'no.c'"), "key `source`: there is no file no.c"),
        (&format!("{c}hooks = ['acl']\nsource = 7"), "a file, or a list of files"),
        (&format!("{c}hooks = ['acl']\nengine = 'quickjs'"), "key `engine`: it is for JavaScript"),
        (&format!("{c}hook = ['acl']"), "unknown field `hook`, expected one of `name`, `lang`, `hooks`"),
        (
            "name = 'x'\nlang = 'python'\nhooks = ['acl']\nsource = ['plugin.py', 'plugin.c']",
            "key `source`: in Python it is one file",
        ),
        (
            &format!("{python}source = 'my-plugin.py'"),
            "key `source`: Python cannot import my-plugin.py; a file such as my_plugin.py it can",
        ),
        (&format!("{python}source = 'class.py'"), "key `source`: Python cannot import class.py"),
        (&format!("{python}source = 'plugin.c'"), "key `source`: Python cannot import plugin.c"),
    ] {
        let folder = project(manifest);
        let failure = Manifest::read(folder.path()).unwrap_err().to_string();
        assert!(failure.contains(complaint), "{manifest}:\n{failure}");
        assert!(failure.contains("tidegate-plugin.toml: "), "{failure}");
    }
}
