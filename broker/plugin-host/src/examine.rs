//! What a component says of itself, read without compiling or running it.

use crate::{
    compile::check_header,
    imports,
    refusal::{Refusal, VERSION},
    tally::Hook,
};
use wasmparser::{Parser, Payload, Validator, component_types::ComponentEntityType, types::TypesRef};

const PACKAGE: &str = "tidegate:plugin/";

/// What a component is.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Examined {
    /// Version of `tidegate:plugin` for which it was built; None if it exports nothing of it.
    pub interface: Option<String>,
    /// Hooks that it exports.
    pub hooks: Vec<&'static str>,
    /// What it imports of `tidegate:plugin`, and which functions of it: `kv` with `get`, `set`.
    pub imports: Vec<(String, Vec<String>)>,
    /// What it imports of others, WASI mostly.
    pub other_imports: Vec<String>,
}

impl Examined {
    /// Why it cannot be used here, as far as its version says; the sentence goes on after the name of the file.
    pub fn other_version(&self) -> Option<String> {
        let version = self.interface.as_deref().filter(|version| *version != VERSION)?;
        Some(Refusal::OtherVersion(version.into()).to_string())
    }
}

/// Reads exports and imports.
///
/// # Errors
/// It is no component, or damaged; the sentence goes on after the name of the file.
pub fn examine(bytes: &[u8]) -> Result<Examined, String> {
    check_header(bytes).map_err(|refusal| refusal.to_string())?;
    let types = Validator::new().validate_all(bytes).map_err(|why| {
        let signs = ["unexpected end", "unexpected-end", "out of bounds", "extends past"];
        let refusal = match signs.iter().any(|sign| why.message().contains(sign)) {
            true => Refusal::Truncated,
            false => Refusal::Invalid(why.to_string().into()),
        };
        refusal.to_string()
    })?;
    let mut examined = Examined::default();
    // What was validated can be read.
    _ = names(bytes, |name| match name {
        OuterName::Export(name) => {
            if let Some((interface, version)) = apart(name) {
                examined.interface.get_or_insert_with(|| version.to_owned());
                examined.hooks.extend(Hook::from_name(interface).map(Hook::name));
            }
        }
        OuterName::Import(name) => match apart(name) {
            Some((interface, _)) => {
                let functions = functions(types.as_ref(), name);
                // Those that hold types only say nothing.
                if !functions.is_empty() || !imports::INTERFACES.contains(&interface) {
                    examined.imports.push((interface.to_owned(), functions));
                }
            }
            None => examined.other_imports.push(name.to_owned()),
        },
    });
    // In the order of the interface.
    examined.hooks.sort_by_key(|hook| Hook::from_name(hook));
    Ok(examined)
}

/// What an imported instance is wanted for.
fn functions(types: TypesRef<'_>, import: &str) -> Vec<String> {
    let Some(item) = types.component_item_for_import(import) else { return Vec::new() };
    let ComponentEntityType::Instance(instance) = item.ty else { return Vec::new() };
    let functions = types[instance].exports.iter();
    let functions = functions.filter(|(_, item)| matches!(item.ty, ComponentEntityType::Func(_)));
    functions.map(|(name, _)| name.clone()).collect()
}

/// `tidegate:plugin/acl@0.1.0` is (acl, 0.1.0). None: of another package.
pub(crate) fn apart(name: &str) -> Option<(&str, &str)> {
    let name = name.strip_prefix(PACKAGE)?;
    Some(name.split_once('@').unwrap_or((name, "")))
}

/// A name at the outside of a component.
pub(crate) enum OuterName<'a> {
    Export(&'a str),
    Import(&'a str),
}

/// Calls `found` with the name of everything that the component itself exports and imports. Code is passed over.
pub(crate) fn names(bytes: &[u8], mut found: impl FnMut(OuterName<'_>)) -> wasmparser::Result<()> {
    let mut rest = bytes;
    let mut parser = Parser::new(0);
    loop {
        let wasmparser::Chunk::Parsed { consumed, payload } = parser.parse(rest, true)? else {
            return Ok(());
        };
        rest = rest.get(consumed..).unwrap_or_default();
        match payload {
            Payload::ComponentExportSection(section) => {
                for export in section {
                    found(OuterName::Export(export?.name.name));
                }
            }
            Payload::ComponentImportSection(section) => {
                for import in section {
                    found(OuterName::Import(import?.name.name));
                }
            }
            Payload::ModuleSection { unchecked_range, .. }
            | Payload::ComponentSection { unchecked_range, .. } => {
                rest = rest.get(unchecked_range.len()..).unwrap_or_default();
            }
            Payload::End(_) => return Ok(()),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exports_imports_and_the_functions_used_are_read() {
        let component = r#"(component
            (import "tidegate:plugin/types@0.1.0" (instance (type $t u64) (export "session" (type (eq $t)))))
            (import "tidegate:plugin/kv@0.1.0" (instance (export "get" (func (param "key" string)))))
            (import "wasi:clocks/wall-clock@0.2.6" (instance))
            (instance $none)
            (export "tidegate:plugin/lifecycle@0.1.0" (instance $none))
            (export "tidegate:plugin/acl@0.1.0" (instance $none)))"#;
        let examined = examine(&wat::parse_str(component).unwrap()).unwrap();
        assert_eq!(examined.interface.as_deref(), Some("0.1.0"));
        assert_eq!(examined.other_version(), None);
        assert_eq!(examined.hooks, ["acl"]);
        assert_eq!(examined.imports, [("kv".to_owned(), vec!["get".to_owned()])]);
        assert_eq!(examined.other_imports, ["wasi:clocks/wall-clock@0.2.6"]);
    }

    #[test]
    fn what_is_no_component_is_said_with_a_remedy() {
        let error = |bytes: &[u8]| examine(bytes).unwrap_err();
        assert!(error(b"hello, this is text").starts_with("not a WebAssembly file; build"));
        assert!(error(b"\0asm\x01\0\0\0").starts_with("a core module, not a component; turn it"));
        assert_eq!(error(b"\0asm"), "the file ends too early; copy it again");
        let whole = wat::parse_str("(component (core module (func)))").unwrap();
        assert_eq!(error(&whole[..whole.len() - 3]), "the file ends too early; copy it again");
    }
}
