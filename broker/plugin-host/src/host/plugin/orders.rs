//! Orders to one plugin: a shadow and what becomes of it, and the way back.

use super::Plugin;
use crate::{
    config::PluginConfig,
    generation::Inspected,
    host::{
        attempt::{File, Loaded, Made, drained},
        control::{ControlError, Promoted, Reply, RolledBack, ShadowDropped, ShadowStarted},
    },
    refusal::Refusal,
    shadow::{About, Shadow, Share},
};
use bytes::Bytes;
use std::{io, path::PathBuf};

/// What an operator wants.
pub(in crate::host) enum Order {
    Shadow { file: PathBuf, share: f64, reply: Reply<ShadowStarted> },
    DropShadow(Reply<ShadowDropped>),
    Promote(Reply<Promoted>),
    RollBack(Reply<RolledBack>),
}

/// A shadow, and what it takes to promote it.
pub(super) struct Candidate {
    pub(super) shadow: Shadow,
    number: u64,
    code: Inspected,
    file: PathBuf,
    bytes: Bytes,
    content: blake3::Hash,
}

/// A candidate that was started, or started anew to be live.
pub(super) enum Trial {
    Shadow {
        started: Result<(Loaded, Inspected, File), Refusal>,
        file: PathBuf,
        share: Share,
        reply: Reply<ShadowStarted>,
    },
    Promote {
        started: Result<(Loaded, io::Result<()>), Refusal>,
        file: PathBuf,
        made: Made,
        reply: Reply<Promoted>,
    },
}

impl Plugin {
    pub(super) async fn carry_out(&mut self, order: Order) {
        match order {
            Order::Shadow { file, share, reply } => self.start_shadow(file, share, reply),
            Order::DropShadow(reply) => {
                let dropped = self.drop_shadow();
                _ = reply.send(dropped);
            }
            Order::Promote(reply) => self.promote(reply),
            Order::RollBack(reply) => {
                let back = self.go_back("rolled back").await;
                _ = reply.send(back);
            }
        }
    }

    fn start_shadow(&mut self, file: PathBuf, share: f64, reply: Reply<ShadowStarted>) {
        let (config, share) = match self.may_start_shadow(share) {
            Ok(may) => may,
            Err(why) => {
                _ = reply.send(Err(why));
                return;
            }
        };
        let making = self.making();
        self.trials.spawn(async move {
            let started = making.candidate(file.clone(), config).await;
            Trial::Shadow { started, file, share, reply }
        });
    }

    fn may_start_shadow(&self, share: f64) -> Result<(PluginConfig, Share), ControlError> {
        let plugin = self.name.to_string();
        let share = Share::new(share).ok_or_else(|| ControlError::Share(share.to_string()))?;
        match &self.live {
            None => Err(ControlError::NotRunning { plugin }),
            Some(_) if !self.trials.is_empty() => Err(ControlError::AtWork { plugin }),
            Some(live) => Ok((live.made.config.clone(), share)),
        }
    }

    fn promote(&mut self, reply: Reply<Promoted>) {
        let plugin = self.name.to_string();
        let (candidate, live) = match (&self.shadow, &self.live) {
            (Some(candidate), Some(live)) if self.trials.is_empty() => (candidate, live),
            (Some(_), Some(_)) => {
                _ = reply.send(Err(ControlError::AtWork { plugin }));
                return;
            }
            _ => {
                _ = reply.send(Err(ControlError::NoShadow { plugin }));
                return;
            }
        };
        let made = Made { content: candidate.content, config: live.made.config.clone() };
        let Candidate { code, bytes, file, .. } = candidate;
        let (code, bytes, file) = (code.clone(), bytes.clone(), file.clone());
        let (making, context, name) = (self.making(), self.context.clone(), self.name.clone());
        self.trials.spawn(async move {
            let started = match making.start(code, made.config.clone(), true).await {
                Ok(loaded) => Ok((loaded, context.write(&name, bytes).await)),
                Err(refusal) => Err(refusal),
            };
            Trial::Promote { started, file, made, reply }
        });
    }

    pub(super) fn tried(&mut self, trial: Trial) {
        let refused = |file: &PathBuf, refusal: Refusal| {
            let reason = format!("{}: {refusal}", file.display());
            tracing::warn!("plugin {}: shadow refused, {reason}", self.name);
            ControlError::Refused { plugin: self.name.to_string(), reason }
        };
        match trial {
            Trial::Shadow { started: Err(refusal), file, reply, .. } => {
                _ = reply.send(Err(refused(&file, refusal)));
            }
            Trial::Promote { started: Err(refusal), file, reply, .. } => {
                _ = reply.send(Err(refused(&file, refusal)));
            }
            Trial::Shadow { started: Ok((loaded, code, bytes)), file, share, reply, .. } => {
                _ = reply.send(self.begin_shadow(loaded, code, bytes, file, share));
            }
            Trial::Promote { started: Ok((loaded, _)), reply, .. } if self.is_overtaken(&loaded) => {
                _ = reply.send(Err(ControlError::Changing { plugin: self.name.to_string() }));
            }
            Trial::Promote { started: Ok((loaded, written)), made, reply, .. } => {
                self.shadow = None;
                let (plugin, generation) = (self.name.to_string(), loaded.generation.number);
                self.install(loaded, made.clone());
                self.tell_of_live(None);
                let file = self.context.file(&self.name);
                let not_written = written.err().map(|error| error.to_string());
                if not_written.is_none() {
                    self.in_folder = Some(made);
                }
                if let Some(why) = &not_written {
                    let problem = format!(
                        "{} is not the file of generation {generation}: it could not be written, {why}",
                        file.display()
                    );
                    tracing::warn!("plugin {plugin}: {problem}");
                    self.problem = Some(problem);
                }
                self.post();
                _ = reply.send(Ok(Promoted { plugin, generation, file, not_written }));
            }
        }
    }

    fn begin_shadow(
        &mut self,
        loaded: Loaded,
        code: Inspected,
        file_read: File,
        file: PathBuf,
        share: Share,
    ) -> Result<ShadowStarted, ControlError> {
        let plugin = self.name.to_string();
        let Some(live) = &self.live else { return Err(ControlError::NotRunning { plugin }) };
        let (live, candidate) = (live.generation.clone(), loaded.generation);
        let about =
            About { plugin: self.name.clone(), generation: candidate.number, file: file.clone(), share };
        let shadow = Shadow::start(about, candidate.member()).map_err(|error| {
            let reason = format!("no thread for the shadow: {error}; try again when the machine has room");
            ControlError::Refused { plugin: plugin.clone(), reason }
        })?;
        let File { bytes, content } = file_read;
        self.shadow = Some(Candidate { shadow, number: candidate.number, code, file, bytes, content });
        self.put_in_chain();
        self.post();
        let (ours, theirs) = (live.hooks(), candidate.hooks());
        let started = ShadowStarted {
            plugin,
            generation: candidate.number,
            against: live.number,
            compared: ours.iter().copied().filter(|hook| theirs.contains(hook)).collect(),
            not_compared: ours
                .iter()
                .chain(theirs.iter().filter(|hook| !ours.contains(hook)))
                .copied()
                .filter(|hook| !(ours.contains(hook) && theirs.contains(hook)))
                .collect(),
        };
        tracing::info!("{started}");
        Ok(started)
    }

    fn drop_shadow(&mut self) -> Result<ShadowDropped, ControlError> {
        let plugin = self.name.to_string();
        let Some(candidate) = self.shadow.take() else { return Err(ControlError::NoShadow { plugin }) };
        self.put_in_chain();
        self.post();
        let seen = candidate.shadow.comparing().report();
        let (compared, differences) = (seen.compared(), seen.differences());
        let dropped = ShadowDropped { plugin, generation: candidate.number, compared, differences };
        tracing::info!("{dropped}");
        Ok(dropped)
    }

    /// The generation before answers again, and the live one stands by.
    pub(super) async fn go_back(&mut self, why: &str) -> Result<RolledBack, ControlError> {
        let plugin = self.name.to_string();
        let (Some(previous), Some(live)) = (&self.previous, &self.live) else {
            return Err(ControlError::NoPrevious { plugin });
        };
        let (from, to) = (live.generation.number, previous.generation.number);
        if let Err(why) = previous.generation.come_back().await {
            return Err(ControlError::CannotComeBack { plugin, generation: to, why: why.text() });
        }
        std::mem::swap(&mut self.live, &mut self.previous);
        self.put_in_chain();
        self.hear_timers();
        if let Some(live) = &mut self.live {
            live.probation = None;
            self.order = live.made.config.order;
        }
        let file_is_other = !self.is_in_folder();
        let said = format!("generation {from} {why}, back to generation {to}");
        tracing::warn!("plugin {plugin}: {said}");
        self.problem = file_is_other.then_some(said);
        self.post();
        if let Some(left_behind) = &self.previous {
            self.rejected = self.in_folder.clone().filter(|made| *made == left_behind.made);
            let left = drained(&left_behind.generation).await;
            left_behind.generation.stand_by(left);
        }
        let file = self.context.file(&self.name);
        Ok(RolledBack { plugin, from, to, file, file_is_other })
    }
}
