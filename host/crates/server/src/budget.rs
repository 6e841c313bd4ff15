//! A budget of bytes that several holders share. A request for more than is left is refused at once
//! and never waits.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The bytes that may be held at once in the whole process. Clones share the budget.
#[derive(Clone, Debug)]
pub struct ByteBudget {
    left: Arc<Semaphore>,
    bytes: usize,
}

/// The error for a budget that is used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("as many bytes are held already as may be ({bytes})")]
pub struct UsedUp {
    /// The size of the whole budget, in bytes.
    pub bytes: usize,
}

impl ByteBudget {
    /// Returns a budget of `bytes`.
    pub fn new(bytes: usize) -> Self {
        let bytes = bytes.min(Semaphore::MAX_PERMITS);
        Self {
            left: Arc::new(Semaphore::new(bytes)),
            bytes,
        }
    }

    /// Takes `bytes` until the share is dropped.
    ///
    /// # Errors
    /// Fails if less than that is left.
    pub fn take(&self, bytes: usize) -> Result<ByteShare, UsedUp> {
        let mut share = ByteShare {
            budget: self.clone(),
            permit: None,
        };
        share.grow(bytes)?;
        Ok(share)
    }
}

/// The part of the budget that one holder has.
#[derive(Debug)]
pub struct ByteShare {
    budget: ByteBudget,
    permit: Option<OwnedSemaphorePermit>,
}

impl ByteShare {
    /// Takes `more` bytes.
    ///
    /// # Errors
    /// Fails if less than that is left. The share stays as it was.
    pub fn grow(&mut self, more: usize) -> Result<(), UsedUp> {
        let bytes = self.budget.bytes;
        let more = u32::try_from(more).map_err(|_| UsedUp { bytes })?;
        let left = Arc::clone(&self.budget.left);
        let permit = left
            .try_acquire_many_owned(more)
            .map_err(|_| UsedUp { bytes })?;
        match &mut self.permit {
            Some(held) => held.merge(permit),
            None => self.permit = Some(permit),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_is_given_back_and_more_than_there_is_is_refused() {
        let budget = ByteBudget::new(10);
        let mut first = budget.take(4).expect("there is room");
        let second = budget.clone().take(5).expect("there is room");
        assert_eq!(first.grow(2), Err(UsedUp { bytes: 10 }));
        first.grow(1).expect("there is room");
        budget.take(1).expect_err("it is used up");
        drop(second);
        budget.take(5).expect("it was given back");
        budget.take(6).expect_err("the first has five");
        drop(first);
        budget.take(10).expect("all of it was given back");
    }
}
