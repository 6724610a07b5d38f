//! `tidegate bench`: load for any MQTT broker, and what came of it.
//!
//! Reading order:
//! - `options`: what a user may ask for; `target`: the broker it goes to
//! - `scenario` and the files beside it: one for each kind of load
//! - `traffic`: publishers and subscribers that exchange messages, the heart of most scenarios
//!   - `publisher`, `pace`, `flow`: what may be sent now; `template`, `payload`, `stamp`: its bytes
//!   - `subscriber`, `order`: what has come, and what is wrong with it
//! - `crew`: one thread with its clients; `links`: their connections; `stream`: their sockets; `alarm`: its clock
//! - `team`: all threads of a run; `meeting`: where they wait for each other; `watch`, `progress`: what goes on beside them
//! - `tally`: what is counted; `process`: what the broker takes; `report`: what is told at the end
//! - `failure`: why there are no figures; `wrong`: the same, while it is not known whose packet it was

mod alarm;
mod crew;
mod failure;
mod flow;
mod links;
mod meeting;
mod options;
mod order;
mod pace;
mod payload;
mod process;
mod progress;
mod publisher;
mod report;
mod scenario;
mod stamp;
mod stream;
mod subscriber;
mod tally;
mod target;
mod team;
mod template;
mod traffic;
mod watch;
mod wrong;

pub use options::Options;
pub use scenario::run;
