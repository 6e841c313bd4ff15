//! The route of a walk over all secrets: stretch after stretch, in an order of its own.
//!
//! Two walks that began at the same end would meet the same secrets in every batch. With a random
//! order each walk finds most of its stretches either untouched or done, so the walks share the
//! work without knowing of each other. A stretch has a first and a last place. It does not know how
//! many secrets lie between.

use std::collections::VecDeque;

use super::BatchSize;
use crate::random::fill_random;

/// The smallest number of batches in a stretch, as far as secrets are spread evenly over the
/// places.
const STRETCH_BATCHES: u64 = 4;

/// The largest number of stretches. Each costs a query, even if everything in it is done.
const STRETCHES_MAX: u64 = 256;

/// The stretches that are left.
pub(super) struct Route(VecDeque<Stretch>);

/// The secrets after one place and up to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stretch {
    /// The place before the stretch. `None` means from the first secret on.
    pub(super) after: Option<i64>,
    /// The last place of the stretch. `None` means up to the last secret.
    pub(super) through: Option<i64>,
    /// Whether this walk has already left the stretch to another walk once.
    was_left: bool,
}

impl Stretch {
    fn between(after: Option<i64>, through: Option<i64>) -> Self {
        Self {
            after,
            through,
            was_left: false,
        }
    }

    /// The part of the stretch after a place.
    pub(super) fn rest(self, after: i64) -> Self {
        Self {
            after: Some(after),
            ..self
        }
    }
}

impl Route {
    /// One stretch from the first secret to the last.
    pub(super) fn straight() -> Self {
        Self([Stretch::between(None, None)].into())
    }

    /// Stretches over these places, in random order. `secrets` is an estimate of their number.
    pub(super) fn over(places: Option<(i64, i64)>, secrets: u64, batch: BatchSize) -> Self {
        let stretches = secrets / (STRETCH_BATCHES * u64::from(batch.rows()));
        let stretches = i128::from(stretches.clamp(1, STRETCHES_MAX));
        let Some((first, last)) = places else {
            return Self::straight();
        };
        let (first, width) = (i128::from(first), i128::from(last) - i128::from(first));
        let ends = (1..stretches).filter_map(|number| {
            let end = first + width * number / stretches;
            i64::try_from(end).ok()
        });
        let ends: Vec<i64> = ends.collect();
        // Secrets before the first place or after the last one belong to the stretch at that end.
        let starts = std::iter::once(None).chain(ends.iter().copied().map(Some));
        let ends = ends.iter().copied().map(Some).chain([None]);
        let mut stretches: Vec<_> = starts
            .zip(ends)
            .map(|(after, through)| Stretch::between(after, through))
            .collect();
        stretches.sort_by_cached_key(|_| {
            let mut lot = [0; 8];
            fill_random(&mut lot);
            lot
        });
        Self(stretches.into())
    }

    /// The next stretch, if any is left.
    pub(super) fn next(&mut self) -> Option<Stretch> {
        self.0.pop_front()
    }

    /// The next stretch in place of the rest of this one, which then comes last. `None` when
    /// nothing else is left or when the rest was left once before.
    pub(super) fn instead_of(&mut self, rest: Stretch) -> Option<Stretch> {
        if rest.was_left {
            return None;
        }
        let elsewhere = self.0.pop_front()?;
        self.0.push_back(Stretch {
            was_left: true,
            ..rest
        });
        Some(elsewhere)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn over(places: (i64, i64), secrets: u64) -> Vec<Stretch> {
        let batch = BatchSize::try_from(10).unwrap();
        let mut route = Route::over(Some(places), secrets, batch);
        std::iter::from_fn(|| route.next()).collect()
    }

    #[test]
    fn a_way_covers_every_place_once() {
        for (places, secrets, stretches) in [
            ((1, 1_000), 1_000, 25),
            ((1, 39), 39, 1),
            ((-5, 5), 1_000, 25),
            ((i64::MIN, i64::MAX), 10_000_000, 256),
            ((7, 7), 1_000, 25),
        ] {
            let mut way = over(places, secrets);
            assert_eq!(way.len(), stretches, "{places:?}");
            way.sort_by_key(|stretch| (stretch.after, stretch.through.unwrap_or(i64::MAX)));
            assert_eq!((way[0].after, way[stretches - 1].through), (None, None));
            for both in way.windows(2) {
                assert_eq!(both[0].through, both[1].after, "{places:?}");
            }
        }
    }

    #[test]
    fn two_ways_are_not_the_same() {
        assert_ne!(over((1, 1_000), 10_000), over((1, 1_000), 10_000));
    }

    #[test]
    fn what_was_left_comes_last_and_is_not_left_again() {
        let mut route = Route::over(Some((1, 100)), 80, BatchSize::try_from(10).unwrap());
        let (first, second) = (route.next().unwrap(), route.0[0]);
        assert_eq!(route.instead_of(first.rest(3)), Some(second));
        let last = route.next().unwrap();
        assert_eq!((last.after, last.through), (Some(3), first.through));
        assert_eq!(route.instead_of(last), None);
        assert_eq!(route.next(), None);
        assert_eq!(route.instead_of(first), None, "no stretch is left");
    }
}
