//! `[plugin.NAME.secrets]`: values that stand in no configuration file.

use serde::{Deserialize, Deserializer, de};
use std::{
    collections::BTreeMap,
    env, fmt, fs,
    path::{Path, PathBuf},
};

/// Where a secret comes from: `"env:VARIABLE"` or `"file:PATH"`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum SecretSource {
    /// An environment variable of the broker.
    Env(String),
    /// A file. A line break at its end is not part of the secret.
    File(PathBuf),
}

impl SecretSource {
    /// A file becomes relative to `folder`.
    pub(crate) fn lies_beside(&mut self, folder: &Path) {
        if let Self::File(path) = self {
            *path = folder.join(&path);
        }
    }

    fn read(&self) -> Result<Box<str>, String> {
        let value = match self {
            Self::Env(name) => env::var(name).map_err(|why| why.to_string())?,
            Self::File(path) => {
                let text = fs::read(path).map_err(|why| why.to_string())?;
                let mut text = String::from_utf8(text).map_err(|_| "it is not UTF-8".to_owned())?;
                let end = text.strip_suffix("\r\n").or(text.strip_suffix('\n')).unwrap_or(&text).len();
                text.truncate(end);
                text
            }
        };
        match value.is_empty() {
            true => Err("it is empty".into()),
            false => Ok(value.into()),
        }
    }
}

impl fmt::Display for SecretSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Env(name) => write!(f, "the environment variable {name}"),
            Self::File(path) => write!(f, "{}", path.display()),
        }
    }
}

impl<'de> Deserialize<'de> for SecretSource {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        match text.split_once(':') {
            Some(("env", name)) if !name.is_empty() => Ok(Self::Env(name.into())),
            Some(("file", path)) if !path.is_empty() => Ok(Self::File(path.into())),
            // The text itself may be the secret, so it is not repeated.
            _ => Err(de::Error::custom(
                "a secret does not stand here but is named, as \"env:VARIABLE\" or \"file:PATH\"",
            )),
        }
    }
}

/// The secrets of one generation, by name. Their values are shown nowhere.
#[derive(Default)]
pub(crate) struct Secrets(BTreeMap<String, Box<str>>);

impl Secrets {
    /// Reads them all.
    ///
    /// # Errors
    /// Key, reason and remedy for the first that is not there.
    pub(crate) fn read(sources: &BTreeMap<String, SecretSource>) -> Result<Self, String> {
        let read = |(name, source): (&String, &SecretSource)| match source.read() {
            Ok(value) => Ok((name.clone(), value)),
            Err(why) => Err(format!(
                "`secrets.{name}` cannot be read from {source}: {why}; set it, or remove the key"
            )),
        };
        sources.iter().map(read).collect::<Result<_, _>>().map(Self)
    }

    pub(crate) fn value(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(AsRef::as_ref)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sources(text: &str) -> BTreeMap<String, SecretSource> {
        toml::from_str(text).unwrap()
    }

    #[test]
    fn secrets_come_from_files_and_variables() {
        let place = tempfile::tempdir().unwrap();
        for (file, text) in [("unix", "one\n"), ("windows", "two\r\n"), ("lines", "a\nb\n\n")] {
            fs::write(place.path().join(file), text).unwrap();
        }
        let mut named = sources("a = 'file:unix'\nb = 'file:windows'\nc = 'file:lines'\nd = 'env:PATH'");
        named.values_mut().for_each(|source| source.lies_beside(place.path()));
        let secrets = Secrets::read(&named).unwrap();
        assert_eq!(secrets.value("a"), Some("one"));
        assert_eq!(secrets.value("b"), Some("two"));
        assert_eq!(secrets.value("c"), Some("a\nb\n"));
        assert_eq!(secrets.value("d").map(str::to_owned), env::var("PATH").ok());
        assert_eq!(secrets.value("e"), None);
    }

    #[test]
    fn a_secret_that_is_not_there_is_named_with_a_remedy() {
        let error = |text| Secrets::read(&sources(text)).err().unwrap();
        let missing = error("token = 'env:TIDEGATE_NO_SUCH_VARIABLE'");
        assert!(
            missing.starts_with("`secrets.token` cannot be read from the environment variable TIDEGATE_NO")
        );
        assert!(missing.ends_with("; set it, or remove the key"));
        assert!(error("token = 'file:/no/such/file'").contains("/no/such/file: No such file"));
        let place = tempfile::tempdir().unwrap();
        let file = place.path().join("secret");
        let named = format!("token = 'file:{}'", file.display());
        fs::write(&file, "\n").unwrap();
        assert!(error(&named).contains("it is empty"));
        fs::write(&file, [0xFF]).unwrap();
        assert!(error(&named).contains("not UTF-8"));
    }

    #[test]
    fn a_secret_in_the_configuration_is_refused_and_not_repeated() {
        for text in ["token = 'hunter2'", "token = 'env:'", "token = 'ENV:X'"] {
            let error = toml::from_str::<BTreeMap<String, SecretSource>>(text).unwrap_err();
            assert!(error.message().contains("is named, as \"env:VARIABLE\""), "{error}");
            assert!(!error.message().contains("hunter2"));
        }
    }
}
