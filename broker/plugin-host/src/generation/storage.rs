//! `storage` of a generation. Any calm instance may answer; each is opened before its first call.

use super::Generation;
use crate::{exports, instance::Functions, tally::Hook, wire};
use tidegate_hooks::{FaultKind, HookFailed};
use wasmtime::component::{ComponentNamedList, Lift, Lower, TypedFunc};

/// What the guest says: an answer, or that it cannot.
type Answer<T> = Result<T, wire::StorageError>;

/// What every instance must know and keep to, whichever was told or said it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms {
    /// Of the records.
    pub(crate) format: u32,
    /// A commit that was said to be durable.
    pub(crate) durable: u64,
    /// As the instance said that was opened first.
    pub(crate) term: u64,
}

impl Generation {
    /// Opens one instance for a new term, which it says; the others follow when they are called.
    pub(crate) async fn storage_open(
        &self,
        format: u32,
        durable: u64,
    ) -> Result<Answer<wire::Opened>, HookFailed> {
        let asked = async {
            let mut lease = self.calm.lease(&self.mould, self.config.limits.timeout(Hook::Storage)).await?;
            let (answer,) = lease.call(None, |guest| guest.open, (format, None)).await?;
            if let Ok(opened) = &answer {
                exports::storage::opened(opened.sequence, durable)?;
            }
            lease.instance().opened = answer.as_ref().ok().map(|opened| opened.term);
            lease.end();
            Ok(answer)
        };
        self.ask_calmly(Hook::Storage, || "records".to_owned(), asked).await
    }

    pub(crate) async fn storage_commit(
        &self,
        terms: Terms,
        ops: &[wire::Op<'_>],
        durable: bool,
    ) -> Result<Answer<u64>, HookFailed> {
        let judge = |sequence| exports::storage::committed(sequence, terms.durable);
        self.storage(terms, |guest| guest.commit, (ops, durable), judge).await
    }

    pub(crate) async fn storage_get(
        &self,
        terms: Terms,
        table: u8,
        key: &[u8],
    ) -> Result<Answer<Option<Vec<u8>>>, HookFailed> {
        self.storage(terms, |guest| guest.get, (table, key), Ok).await
    }

    pub(crate) async fn storage_scan(
        &self,
        terms: Terms,
        table: u8,
        prefix: &[u8],
        after: Option<&[u8]>,
        max_bytes: u32,
    ) -> Result<Answer<Vec<wire::Row>>, HookFailed> {
        let params = (table, prefix, after, max_bytes);
        let judge = |rows| exports::storage::rows(rows, prefix, after);
        self.storage(terms, |guest| guest.scan, params, judge).await
    }

    async fn storage<P, T>(
        &self,
        terms: Terms,
        function: impl FnOnce(&Functions) -> Option<TypedFunc<P, (Answer<T>,)>>,
        params: P,
        judge: impl FnOnce(T) -> Result<T, FaultKind>,
    ) -> Result<Answer<T>, HookFailed>
    where
        P: ComponentNamedList + Lower,
        T: Lift + 'static,
        (Answer<T>,): ComponentNamedList + Lift,
    {
        let asked = async {
            let mut lease = self.calm.lease(&self.mould, self.config.limits.timeout(Hook::Storage)).await?;
            if lease.instance().opened != Some(terms.term) {
                let (opened,) =
                    lease.call(None, |guest| guest.open, (terms.format, Some(terms.term))).await?;
                match opened {
                    Ok(opened) => exports::storage::joined(opened, terms.term, terms.durable)?,
                    Err(error) => {
                        lease.end();
                        return Ok(Err(error));
                    }
                }
                lease.instance().opened = Some(terms.term);
            }
            let (answer,) = lease.call(None, function, params).await?;
            lease.end();
            match answer {
                Ok(answer) => judge(answer).map(Ok),
                Err(error) => Ok(Err(error)),
            }
        };
        self.ask_calmly(Hook::Storage, || "records".to_owned(), asked).await
    }
}
