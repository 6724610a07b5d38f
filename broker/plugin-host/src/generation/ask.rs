//! One call of a guest: let through or not, made at once or calmly, counted, and what its end means for the plugin.

use super::{BreakerOpened, Generation};
use crate::{
    breaker::{Admission, Change},
    imports::{Current, lend},
    instance::{Acquired, Functions, Slot, Unavailable},
    report::BreakerState,
    tally::{Answer, Hook},
};
use std::{future::Future, time::Instant};
use tidegate_hooks::{FaultKind, HookFailed};
use tracing::{Instrument, Span};
use wasmtime::component::{ComponentNamedList, Lift, Lower, TypedFunc};

impl Generation {
    /// Asks the guest `function` with `params`, on an instance that may take its time; `judge` checks the answer. `subject` says what it is
    /// about, if it fails.
    pub(super) async fn ask<P, R, A: Answer>(
        &self,
        hook: Hook,
        subject: impl Fn() -> String,
        current: Current<'_>,
        function: impl FnOnce(&Functions) -> Option<TypedFunc<P, R>>,
        params: P,
        judge: impl FnOnce(R) -> Result<A, FaultKind>,
    ) -> Result<A, HookFailed>
    where
        P: ComponentNamedList + Lower,
        R: ComponentNamedList + Lift + 'static,
    {
        let current = current.to_owned(self.reads_current);
        let asked = async {
            let mut lease = self.calm.lease(&self.mould, self.config.limits.timeout(hook)).await?;
            let answer = lease.call(Some(current), function, params).await?;
            lease.end();
            self.sweep();
            judge(answer)
        };
        self.ask_calmly(hook, subject, asked).await
    }

    /// The same on this thread, at once.
    pub(super) fn ask_now<P, R, A: Answer>(
        &self,
        hook: Hook,
        subject: impl Fn() -> String,
        current: Current<'_>,
        function: impl FnOnce(&Functions) -> Option<TypedFunc<P, R>>,
        params: P,
        judge: impl FnOnce(R) -> Result<A, FaultKind>,
    ) -> Result<A, HookFailed>
    where
        P: ComponentNamedList + Lower,
        R: ComponentNamedList + Lift,
    {
        let _inside = tracing::enabled!(tracing::Level::DEBUG).then(|| self.span(hook).entered());
        let admission = self.admit(hook)?;
        let acquired = self.slots.acquire(&self.mould, || self.take_spare());
        let Acquired { slot, mut instance } = match acquired {
            Ok(acquired) => acquired,
            Err(Unavailable::NotNow(kind)) => {
                self.want_spare();
                return Err(self.turned_away(hook, kind));
            }
            Err(Unavailable::Failed(kind)) => return Err(self.not_made(hook, subject, admission, kind)),
        };
        let Some(guest) = instance.as_mut() else {
            let kind = FaultKind::NoInstance("the slot is empty".into());
            return Err(self.not_made(hook, subject, admission, kind));
        };
        let tally = slot.tallies.of(hook);
        let began = tally.and_then(|tally| tally.sample());
        let answer = lend(current, || guest.call(function, params));
        let took = began.map(|began| began.elapsed());
        let spent = guest.is_spent();
        let ended = answer.is_err();
        let answer = answer.and_then(judge);
        if let Some(tally) = tally {
            tally.count_alone(&answer, took);
        }
        if ended {
            *instance = None;
        } else if spent {
            self.renew(&mut instance);
        }
        drop(instance);
        if ended || spent {
            self.want_spare();
        }
        self.settle(hook, subject, admission, answer)
    }

    /// Counts what `asked` comes to.
    pub(super) async fn ask_calmly<A: Answer>(
        &self,
        hook: Hook,
        subject: impl Fn() -> String,
        asked: impl Future<Output = Result<A, FaultKind>>,
    ) -> Result<A, HookFailed> {
        let admission = self.admit(hook)?;
        let began = Instant::now();
        let answer = asked.instrument(self.span(hook)).await;
        if let Err(FaultKind::Busy) = answer {
            // Too many at once says nothing about the plugin.
            return Err(self.turned_away(hook, FaultKind::Busy));
        }
        if let Some(tally) = self.tallies.of(hook) {
            tally.count(&answer, Some(began.elapsed()));
        }
        self.settle(hook, subject, admission, answer)
    }

    /// For those who look closely; costs next to nothing otherwise.
    fn span(&self, hook: Hook) -> Span {
        let (plugin, generation) = (&*self.plugin, self.number);
        tracing::debug_span!("hook", plugin, generation, hook = hook.name())
    }

    fn admit(&self, hook: Hook) -> Result<Admission<'_>, HookFailed> {
        let admitted = self.breaker.admit(Instant::now).and_then(|admission| match &self.rate {
            Some(rate) if !rate.admit() => Err(FaultKind::TooOften),
            _ => Ok(admission),
        });
        admitted.map_err(|kind| self.turned_away(hook, kind))
    }

    /// A call that did not reach the guest.
    fn turned_away(&self, hook: Hook, kind: FaultKind) -> HookFailed {
        if let Some(tally) = self.tallies.of(hook) {
            tally.count_fault(&kind);
        }
        self.failed(kind)
    }

    /// The same, because none can be made.
    fn not_made(
        &self,
        hook: Hook,
        subject: impl Fn() -> String,
        admission: Admission<'_>,
        kind: FaultKind,
    ) -> HookFailed {
        let failed = self.turned_away(hook, kind);
        self.fault(hook, subject, admission, &failed.kind);
        failed
    }

    fn settle<A>(
        &self,
        hook: Hook,
        subject: impl Fn() -> String,
        admission: Admission<'_>,
        answer: Result<A, FaultKind>,
    ) -> Result<A, HookFailed> {
        match answer {
            Ok(answer) => {
                if let Some(change) = admission.succeeded() {
                    self.tell(change, "");
                }
                Ok(answer)
            }
            Err(kind) => {
                self.fault(hook, subject, admission, &kind);
                Err(self.failed(kind))
            }
        }
    }

    fn failed(&self, kind: FaultKind) -> HookFailed {
        HookFailed { plugin: self.plugin.clone(), kind }
    }

    /// A fault of the plugin itself: logged, and counted for the breaker, which bounds how many there can be.
    fn fault(&self, hook: Hook, subject: impl Fn() -> String, admission: Admission<'_>, kind: &FaultKind) {
        let now = Instant::now();
        let (plugin, generation) = (&*self.plugin, self.number);
        let hook = hook.name();
        match admission.failed(now) {
            None if self.breaker.state() != BreakerState::Closed => {
                tracing::debug!(plugin, generation, hook, "plugin {plugin}: call failed: {kind}");
            }
            change => {
                let subject = subject();
                tracing::warn!(plugin, generation, hook, subject, "plugin {plugin}: call failed: {kind}");
                if let Some(change) = change {
                    self.tell(change, &kind.to_string());
                }
            }
        }
        if let Some(text) = self.probation.failed(now, || self.failures()) {
            self.report_failure(text);
        }
    }

    fn tell(&self, change: Change, fault: &str) {
        let (plugin, generation) = (&*self.plugin, self.number);
        match change {
            Change::Closed => {
                tracing::info!(plugin, generation, "plugin {plugin}: answers again, breaker closed")
            }
            Change::Opened(backoff) => {
                tracing::warn!(generation, fault, ?backoff, "plugin {plugin}: too many faults, breaker open");
                self.report_failure(fault.to_owned());
            }
        }
    }

    /// The host may go back to the generation before.
    fn report_failure(&self, fault: String) {
        // Nobody listens once the host has stopped.
        _ = self.opened.send(BreakerOpened { generation: self.number, fault });
    }

    /// Calls that reached the guest so far, and those of them that failed.
    pub(super) fn failures(&self) -> (u64, u64) {
        let slots = self.slots.iter().flat_map(|slot: &Slot| slot.tallies.iter());
        let counts = slots.chain(self.tallies.iter()).map(|tally| tally.failures());
        counts.fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1))
    }
}
