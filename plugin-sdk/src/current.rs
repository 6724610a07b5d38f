//! What the running hook is about, for those who do not want it copied every time.

use crate::host;

/// Up to `len` bytes of the message's payload from `offset` on; fewer where it ends. [`Message::payload`](crate::Message::payload) reads
/// all of it. Empty in hooks that are about no message, or about several.
pub fn read(offset: u32, len: u32) -> Vec<u8> {
    host::current_read(offset, len)
}

/// What the grant said of the client by that name: of who publishes, subscribes or asks; in [`OnDeliver`](crate::OnDeliver) of the
/// recipient.
///
/// ```
/// use tidegate_plugin::{current, testing::Host};
///
/// let _host = Host::new().attribute("team", "blue");
/// assert_eq!(current::attribute("team").as_deref(), Some("blue"));
/// ```
pub fn attribute(name: &str) -> Option<String> {
    host::current_attribute(name)
}

/// All that the grant said of the client, in its order.
pub fn attributes() -> Vec<(String, String)> {
    host::current_attributes()
}

/// The plugin that published the message, if none of the clients did.
pub fn origin() -> Option<String> {
    host::current_origin()
}

/// How many plugins' publishes led to this message: 0 for a client's own.
pub fn hops() -> u8 {
    host::current_hops()
}
