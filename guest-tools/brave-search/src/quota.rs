//! Brave's limits in its answers: one for a second and one for a month, in parallel lists of
//! headers, `Retry-After`, and the counts in the body of an error.

use serde_json::Value;
use trusted_tool::answer::Answer;
use trusted_tool::wait;

/// A wait, and the limit that causes it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Quota {
    /// The time until Brave takes a request again, in milliseconds.
    pub wait_ms: Option<u64>,
    /// The longest window that is used up.
    pub used_up: Option<Window>,
    /// Whether the body says that the plan's quota is used up.
    pub is_spent: bool,
}

/// A limit of requests in a window of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// The number of requests.
    pub limit: u64,
    /// The length of the window in seconds, if Brave says it.
    pub secs: Option<u64>,
}

/// The length in seconds from which no program waits for a window.
const LONG_WINDOW_SECS: u64 = 3_600;

impl Quota {
    /// Reads the limits from an answer and its error.
    pub fn of(answer: &Answer, error: Option<&Value>) -> Self {
        let list = |name: &str| answer.header(name).unwrap_or_default();
        let quota = Self::read(
            [
                list("x-ratelimit-policy"),
                list("x-ratelimit-limit"),
                list("x-ratelimit-remaining"),
                list("x-ratelimit-reset"),
            ],
            wait::retry_after(answer.headers()),
        );
        match error.is_some_and(is_spent) {
            true => quota.spent(),
            false => quota,
        }
    }

    /// Returns the limits for a body that says that the plan's quota is used up. The wait of a
    /// short window does not help then.
    fn spent(self) -> Self {
        let is_long = self.is_long();
        Self {
            wait_ms: self.wait_ms.filter(|_| is_long),
            used_up: self.used_up.filter(|_| is_long),
            is_spent: true,
        }
    }

    /// Whether the window that is used up is too long to be waited for.
    pub fn is_long(&self) -> bool {
        let wait_secs = self.wait_ms.map(|ms| ms / 1_000);
        self.used_up
            .is_some_and(|window| window.secs.or(wait_secs) >= Some(LONG_WINDOW_SECS))
    }

    fn read([policy, limit, remaining, reset]: [&str; 4], retry_after_ms: Option<u64>) -> Self {
        // Brave counts on below zero where requests came at once.
        let number = |item: &str| u64::try_from(item.trim().parse::<i64>().ok()?.max(0)).ok();
        let numbers = |list: &str| -> Vec<Option<u64>> { list.split(',').map(number).collect() };
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
        // All of these windows must end. A window that does not say when it ends may last.
        let waits = used_up.iter().map(|&index| at(&resets, index));
        let of_windows: Option<Vec<_>> = waits.collect();
        let of_windows = match of_windows {
            Some(waits) if !waits.is_empty() => waits.into_iter().max(),
            Some(_) if retry_after_ms.is_none() => resets.iter().copied().flatten().min(),
            _ => None,
        };
        let of_windows = of_windows.map(|secs| secs.saturating_mul(1_000));
        let longest = used_up.iter().filter_map(|&index| {
            // Without a policy, the length of a window is not known. It is more than the time that
            // is left of the window.
            let from_lists = || {
                let limit = at(&limits, index)?;
                Some((Window { limit, secs: None }, at(&resets, index)))
            };
            let window = windows.get(index).copied().flatten();
            window.map(|it| (it, it.secs)).or_else(from_lists)
        });
        Self {
            wait_ms: of_windows.max(retry_after_ms),
            used_up: longest.max_by_key(|(_, secs)| *secs).map(|(it, _)| it),
            is_spent: false,
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
        secs: Some(secs.trim().parse().ok()?),
    })
}

/// Whether an error of Brave says that the plan's quota is used up: by its code, or by a count that
/// has reached the limit. A limit of zero means no limit.
fn is_spent(error: &Value) -> bool {
    const CODES: [&str; 4] = [
        "USAGE_LIMIT_EXCEEDED",
        "QUOTA_LIMITED",
        "QUOTA_EXCEEDED",
        "QUOTA_LIMIT_EXCEEDED",
    ];
    let code = error["code"].as_str().unwrap_or_default();
    let count = |name: &str| error["meta"][name].as_f64().filter(|count| *count > 0.0);
    let is_reached = count("quota_limit")
        .zip(count("quota_current"))
        .is_some_and(|(limit, current)| current >= limit);
    CODES.contains(&code) || is_reached
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const POLICY: &str = "1;w=1, 2000;w=2592000";
    const SECOND: Window = Window {
        limit: 1,
        secs: Some(1),
    };
    const MONTH: Window = Window {
        limit: 2_000,
        secs: Some(2_592_000),
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
                Some(Window {
                    limit: 50,
                    secs: Some(1),
                }),
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
                    secs: None,
                }),
            ),
            // A count below zero is zero.
            (
                [POLICY, "1, 2000", "1, -3", "1, 1419704"],
                None,
                Some(1_419_704_000),
                Some(MONTH),
            ),
            // Nothing says when the window ends.
            ([POLICY, "1, 2000", "1, 0", ""], None, None, Some(MONTH)),
            (["", "", "", ""], None, None, None),
            (["x", "x", "x", "x"], None, None, None),
        ] {
            let quota = Quota::read(lists, retry_after);
            let expected = Quota {
                wait_ms,
                used_up,
                is_spent: false,
            };
            assert_eq!(quota, expected, "{lists:?}");
        }
    }
    #[test]
    fn a_quota_is_used_up_where_the_body_says_so() {
        for (error, spent) in [
            (json!({ "code": "USAGE_LIMIT_EXCEEDED" }), true),
            (json!({ "code": "QUOTA_LIMITED" }), true),
            (
                json!({ "code": "RATE_LIMITED", "meta": { "quota_limit": 2000, "quota_current": 2000 } }),
                true,
            ),
            (
                json!({ "meta": { "quota_limit": 2000, "quota_current": 2001.0 } }),
                true,
            ),
            (
                json!({ "meta": { "quota_limit": 2000, "quota_current": 1999 } }),
                false,
            ),
            (
                json!({ "meta": { "quota_limit": 0, "quota_current": 0 } }),
                false,
            ),
            (
                json!({ "code": "RATE_LIMITED", "meta": { "rate_limit": 1, "rate_current": 1 } }),
                false,
            ),
            (json!({}), false),
        ] {
            assert_eq!(is_spent(&error), spent, "{error}");
        }
        // The window of a second ends soon, and the quota does not.
        let spent = Quota::read([POLICY, "1, 2000", "0, 500", "1, 1419704"], None).spent();
        assert_eq!((spent.wait_ms, spent.used_up), (None, None));
        let spent = Quota::read([POLICY, "1, 2000", "0, 0", "1, 1419704"], None).spent();
        assert_eq!(
            (spent.wait_ms, spent.used_up),
            (Some(1_419_704_000), Some(MONTH))
        );
        let unnamed = Quota::read(["", "1, 2000", "1, 0", "1, 1419704"], None);
        assert!(unnamed.is_long());
    }
}
