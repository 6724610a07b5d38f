//! What TypeScript knows of the interfaces is in step with `wit/plugin.wit`.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{fmt::Write, fs, path::Path};
use wit_bindgen_core::wit_parser::{
    Docs, Function, FunctionKind, Handle, Interface, InterfaceId, Resolve, Type, TypeDefKind, TypeId,
    TypeOwner,
};

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/sdk/javascript/wit.d.ts");

/// Set `UPDATE` to write the file.
#[test]
fn the_declarations_are_in_step_with_the_interfaces() {
    let made = declarations();
    if std::env::var_os("UPDATE").is_some() {
        fs::write(FILE, &made).unwrap();
    }
    let said = fs::read_to_string(FILE).unwrap_or_default();
    assert!(said == made, "{FILE} is stale: UPDATE=1 cargo test -p tidegate-plugin-build --test typescript");
}

fn declarations() -> String {
    let mut resolve = Resolve::default();
    let wit = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../wit/plugin.wit");
    let (package, _) = resolve.push_path(wit).unwrap();
    let interfaces: Vec<InterfaceId> = resolve.packages[package].interfaces.values().copied().collect();
    let mut text = "// The interfaces between the broker and its plugins, made of `plugin.wit`.\n".to_owned();
    for id in interfaces {
        Module { resolve: &resolve, id }.declare(&mut text);
    }
    text
}

/// One interface.
struct Module<'a> {
    resolve: &'a Resolve,
    id: InterfaceId,
}

impl Module<'_> {
    fn interface(&self) -> &Interface {
        &self.resolve.interfaces[self.id]
    }

    fn declare(&self, text: &mut String) {
        let name = self.resolve.id_of(self.id).unwrap();
        text.push('\n');
        document(text, "", &self.interface().docs);
        writeln!(text, "declare module \"{name}\" {{").unwrap();
        if self.interface().name.as_deref() == Some("types") {
            text.push_str("  /** QuickJS has numbers here, StarlingMonkey bigints. */\n");
            text.push_str("  export type U64 = number | bigint;\n");
            text.push_str("  /** The same, with a sign. */\n");
            text.push_str("  export type S64 = number | bigint;\n");
        }
        for (name, id) in &self.interface().types {
            self.declare_type(text, name, *id);
        }
        for function in self.interface().functions.values() {
            if matches!(function.kind, FunctionKind::Freestanding) {
                self.declare_function(text, function);
            }
        }
        text.push_str("}\n");
    }

    fn declare_type(&self, text: &mut String, name: &str, id: TypeId) {
        let definition = &self.resolve.types[id];
        document(text, "  ", &definition.docs);
        let name = upper_camel(name);
        match &definition.kind {
            TypeDefKind::Record(record) => {
                writeln!(text, "  export interface {name} {{").unwrap();
                for field in &record.fields {
                    document(text, "    ", &field.docs);
                    let (optional, kind) = (self.optional(&field.ty), self.name(&field.ty));
                    writeln!(text, "    {}{optional}: {kind};", lower_camel(&field.name)).unwrap();
                }
                text.push_str("  }\n");
            }
            TypeDefKind::Variant(variant) => {
                let cases = variant.cases.iter().map(|case| match &case.ty {
                    Some(ty) => format!("{{ tag: \"{}\"; val: {} }}", case.name, self.name(ty)),
                    None => format!("{{ tag: \"{}\" }}", case.name),
                });
                writeln!(text, "  export type {name} = {};", cases.collect::<Vec<_>>().join(" | ")).unwrap();
            }
            TypeDefKind::Enum(cases) => {
                let cases: Vec<_> = cases.cases.iter().map(|case| format!("\"{}\"", case.name)).collect();
                writeln!(text, "  export type {name} = {};", cases.join(" | ")).unwrap();
            }
            TypeDefKind::Type(other) => {
                writeln!(text, "  export type {name} = {};", self.name(other)).unwrap();
            }
            TypeDefKind::Resource => self.declare_class(text, &name, id),
            other => panic!("{name}: {}", other.as_str()),
        }
    }

    fn declare_class(&self, text: &mut String, name: &str, id: TypeId) {
        writeln!(text, "  export class {name} {{\n    private constructor();").unwrap();
        for function in self.interface().functions.values() {
            let (of, before, skipped) = match function.kind {
                FunctionKind::Method(of) => (of, "", 1),
                FunctionKind::Static(of) => (of, "static ", 0),
                _ => continue,
            };
            if of == id {
                document(text, "    ", &function.docs);
                let signature = self.signature(function, skipped);
                writeln!(text, "    {before}{}{signature};", lower_camel(function.item_name())).unwrap();
            }
        }
        text.push_str("  }\n");
    }

    fn declare_function(&self, text: &mut String, function: &Function) {
        document(text, "  ", &function.docs);
        let name = lower_camel(&function.name);
        let signature = self.signature(function, 0);
        match name.as_str() {
            "delete" => writeln!(text, "  function delete_{signature};\n  export {{ delete_ as delete }};"),
            name => writeln!(text, "  export function {name}{signature};"),
        }
        .unwrap();
    }

    /// What an error is, if there may be one, is thrown.
    fn signature(&self, function: &Function, skipped: usize) -> String {
        let params = function.params.iter().skip(skipped).map(|param| {
            let name = lower_camel(&param.name);
            format!("{}: {}", if name == "new" { "new_" } else { &name }, self.name(&param.ty))
        });
        let result = function.result.as_ref().map_or_else(|| "void".to_owned(), |result| self.name(result));
        format!("({}): {result}", params.collect::<Vec<_>>().join(", "))
    }

    fn optional(&self, ty: &Type) -> &'static str {
        match ty {
            Type::Id(id) if matches!(self.resolve.types[*id].kind, TypeDefKind::Option(_)) => "?",
            _ => "",
        }
    }

    fn name(&self, ty: &Type) -> String {
        match ty {
            Type::Bool => "boolean".into(),
            Type::U64 => self.number("U64"),
            Type::S64 => self.number("S64"),
            Type::U8 | Type::U16 | Type::U32 | Type::S8 | Type::S16 | Type::S32 | Type::F32 | Type::F64 => {
                "number".into()
            }
            Type::Char | Type::String => "string".into(),
            Type::ErrorContext => panic!("no interface has one"),
            Type::Id(id) => self.name_of(*id),
        }
    }

    fn name_of(&self, id: TypeId) -> String {
        let definition = &self.resolve.types[id];
        if let Some(name) = &definition.name {
            let name = upper_camel(name);
            return match definition.owner {
                TypeOwner::Interface(owner) if owner != self.id => {
                    format!("import(\"{}\").{name}", self.resolve.id_of(owner).unwrap())
                }
                _ => name,
            };
        }
        match &definition.kind {
            TypeDefKind::List(Type::U8) => "Uint8Array".into(),
            TypeDefKind::List(of) => match self.name(of) {
                of if of.contains(" | ") => format!("({of})[]"),
                of => format!("{of}[]"),
            },
            TypeDefKind::Option(of) => format!("{} | null | undefined", self.name(of)),
            TypeDefKind::Tuple(tuple) => {
                let types: Vec<_> = tuple.types.iter().map(|ty| self.name(ty)).collect();
                format!("[{}]", types.join(", "))
            }
            TypeDefKind::Result(result) => result.ok.as_ref().map_or("void".into(), |ok| self.name(ok)),
            TypeDefKind::Handle(Handle::Own(of) | Handle::Borrow(of)) => self.name_of(*of),
            other => panic!("{}", other.as_str()),
        }
    }

    /// Of 64 bits.
    fn number(&self, name: &str) -> String {
        let is_here = self.interface().name.as_deref() == Some("types");
        if is_here { name.into() } else { format!("import(\"{}\").{name}", self.types()) }
    }

    fn types(&self) -> String {
        let package = self.interface().package.unwrap();
        self.resolve.id_of(self.resolve.packages[package].interfaces["types"]).unwrap()
    }
}

fn document(text: &mut String, indent: &str, docs: &Docs) {
    if let Some(docs) = docs.contents.as_deref() {
        let docs = docs.trim().replace('\n', &format!("\n{indent} * "));
        writeln!(text, "{indent}/** {docs} */").unwrap();
    }
}

fn upper_camel(name: &str) -> String {
    name.split('-').map(|word| word[..1].to_uppercase() + &word[1..]).collect()
}

fn lower_camel(name: &str) -> String {
    let name = upper_camel(name);
    name[..1].to_lowercase() + &name[1..]
}
