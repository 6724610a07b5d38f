//! What an operator may tell the running plugins: load again, try beside, take over, go back.

use super::{board::Board, plugin::Order};
use crate::report::PluginReport;
use parking_lot::Mutex;
use std::{collections::BTreeMap, fmt, path::PathBuf, sync::Arc};
use tokio::sync::{mpsc, oneshot};

pub(super) type Reply<T> = oneshot::Sender<Result<T, ControlError>>;
pub(super) type Answer<T> = oneshot::Receiver<Result<T, ControlError>>;

/// A look at the folder now, and a new generation even of what has not changed.
pub(super) struct Again {
    /// None: every plugin that has a file.
    pub(super) only: Option<String>,
    /// One answer a plugin; the folder may be unreadable.
    pub(super) reply: oneshot::Sender<Result<Vec<Answer<Reloaded>>, ControlError>>,
}

/// Tells the running plugins what to do. Cheap to clone; of use for as long as the host runs.
#[derive(Clone)]
pub struct PluginControl {
    pub(super) board: Arc<Board>,
    pub(super) orders: Arc<Mutex<BTreeMap<String, mpsc::UnboundedSender<Order>>>>,
    pub(super) again: mpsc::UnboundedSender<Again>,
}

impl fmt::Debug for PluginControl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PluginControl").finish_non_exhaustive()
    }
}

impl PluginControl {
    /// All plugins as they stand, by name, with their counters of this moment.
    pub fn list(&self) -> Vec<PluginReport> {
        self.board.now()
    }

    /// Loads the plugin's file and configuration as they are now, even if they have not changed; waits until they answer.
    ///
    /// # Errors
    /// [`ControlError`]: what answered before goes on answering.
    pub async fn reload(&self, plugin: &str) -> Result<Reloaded, ControlError> {
        let mut answers = self.look_again(Some(plugin)).await?;
        match answers.pop() {
            Some(answer) => heard(answer).await,
            None => Err(self.no_such_plugin(plugin)),
        }
    }

    /// As [`PluginControl::reload`], for every plugin that has a file: one answer each.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub async fn reload_all(&self) -> Result<Vec<Result<Reloaded, ControlError>>, ControlError> {
        let mut reloaded = Vec::new();
        for answer in self.look_again(None).await? {
            reloaded.push(heard(answer).await);
        }
        Ok(reloaded)
    }

    async fn look_again(&self, only: Option<&str>) -> Result<Vec<Answer<Reloaded>>, ControlError> {
        let (reply, answer) = oneshot::channel();
        let again = Again { only: only.map(str::to_owned), reply };
        self.again.send(again).map_err(|_| ControlError::Stopped)?;
        heard(answer).await
    }

    /// Starts the component in `file` beside the plugin's live generation: it is asked what that one is asked, or a `share` of it (more than
    /// 0, at most 1), its answers are compared, and not used. Takes the place of the shadow there was.
    ///
    /// # Errors
    /// [`ControlError`]: nothing has changed.
    pub async fn shadow(
        &self,
        plugin: &str,
        file: PathBuf,
        share: f64,
    ) -> Result<ShadowStarted, ControlError> {
        self.order(plugin, |reply| Order::Shadow { file, share, reply }).await
    }

    /// Ends the shadow.
    ///
    /// # Errors
    /// There is none.
    pub async fn drop_shadow(&self, plugin: &str) -> Result<ShadowDropped, ControlError> {
        self.order(plugin, Order::DropShadow).await
    }

    /// The shadow becomes the live generation, started anew with the state that the one before leaves, and its file is written to the
    /// plugin folder.
    ///
    /// # Errors
    /// [`ControlError`]: what answered before goes on answering.
    pub async fn promote(&self, plugin: &str) -> Result<Promoted, ControlError> {
        self.order(plugin, Order::Promote).await
    }

    /// The generation before answers again. Done twice, all is as it was.
    ///
    /// # Errors
    /// [`ControlError`]: what answered before goes on answering.
    pub async fn rollback(&self, plugin: &str) -> Result<RolledBack, ControlError> {
        self.order(plugin, Order::RollBack).await
    }

    async fn order<T>(&self, plugin: &str, order: impl FnOnce(Reply<T>) -> Order) -> Result<T, ControlError> {
        let (reply, answer) = oneshot::channel();
        let orders = self.orders.lock().get(plugin).cloned();
        let known = self.board.names().iter().any(|name| name == plugin);
        let Some(orders) = orders.filter(|_| known) else { return Err(self.no_such_plugin(plugin)) };
        orders.send(order(reply)).map_err(|_| ControlError::Stopped)?;
        heard(answer).await
    }

    fn no_such_plugin(&self, plugin: &str) -> ControlError {
        ControlError::NoSuchPlugin { plugin: plugin.into(), known: self.board.names() }
    }
}

async fn heard<T>(answer: Answer<T>) -> Result<T, ControlError> {
    answer.await.unwrap_or(Err(ControlError::Stopped))
}

/// An order that was not carried out. One sentence, with the remedy.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ControlError {
    /// Nothing of that name is in the folder or the config.
    #[error("there is no plugin {plugin}; {}", those(.known))]
    NoSuchPlugin {
        /// The name.
        plugin: String,
        /// Those there are.
        known: Vec<String>,
    },
    /// Its file is not there.
    #[error("plugin {plugin}: {} is not there; copy it to the plugin folder", .file.display())]
    NoFile {
        /// The plugin.
        plugin: String,
        /// Where it would be.
        file: PathBuf,
    },
    /// The folder cannot be read.
    #[error("{0}")]
    Folder(String),
    /// The file or its configuration is no good.
    #[error("plugin {plugin}: {reason}")]
    Refused {
        /// The plugin.
        plugin: String,
        /// File, reason, remedy.
        reason: String,
    },
    /// The file changed again while it was loaded.
    #[error("plugin {plugin}: its files are still changing; they are loaded once they are whole")]
    Changing {
        /// The plugin.
        plugin: String,
    },
    /// There is no live generation to compare with.
    #[error(
        "plugin {plugin} does not run, so there is nothing to compare with; copy the file to the plugin folder instead"
    )]
    NotRunning {
        /// The plugin.
        plugin: String,
    },
    /// Another order for this plugin is being carried out.
    #[error("a shadow of plugin {plugin} is being started or promoted already; try again when that is done")]
    AtWork {
        /// The plugin.
        plugin: String,
    },
    /// Not a share.
    #[error("{0} is not a share; give a number above 0, at most 1")]
    Share(String),
    /// There is no candidate.
    #[error("plugin {plugin} has no shadow; start one with `tidegate plugin shadow {plugin} FILE`")]
    NoShadow {
        /// The plugin.
        plugin: String,
    },
    /// There is nothing to go back to.
    #[error("plugin {plugin} has no generation to go back to; copy the file you want to the plugin folder")]
    NoPrevious {
        /// The plugin.
        plugin: String,
    },
    /// The generation before does not start any more.
    #[error(
        "plugin {plugin}: generation {generation} cannot come back: {why}; copy the file you want to the plugin folder"
    )]
    CannotComeBack {
        /// The plugin.
        plugin: String,
        /// The generation before.
        generation: u64,
        /// Why.
        why: String,
    },
    /// Nobody listens any more.
    #[error("the broker is stopping")]
    Stopped,
}

fn those(known: &[String]) -> String {
    match known {
        [] => "there is none at all; copy a component to the plugin folder".to_owned(),
        known => format!("there are {}", known.join(", ")),
    }
}

/// [`PluginControl::reload`] is done.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Reloaded {
    /// The plugin.
    pub plugin: String,
    /// The generation that answers now.
    pub generation: u64,
}

impl fmt::Display for Reloaded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "plugin {}: generation {} answers", self.plugin, self.generation)
    }
}

/// [`PluginControl::shadow`] is done.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ShadowStarted {
    /// The plugin.
    pub plugin: String,
    /// The candidate's number.
    pub generation: u64,
    /// The live generation.
    pub against: u64,
    /// Hooks that both have.
    pub compared: Vec<&'static str>,
    /// Hooks that only one of them has.
    pub not_compared: Vec<&'static str>,
}

impl fmt::Display for ShadowStarted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { plugin, generation, against, compared, not_compared } = self;
        write!(f, "plugin {plugin}: generation {generation} runs beside generation {against}; ")?;
        match &compared[..] {
            [] => f.write_str("they have no hook in common, so nothing is compared")?,
            hooks => write!(f, "compared: {}", hooks.join(", "))?,
        }
        match &not_compared[..] {
            [] => Ok(()),
            hooks => write!(f, "; not compared, since only one of them has it: {}", hooks.join(", ")),
        }
    }
}

/// [`PluginControl::drop_shadow`] is done.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ShadowDropped {
    /// The plugin.
    pub plugin: String,
    /// The candidate's number.
    pub generation: u64,
    /// Answers that were compared.
    pub compared: u64,
    /// Those of them that were not the same.
    pub differences: u64,
}

impl fmt::Display for ShadowDropped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { plugin, generation, compared, differences } = self;
        write!(
            f,
            "plugin {plugin}: shadow {generation} dropped; {differences} of {compared} answers differed"
        )
    }
}

/// [`PluginControl::promote`] is done.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Promoted {
    /// The plugin.
    pub plugin: String,
    /// The generation that answers now.
    pub generation: u64,
    /// In the plugin folder.
    pub file: PathBuf,
    /// Why the file could not be written. Then the next start runs what lies there.
    pub not_written: Option<String>,
}

impl fmt::Display for Promoted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { plugin, generation, file, not_written } = self;
        write!(f, "plugin {plugin}: generation {generation} answers")?;
        let file = file.display();
        match not_written {
            None => write!(f, "; {file} is its file now"),
            Some(why) => write!(
                f,
                ", but {file} could not be written ({why}): copy the new file there, or the next start runs the old one"
            ),
        }
    }
}

/// [`PluginControl::rollback`] is done.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RolledBack {
    /// The plugin.
    pub plugin: String,
    /// The generation that answered before.
    pub from: u64,
    /// The one that answers now.
    pub to: u64,
    /// In the plugin folder.
    pub file: PathBuf,
    /// Whether the file in the folder, or its configuration, is that of another generation: the next start runs that one.
    pub file_is_other: bool,
}

impl fmt::Display for RolledBack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { plugin, from, to, file, file_is_other } = self;
        write!(f, "plugin {plugin}: generation {to} answers again instead of {from}")?;
        if *file_is_other {
            let file = file.display();
            write!(
                f,
                "; {file} and its configuration are not those of generation {to}: change them back, or the next start runs what lies \
                 there"
            )?;
        }
        Ok(())
    }
}
