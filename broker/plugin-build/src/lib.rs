//! `tidegate plugin new` and `tidegate plugin build`: from an empty folder to a plugin, in the author's own language.
//!
//! Reading order:
//! - `options`: what a user may ask for
//! - `new`: a project that works; `sdk`: its folder `tidegate`; `files`: what is embedded, by the build script
//! - `build`: a component of it; `manifest`: what the project says of itself; `world`: its interfaces, in WIT
//! - [`languages`]: how each language becomes a component; [`component`]: from a core module to one, and what one is
//! - [`lists`]: programs from package registries; [`tools`]: programs that must be there
//! - [`stamp`]: made once, until what it is made of changes; [`command`]: other programs, said before they run
//! - `failure`: why there is no project, or no component
//!
//! `xtask` makes the plugins and guests of the checkout by the same means.

mod build;
pub mod command;
pub mod component;
mod failure;
mod files;
pub mod languages;
pub mod lists;
mod manifest;
mod new;
mod options;
mod sdk;
pub mod stamp;
pub mod tools;
mod world;

pub use build::build;
pub use failure::Failure;
pub use manifest::Engine;
pub use manifest::language_of;
pub use new::{new, new_in};
pub use options::{BuildOptions, Hook, Language, NewOptions};
pub use sdk::sdk_of;
