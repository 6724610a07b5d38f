//! How each language becomes a component.

pub mod c;
pub mod javascript;
pub mod python;
pub mod route;
pub(crate) mod rust;

/// What is written here, for those who make something again when it is made otherwise.
pub const RECIPES: &str = concat!(
    include_str!("build.rs"),
    include_str!("component.rs"),
    include_str!("world.rs"),
    include_str!("languages/c.rs"),
    include_str!("languages/javascript.rs"),
    include_str!("languages/componentize.mjs"),
    include_str!("languages/bundle.mjs"),
    include_str!("languages/python.rs"),
    include_str!("languages/rust.rs"),
);
