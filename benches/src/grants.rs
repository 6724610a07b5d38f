//! Somebody who logs in, and whom `passwd` then tells what may be done.

pub(crate) const USER: &str = "alice";
pub(crate) const PASSWORD: &str = "alice-secret";

/// What the section of `passwd` begins with. The last of four rules allows to publish to `probe/#`. The hash takes as little work as one
/// may: what rules cost is measured, not coming in.
pub(crate) const CONFIG: &str = r##"[plugin.passwd.config]
users = { alice = "$argon2id$v=19$m=8,t=1,p=1$dGlkZWdhdGUtYmVuY2hlcw$Suc2oJjSL0EEW8zmRjwwthTWmoqXmrOEa5sqzSr/gyE" }
acl = [
  { user = "alice", allow = "all", topic = "home/%u/#" },
  { user = "alice", deny = "publish", topic = "probe/secret/#" },
  { user = "alice", allow = "subscribe", topic = "#" },
  { user = "alice", allow = "publish", topic = "probe/#" },
]
"##;
