//! Embeds what projects begin with: templates, and the SDKs of this version.

use std::{
    env,
    error::Error,
    fmt::Write,
    fs,
    path::{Path, PathBuf},
};

fn main() -> Result<(), Box<dyn Error>> {
    let own = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?);
    let root = own.join("../..");
    let out = PathBuf::from(env::var("OUT_DIR")?);
    let mut rust = Files::new("RUST_SDK");
    rust.add(&own.join("sdk/rust/workspace.toml"), "Cargo.toml");
    rust.add(&root.join("wit/plugin.wit"), "wit/plugin.wit");
    for (from, to) in [("plugin-sdk", "plugin-sdk"), ("broker/mqtt", "mqtt")] {
        rust.add(&root.join(from).join("Cargo.toml"), &format!("{to}/Cargo.toml"));
        rust.add_folder(&root.join(from).join("src"), &format!("{to}/src"))?;
    }
    // Nobody runs them there.
    rust.retain(|path| !path.ends_with("/tests.rs") && !path.contains("/tests/"));
    let mut embedded = rust.declaration()?;
    for (name, folder) in [("C_SDK", "c"), ("JAVASCRIPT_SDK", "javascript"), ("PYTHON_SDK", "python")] {
        let mut sdk = Files::new(name);
        sdk.add_folder(&own.join("sdk").join(folder), "")?;
        sdk.add(&root.join("wit/plugin.wit"), "plugin.wit");
        embedded += &sdk.declaration()?;
    }
    let mut templates = Files::new("TEMPLATES");
    templates.add_folder(&own.join("templates"), "")?;
    let lock = out.join("Cargo.lock");
    fs::write(&lock, lock_of_the_sdk(&fs::read_to_string(root.join("Cargo.lock"))?))?;
    println!("cargo::rerun-if-changed={}", root.join("Cargo.lock").display());
    templates.add(&lock, "rust/project/Cargo.lock");
    embedded += &templates.declaration()?;
    fs::write(out.join("embedded.rs"), embedded)?;
    Ok(())
}

/// Of the lock file what the SDK needs, however far down: projects begin with the versions that the broker was tested with.
fn lock_of_the_sdk(lock: &str) -> String {
    let (head, packages) = lock.split_once("[[package]]").unwrap_or((lock, ""));
    let packages: Vec<&str> = packages.split("[[package]]").collect();
    let mut kept: Vec<&str> = Vec::new();
    let mut ahead = vec!["tidegate-plugin"];
    while let Some(name) = ahead.pop() {
        let named = |package: &&&str| package.lines().any(|line| line == format!("name = {name:?}"));
        for package in packages.iter().filter(named) {
            if !kept.contains(package) {
                kept.push(package);
                // ` "serde",` or ` "syn 2.0.119",`
                let needed = package.lines().filter_map(|line| line.strip_prefix(" \""));
                ahead.extend(needed.filter_map(|line| line.split([' ', '"']).next()));
            }
        }
    }
    let kept = packages.iter().filter(|package| kept.contains(package));
    kept.fold(head.to_owned(), |lock, package| format!("{lock}[[package]]{package}"))
}

/// Files by their place in a project.
struct Files {
    name: &'static str,
    files: Vec<(PathBuf, String)>,
}

impl Files {
    fn new(name: &'static str) -> Self {
        Self { name, files: Vec::new() }
    }

    fn add(&mut self, from: &Path, to: &str) {
        self.files.push((from.to_owned(), to.to_owned()));
    }

    /// Everything below it, in the order of the names.
    fn add_folder(&mut self, from: &Path, to: &str) -> Result<(), Box<dyn Error>> {
        println!("cargo::rerun-if-changed={}", from.display());
        let entries = fs::read_dir(from)?.collect::<Result<Vec<_>, _>>()?;
        let mut paths: Vec<PathBuf> = entries.into_iter().map(|entry| entry.path()).collect();
        paths.sort();
        for path in paths {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let to = if to.is_empty() { name.into_owned() } else { format!("{to}/{name}") };
            if path.is_dir() {
                self.add_folder(&path, &to)?;
            } else {
                self.add(&path, &to);
            }
        }
        Ok(())
    }

    fn retain(&mut self, keep: impl Fn(&str) -> bool) {
        self.files.retain(|(_, to)| keep(to));
    }

    fn declaration(&self) -> Result<String, Box<dyn Error>> {
        let mut code = format!("pub(crate) static {}: &[(&str, &str)] = &[\n", self.name);
        for (from, to) in &self.files {
            println!("cargo::rerun-if-changed={}", from.display());
            writeln!(code, "    ({to:?}, include_str!({:?})),", from.canonicalize()?)?;
        }
        code += "];\n";
        Ok(code)
    }
}
