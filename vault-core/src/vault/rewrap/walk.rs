//! The walk over all secrets, batch after batch. While one batch is committed, the next one is read
//! and worked on.
//!
//! The walk keeps the figures. `worker` decides what happens to a secret.

use std::ops::ControlFlow;

use super::{
    RewrapProgress, UNREADABLE_NAMED_MAX, UnreadableSecret,
    route::Route,
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
        let route = self.worker.route(self.progress.total).await?;
        self.walk(other_than, route, Self::find).await
    }

    /// Walks once more, for secrets that others wrote meanwhile. Secrets that do not open were
    /// already found the first time.
    pub(super) async fn run_again(&mut self, to: KekId) -> Result<ControlFlow<()>, VaultError> {
        self.walk(Some(to), Route::straight(), |walk, prepared| {
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
        mut route: Route,
        find: fn(&mut Self, &mut Prepared),
    ) -> Result<ControlFlow<()>, VaultError> {
        let mut here = route.next();
        let mut prepared = match here {
            Some(stretch) => self.worker.prepare(other_than, stretch).await?,
            None => return Ok(ControlFlow::Continue(())),
        };
        while let Some(stretch) = here {
            find(self, &mut prepared);
            let rest = prepared.next.map(|after| stretch.rest(after));
            let mut onward = rest.or_else(|| route.next());
            let (tried, worker) = (prepared.swaps.len() as u64, &self.worker);
            let following = async {
                match onward {
                    Some(stretch) => worker.prepare(other_than, stretch).await,
                    None => Ok(Prepared::default()),
                }
            };
            let (following, committed) =
                tokio::join!(following, worker.commit(other_than, prepared.swaps));
            // A commit counts, even if the next batch fails.
            let committed = committed?;
            self.progress.moved += committed.moved + prepared.would_move;
            self.progress.overtaken += committed.overtaken;
            if (self.tell)(&self.progress).is_break() {
                return Ok(ControlFlow::Break(()));
            }
            prepared = following?;
            if 2 * committed.overtaken > tried
                && let Some(rest) = rest
                && let Some(elsewhere) = route.instead_of(rest)
            {
                // Another walk is at the same place. Unless this walk moves on, the two meet in
                // every batch.
                prepared = worker.prepare(other_than, elsewhere).await?;
                onward = Some(elsewhere);
            }
            here = onward;
        }
        Ok(ControlFlow::Continue(()))
    }

    fn find(&mut self, prepared: &mut Prepared) {
        self.progress.seen += prepared.seen;
        // Others store secrets meanwhile, so raise the total: it must never be less than the number
        // of seen secrets.
        self.progress.total = self.progress.total.max(self.progress.seen);
        self.progress.unreadable += prepared.unreadable.len() as u64;
        let room = UNREADABLE_NAMED_MAX - self.unreadable.len();
        self.unreadable
            .extend(prepared.unreadable.drain(..).take(room));
    }
}
