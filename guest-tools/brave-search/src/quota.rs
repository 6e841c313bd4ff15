//! Brave's limits in its answers: one for a second and one for a month, in parallel lists of
//! headers, and `Retry-After`.

use trusted_tool::answer::Answer;
use trusted_tool::wait;

/// How long to wait, and for which limit.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Quota {
    /// The time until Brave takes a request again, in milliseconds.
    pub wait_ms: Option<u64>,
    /// The longest window that is used up.
    pub used_up: Option<Window>,
}

/// A limit of requests in a window of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// The number of requests.
    pub limit: u64,
    /// The length of the window in seconds.
    pub secs: u64,
}

impl Quota {
    /// Reads the limits from an answer.
    pub fn of(answer: &Answer) -> Self {
        let list = |name: &str| answer.header(name).unwrap_or_default();
        Self::read(
            [
                list("x-ratelimit-policy"),
                list("x-ratelimit-limit"),
                list("x-ratelimit-remaining"),
                list("x-ratelimit-reset"),
            ],
            wait::retry_after(answer.headers()),
        )
    }

    fn read([policy, limit, remaining, reset]: [&str; 4], retry_after_ms: Option<u64>) -> Self {
        let numbers = |list: &str| -> Vec<Option<u64>> {
            list.split(',')
                .map(|item| item.trim().parse().ok())
                .collect()
        };
        let at = |list: &[Option<u64>], index: usize| list.get(index).copied().flatten();
        let [limits, remaining, resets] = [limit, remaining, reset].map(numbers);
        let windows: Vec<_> = policy.split(',').map(window).collect();
        // A limit of zero means no limit.
        let is_limit = |index: usize| {
            let of_policy = windows.get(index).copied().flatten();
            at(&limits, index).or(of_policy.map(|it| it.limit)) != Some(0)
        };
        let used_up = (0..remaining.len())
            .filter(|&index| at(&remaining, index) == Some(0) && is_limit(index));
        let used_up: Vec<_> = used_up.collect();
        // All of these windows must end. One that does not say when may last.
        let waits = used_up.iter().map(|&index| at(&resets, index));
        let of_windows: Option<Vec<_>> = waits.collect();
        let of_windows = match of_windows {
            Some(waits) if !waits.is_empty() => waits.into_iter().max(),
            Some(_) if retry_after_ms.is_none() => resets.iter().copied().flatten().min(),
            _ => None,
        };
        let of_windows = of_windows.map(|secs| secs.saturating_mul(1_000));
        let longest = used_up.iter().filter_map(|&index| {
            // Without a policy, a window is at least as long as what is left of it.
            let from_lists = || {
                let (limit, secs) = (at(&limits, index)?, at(&resets, index)?);
                Some(Window { limit, secs })
            };
            windows.get(index).copied().flatten().or_else(from_lists)
        });
        Self {
            wait_ms: of_windows.max(retry_after_ms),
            used_up: longest.max_by_key(|window| window.secs),
        }
    }
}

/// Parses one item of the list `1;w=1, 2000;w=2592000`.
fn window(policy: &str) -> Option<Window> {
    let (limit, rest) = policy.split_once(';')?;
    let secs = rest
        .split(';')
        .find_map(|part| part.trim().strip_prefix("w="))?;
    Some(Window {
        limit: limit.trim().parse().ok()?,
        secs: secs.trim().parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: &str = "1;w=1, 2000;w=2592000";
    const SECOND: Window = Window { limit: 1, secs: 1 };
    const MONTH: Window = Window {
        limit: 2_000,
        secs: 2_592_000,
    };

    #[test]
    fn the_longest_window_that_is_used_up_decides() {
        for (lists, retry_after, wait_ms, used_up) in [
            (
                [POLICY, "1, 2000", "1, 0", "1, 1419704"],
                None,
                Some(1_419_704_000),
                Some(MONTH),
            ),
            (
                [POLICY, "1, 2000", "0, 0", "1, 1419704"],
                None,
                Some(1_419_704_000),
                Some(MONTH),
            ),
            (
                [POLICY, "1, 2000", "1, 0", "1, 1419704"],
                Some(1_000),
                Some(1_419_704_000),
                Some(MONTH),
            ),
            (
                [POLICY, "1, 2000", "0, 500", "1, 1419704"],
                None,
                Some(1_000),
                Some(SECOND),
            ),
            (
                [POLICY, "1, 2000", "0, 500", "1, 1419704"],
                Some(2_500),
                Some(2_500),
                Some(SECOND),
            ),
            (
                ["2000;w=2592000,1;w=1", "2000,1", "0,1", "9,1"],
                None,
                Some(9_000),
                Some(MONTH),
            ),
            // No limit for the month.
            (
                ["50;w=1, 0;w=2592000", "50, 0", "0, 0", "1, 1419704"],
                None,
                Some(1_000),
                Some(Window { limit: 50, secs: 1 }),
            ),
            // Nothing says that the window is used up.
            (
                [POLICY, "1, 2000", "1, 500", "1, 1419704"],
                None,
                Some(1_000),
                None,
            ),
            (["", "", "", "1, 1419704"], None, Some(1_000), None),
            (["", "", "", "1, 1419704"], Some(3_000), Some(3_000), None),
            (
                ["", "1, 2000", "1, 0", "1, 1419704"],
                None,
                Some(1_419_704_000),
                Some(Window {
                    limit: 2_000,
                    secs: 1_419_704,
                }),
            ),
            // Nothing says when the window ends.
            ([POLICY, "1, 2000", "1, 0", ""], None, None, Some(MONTH)),
            (["", "", "", ""], None, None, None),
            (["x", "x", "x", "x"], None, None, None),
        ] {
            let quota = Quota::read(lists, retry_after);
            assert_eq!(quota, Quota { wait_ms, used_up }, "{lists:?}");
        }
    }
}
