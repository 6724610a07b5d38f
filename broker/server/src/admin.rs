//! The admin socket, `admin.sock` in the data folder: how commands such as `tidegate plugin list` reach the running broker. One JSON object
//! a line in, one a line out (see `protocol`); only a backup (`backups`) and a recording (`recordings`) are many lines. Only the broker's own user and root get an answer.

mod backups;
mod protocol;
mod recordings;

pub(crate) use backups::Backups;
pub use protocol::{
    AdminAnswer, AdminCalls, AdminCommand, AdminDifference, AdminPlugin, AdminRequest, AdminShadow,
    AdminShadowHook,
};
pub(crate) use recordings::Recordings;

use crate::{
    config::Mode,
    listen::{SocketFile, bind_path},
    metrics,
    server::StartError,
};
use prometheus_client::registry::Registry;
use std::{
    fs::{File, TryLockError},
    io::{self, ErrorKind},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tidegate_mqtt::TopicFilter;
use tidegate_plugin_host::{ControlError, PluginControl};
use tidegate_plugin_test::RecordingOptions;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{UnixListener, UnixStream},
    task::JoinSet,
    time::timeout,
};
use tracing::{debug, warn};

/// Commands at once; more are refused.
const CLIENTS: usize = 16;
/// Bytes of a request.
const LONGEST_REQUEST: u64 = 64 << 10;
/// Whoever says nothing, or takes nothing, for so long is let go.
const SILENCE: Duration = Duration::from_secs(60);

/// The socket's place in a data folder.
pub fn admin_socket(data_dir: &Path) -> PathBuf {
    data_dir.join("admin.sock")
}

/// Says that the data folder is in use, for as long as it is open. The system takes it back even if the process is killed. None where files cannot
/// be locked.
///
/// # Errors
/// Another broker uses the folder.
pub(crate) fn claim(data_dir: &Path) -> Result<Option<File>, StartError> {
    let lock = File::create(data_dir.join("lock")).ok();
    // Not every file system knows locks.
    if lock.as_ref().is_some_and(|lock| matches!(lock.try_lock(), Err(TryLockError::WouldBlock))) {
        return Err(StartError::DataDirInUse { path: data_dir.into() });
    }
    Ok(lock)
}

/// Who answers.
#[derive(Debug)]
pub(crate) struct Answering {
    /// None without a plugin folder.
    pub(crate) plugins: Option<PluginControl>,
    pub(crate) metrics: Registry,
    pub(crate) backups: Backups,
    pub(crate) recordings: Recordings,
}

/// The socket, bound; its file goes with it.
#[derive(Debug)]
pub(crate) struct AdminSocket {
    listener: UnixListener,
    _file: SocketFile,
    /// Says that the data folder is in use. The system takes it back even if the broker is killed.
    _lock: Option<File>,
}

impl AdminSocket {
    /// None where there can be none, which is said: such a broker serves all the same.
    ///
    /// # Errors
    /// Another broker uses the folder.
    pub(crate) fn bind(data_dir: &Path) -> Result<Option<Self>, StartError> {
        let in_use = || StartError::DataDirInUse { path: data_dir.into() };
        let lock = claim(data_dir)?;
        let path = admin_socket(data_dir);
        match bind_path(&path, Mode(0o600)) {
            Ok((listener, _file)) => Ok(Some(Self { listener, _file, _lock: lock })),
            Err(error) if error.kind() == ErrorKind::AddrInUse => Err(in_use()),
            Err(error) => {
                warn!(socket = %path.display(), %error, "no admin socket: `tidegate plugin` cannot reach this broker; name a data_dir with a shorter path, on a disk that knows sockets");
                Ok(None)
            }
        }
    }

    /// Answers, until it is dropped.
    pub(crate) async fn serve(self, answering: Answering) {
        let answering = Arc::new(answering);
        let mut talks = JoinSet::new();
        loop {
            tokio::select! {
                accepted = self.listener.accept() => match accepted {
                    Ok((stream, _)) => {
                        let busy = talks.len() >= CLIENTS;
                        let answering = answering.clone();
                        talks.spawn(async move {
                            if let Err(error) = talk(stream, busy, &answering).await {
                                debug!(%error, "a client of the admin socket left");
                            }
                        });
                    }
                    Err(error) => {
                        warn!(%error, "the admin socket takes nobody in");
                        tokio::time::sleep(Duration::from_secs(1)).await;
                    }
                },
                Some(_) = talks.join_next() => {}
            }
        }
    }
}

/// Answers one client's requests, one after the other.
async fn talk(mut stream: UnixStream, busy: bool, answering: &Answering) -> io::Result<()> {
    let peer = stream.peer_cred()?.uid();
    let (incoming, mut outgoing) = stream.split();
    if peer != 0 && peer != rustix::process::geteuid().as_raw() {
        return send(&mut outgoing, AdminAnswer::error("only the broker's own user and root may ask")).await;
    }
    if busy {
        let error = format!("{CLIENTS} others ask already; try again");
        return send(&mut outgoing, AdminAnswer::error(error)).await;
    }
    let mut incoming = BufReader::new(incoming);
    let mut line = Vec::new();
    loop {
        line.clear();
        let mut bounded = (&mut incoming).take(LONGEST_REQUEST);
        match timeout(SILENCE, bounded.read_until(b'\n', &mut line)).await {
            Ok(read) => read?,
            Err(_) => return Ok(()),
        };
        if line.last() != Some(&b'\n') {
            if line.len() as u64 == LONGEST_REQUEST {
                let error = format!("a request is one line of {LONGEST_REQUEST} bytes at most");
                send(&mut outgoing, AdminAnswer::error(error)).await?;
            }
            return Ok(());
        }
        let answer = match AdminRequest::parse(&line).map(|request| request.command) {
            Ok(AdminCommand::StoreBackup) => {
                answering.backups.send(&mut outgoing).await?;
                continue;
            }
            Ok(AdminCommand::Record { topics, clients, passwords, no_payloads }) => {
                match recording_of(&topics, clients, passwords, no_payloads) {
                    // It is the last thing that this client asks for.
                    Ok(options) => {
                        return answering.recordings.send(options, &mut incoming, &mut outgoing).await;
                    }
                    Err(error) => AdminAnswer::error(error),
                }
            }
            Ok(command) => answer(command, answering).await,
            Err(error) => AdminAnswer::error(error),
        };
        send(&mut outgoing, answer).await?;
    }
}

fn recording_of(
    topics: &[String],
    clients: Vec<String>,
    passwords: bool,
    no_payloads: bool,
) -> Result<RecordingOptions, String> {
    let filter = |text: &String| {
        TopicFilter::new(text).map_err(|why| format!("{text:?} is not a topic filter: {why}"))
    };
    let topics = topics.iter().map(filter).collect::<Result<_, _>>()?;
    Ok(RecordingOptions { topics, clients, passwords, no_payloads })
}

async fn send(outgoing: &mut (impl AsyncWriteExt + Unpin), answer: AdminAnswer) -> io::Result<()> {
    let mut line = serde_json::to_vec(&answer)?;
    line.push(b'\n');
    outgoing.write_all(&line).await
}

async fn answer(command: AdminCommand, answering: &Answering) -> AdminAnswer {
    match (&command, &answering.plugins) {
        (AdminCommand::Metrics, _) => {
            return match metrics::text(&answering.metrics) {
                Ok(text) => AdminAnswer::metrics(text),
                Err(error) => AdminAnswer::error(error),
            };
        }
        (AdminCommand::PluginList, None) => return AdminAnswer::plugins(Vec::new()),
        _ => {}
    }
    let Some(plugins) = &answering.plugins else {
        return AdminAnswer::error(
            "the broker has no plugin folder; make one, or name one with plugin_dir, and start it again",
        );
    };
    match command {
        // Answered before.
        AdminCommand::Metrics | AdminCommand::StoreBackup | AdminCommand::Record { .. } => {
            AdminAnswer::done()
        }
        AdminCommand::PluginList => AdminAnswer::plugins(plugins.list()),
        AdminCommand::PluginReload { plugin: Some(plugin) } => said(plugins.reload(&plugin).await),
        AdminCommand::PluginReload { plugin: None } => match plugins.reload_all().await {
            Ok(all) => all.into_iter().map(said).collect(),
            Err(error) => AdminAnswer::error(error),
        },
        AdminCommand::PluginShadow { plugin, file, share } => {
            said(plugins.shadow(&plugin, file, share).await)
        }
        AdminCommand::PluginDropShadow { plugin } => said(plugins.drop_shadow(&plugin).await),
        AdminCommand::PluginPromote { plugin } => said(plugins.promote(&plugin).await),
        AdminCommand::PluginRollback { plugin } => said(plugins.rollback(&plugin).await),
    }
}

fn said<T: std::fmt::Display>(done: Result<T, ControlError>) -> AdminAnswer {
    match done {
        Ok(done) => AdminAnswer::said(done),
        Err(error) => AdminAnswer::error(error),
    }
}

#[cfg(test)]
mod tests;
