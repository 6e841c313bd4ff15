//! The walk over all secrets, batch after batch: the next one is read and worked on while one is committed.
//!
//! It keeps the figures. What is done with a secret is `worker`'s business.

use std::ops::ControlFlow;

use super::{
    RewrapProgress, UNREADABLE_NAMED_MAX, UnreadableSecret,
    worker::{Prepared, Worker},
};
use crate::{key::KekId, vault::VaultError};

pub(super) struct Walk<P> {
    worker: Worker,
    tell: P,
    progress: RewrapProgress,
    unreadable: Vec<UnreadableSecret>,
}

impl<P: FnMut(&RewrapProgress) -> ControlFlow<()> + Send> Walk<P> {
    pub(super) fn new(worker: Worker, total: u64, tell: P) -> Self {
        let progress = RewrapProgress {
            total,
            ..RewrapProgress::default()
        };
        Self {
            worker,
            tell,
            progress,
            unreadable: Vec::new(),
        }
    }

    /// Walks over all secrets but those that this KEK wraps.
    pub(super) async fn run(
        &mut self,
        other_than: Option<KekId>,
    ) -> Result<ControlFlow<()>, VaultError> {
        let first = self.worker.prepare(other_than, None).await?;
        self.walk(other_than, first, Self::find).await
    }

    /// The same once more, for what others wrote meanwhile. What does not open was found the first time.
    pub(super) async fn run_again(&mut self, to: KekId) -> Result<ControlFlow<()>, VaultError> {
        let first = self.worker.prepare(Some(to), None).await?;
        self.walk(Some(to), first, |walk, prepared| {
            walk.progress.seen += prepared.swaps.len() as u64;
            walk.progress.total = walk.progress.total.max(walk.progress.seen);
        })
        .await
    }

    pub(super) fn unreadable(&self) -> u64 {
        self.progress.unreadable
    }

    pub(super) fn into_findings(self) -> (RewrapProgress, Vec<UnreadableSecret>) {
        (self.progress, self.unreadable)
    }

    async fn walk(
        &mut self,
        other_than: Option<KekId>,
        first: Prepared,
        find: fn(&mut Self, &mut Prepared),
    ) -> Result<ControlFlow<()>, VaultError> {
        let mut prepared = first;
        loop {
            find(self, &mut prepared);
            let worker = &self.worker;
            let following = async {
                match prepared.next {
                    Some(after) => worker.prepare(other_than, Some(after)).await.map(Some),
                    None => Ok(None),
                }
            };
            let (following, committed) =
                tokio::join!(following, worker.commit(other_than, prepared.swaps));
            // What was committed counts, whatever became of the next batch.
            let committed = committed?;
            self.progress.moved += committed.moved + prepared.would_move;
            self.progress.overtaken += committed.overtaken;
            if (self.tell)(&self.progress).is_break() {
                return Ok(ControlFlow::Break(()));
            }
            match following? {
                Some(following) => prepared = following,
                None => return Ok(ControlFlow::Continue(())),
            }
        }
    }

    fn find(&mut self, prepared: &mut Prepared) {
        self.progress.seen += prepared.seen;
        // Secrets are stored meanwhile; more than all is never seen.
        self.progress.total = self.progress.total.max(self.progress.seen);
        self.progress.unreadable += prepared.unreadable.len() as u64;
        let room = UNREADABLE_NAMED_MAX - self.unreadable.len();
        self.unreadable
            .extend(prepared.unreadable.drain(..).take(room));
    }
}
