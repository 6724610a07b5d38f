//! `tidegate plugin new`: a project that works.

use crate::{
    Failure, Hook, Language, NewOptions,
    failure::MANIFEST,
    files::{self, TEMPLATES},
    manifest::is_name,
    sdk::Sdk,
};
use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
};

/// Makes the folder `NAME` with a small plugin that works, and says what to do with it. Returns the folder.
///
/// # Errors
/// If the name is not allowed, something of that name is there, or a file cannot be written.
pub fn new(options: &NewOptions) -> Result<PathBuf, Failure> {
    let folder = new_in(Path::new(""), options)?;
    let template = Template::of(options);
    // Whoever has no terminal does not read it.
    let _ = writeln!(std::io::stdout(), "{}", template.next_steps());
    Ok(folder)
}

/// As [`new`], in the folder `parent`, and says nothing.
///
/// # Errors
/// As [`new`].
pub fn new_in(parent: &Path, options: &NewOptions) -> Result<PathBuf, Failure> {
    Template::of(options).write(parent)
}

struct Template<'a> {
    name: &'a str,
    language: Language,
    hook: Hook,
}

impl<'a> Template<'a> {
    fn of(options: &'a NewOptions) -> Self {
        Self { name: &options.name, language: options.lang, hook: options.hook }
    }

    /// Writes the project to a folder of its name in `parent`.
    fn write(&self, parent: &Path) -> Result<PathBuf, Failure> {
        if !is_name(self.name) {
            return Err(Failure::Name(self.name.to_owned()));
        }
        let folder = parent.join(self.name);
        if !files::is_free(&folder) {
            return Err(Failure::Taken(folder));
        }
        whole_or_nothing(&folder, || {
            self.files()
                .try_for_each(|(file, content)| files::write(&folder.join(file), content.as_bytes()))?;
            Sdk::write(self.language, &folder)
        })?;
        Ok(folder)
    }

    /// The files of the project, by their place in it.
    fn files(&self) -> impl Iterator<Item = (PathBuf, String)> {
        let language = self.language.key();
        let source = Path::new(self.language.usual_source());
        let extension = source.extension().unwrap_or_default().to_string_lossy();
        let hook = format!("{language}/hooks/{}.{extension}", self.hook);
        let scenario = format!("scenarios/{}.jsonl", self.hook);
        let project = format!("{language}/project/");
        TEMPLATES.iter().filter_map(move |(path, content)| {
            let to = if *path == hook {
                source.to_owned()
            } else if *path == scenario {
                "scenarios/first.jsonl".into()
            } else if *path == "README.md" {
                "README.md".into()
            } else {
                let name = path.strip_prefix(&project)?;
                // A real one would hold for the template, too.
                PathBuf::from(if name == "gitignore" { ".gitignore" } else { name })
            };
            Some((to, self.filled(content)))
        })
    }

    fn filled(&self, content: &str) -> String {
        content
            .replace("{{name}}", self.name)
            .replace("{{package}}", &self.package())
            .replace("{{hook}}", &self.hook.to_string())
            .replace("{{lang}}", self.language.key())
            .replace("{{language}}", self.language.name())
            .replace("{{source}}", self.language.usual_source())
    }

    /// A name that Cargo takes, too: it begins with a letter, and is that of no crate of Rust itself.
    fn package(&self) -> String {
        let taken = ["alloc", "core", "proc_macro", "std", "test"].contains(&self.name);
        if self.name.starts_with(|c: char| c.is_ascii_lowercase()) && !taken {
            self.name.to_owned()
        } else {
            format!("plugin-{}", self.name)
        }
    }

    fn next_steps(&self) -> String {
        let Self { name, language, .. } = self;
        let (source, language) = (language.usual_source(), language.name());
        let steps = [
            (format!("cd {name}"), format!("{source} is the plugin, {MANIFEST} says how it is built")),
            ("tidegate plugin build".into(), format!("makes build/{name}.wasm")),
            (format!("tidegate plugin test build/{name}.wasm"), "asks it what scenarios/ says".into()),
            (format!("cp build/{name}.wasm PLUGINS/"), "the broker's plugin folder: it runs at once".into()),
        ];
        let width = steps.iter().map(|(command, _)| command.len()).max().unwrap_or_default();
        let lines = steps.iter().map(|(command, what)| format!("    {command:width$}   # {what}"));
        format!("{name} is a plugin in {language}. Now:\n\n{}\n", lines.collect::<Vec<_>>().join("\n"))
    }
}

/// Fills a folder that is not there, or empty, and leaves it so if that fails.
fn whole_or_nothing(folder: &Path, fill: impl FnOnce() -> Result<(), Failure>) -> Result<(), Failure> {
    let was_there = folder.is_dir();
    files::make_folder(folder)?;
    fill().inspect_err(|_| {
        // What cannot be removed is in the way of the next attempt, and named then.
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            let _ = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
        }
        if !was_there {
            let _ = fs::remove_dir(folder);
        }
    })
}

#[cfg(test)]
mod tests;
