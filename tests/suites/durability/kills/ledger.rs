//! The outside view of one thing: its last acknowledged state, and the states that were asked for
//! since.

use std::fmt::Debug;

/// The states in which a thing may be.
#[derive(Debug, Clone)]
pub struct Known<T> {
    acknowledged: T,
    asked: Option<T>,
}

impl<T: Clone + PartialEq + Debug> Known<T> {
    pub fn new(state: T) -> Self {
        Self {
            acknowledged: state,
            asked: None,
        }
    }

    pub fn ask(&mut self, state: T) {
        assert!(self.asked.is_none(), "one thing is asked for at a time");
        self.asked = Some(state);
    }

    pub fn acknowledge(&mut self) {
        self.acknowledged = self.asked.take().expect("it was asked for");
    }

    /// Checks the found state, and counts it as acknowledged: from now on it must stay.
    pub fn check(&mut self, found: T) -> Result<(), String> {
        if found != self.acknowledged && self.asked.as_ref() != Some(&found) {
            return Err(format!("{found:?} was found, and known is {self:?}"));
        }
        self.acknowledged = found;
        self.asked = None;
        Ok(())
    }
}
