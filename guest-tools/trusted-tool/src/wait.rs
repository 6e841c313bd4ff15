//! The wait that an upstream asks for, in milliseconds, in all forms that upstreams use. Nothing
//! here waits, and nothing is guessed: an unknown form gives no wait.

use std::time::{Duration, SystemTime};

/// The longest wait that is believed. A longer one is a mistake.
const MAX_MS: f64 = 366.0 * 24.0 * 3_600_000.0;
/// The smallest number that counts as a Unix time in seconds. From [`EPOCH_MS`] on, a number counts
/// as a Unix time in milliseconds.
const EPOCH_SECS: f64 = 1e9;
const EPOCH_MS: f64 = 1e12;
/// Limits how far a moment may lie before the answer's date. An earlier one is a mistake, and no
/// reason to ask again at once.
const MAX_PAST: Duration = Duration::from_hours(24);

/// The wait in the headers of an answer, whose names are in lower case.
///
/// `Retry-After` comes first, then the limits that reset. Of the limits with nothing left, the one
/// that resets last counts. If none says that it has nothing left, the last of all counts.
pub fn from_headers(headers: &[(String, Vec<u8>)]) -> Option<u64> {
    retry_after(headers).or_else(|| from_limits(headers))
}

/// The wait in `Retry-After` and `Retry-After-Ms`.
pub fn retry_after(headers: &[(String, Vec<u8>)]) -> Option<u64> {
    let ms = text(headers, "retry-after-ms").and_then(|ms| bounded(number(ms)?));
    ms.or_else(|| moment(text(headers, "retry-after")?, date(headers)))
}

fn date(headers: &[(String, Vec<u8>)]) -> Option<SystemTime> {
    httpdate::parse_http_date(text(headers, "date")?.trim()).ok()
}

fn text<'h>(headers: &'h [(String, Vec<u8>)], name: &str) -> Option<&'h str> {
    let mut named = headers.iter().filter(|(known, _)| known == name);
    named.find_map(|(_, value)| std::str::from_utf8(value).ok())
}

fn from_limits(headers: &[(String, Vec<u8>)]) -> Option<u64> {
    let now = date(headers);
    let text = |name: &str| text(headers, name);
    let resets = headers.iter().filter_map(|(name, value)| {
        let at = name.find("reset")?;
        if !name.contains("ratelimit") {
            return None;
        }
        let wait = moment(std::str::from_utf8(value).ok()?, now)?;
        let remaining = format!("{}remaining{}", &name[..at], &name[at + "reset".len()..]);
        let is_empty = text(&remaining).is_some_and(|left| number(left) == Some(0.0));
        Some((is_empty, wait))
    });
    // Newer drafts have one combined header: `"default";r=0;t=50`, `limit=9, remaining=0,
    // reset=50`.
    let combined = text("ratelimit").and_then(|value| {
        let mut parts = value
            .split([';', ','])
            .filter_map(|part| part.split_once('='));
        let (_, secs) = parts.find(|(name, _)| ["t", "reset"].contains(&name.trim()))?;
        Some((false, moment(secs, now)?))
    });
    let all: Vec<_> = resets.chain(combined).collect();
    let of_empty = all.iter().filter(|(is_empty, _)| *is_empty);
    let last = of_empty.map(|(_, wait)| *wait).max();
    last.or_else(|| all.iter().map(|(_, wait)| *wait).max())
}

/// A duration, or the time until a moment; `now` is the answer's date.
pub fn moment(text: &str, now: Option<SystemTime>) -> Option<u64> {
    let text = text.trim();
    let until = |then: SystemTime| {
        let left = match then.duration_since(now?) {
            Ok(left) => left,
            Err(past) if past.duration() <= MAX_PAST => Duration::ZERO,
            Err(_) => return None,
        };
        bounded(left.as_secs_f64() * 1_000.0)
    };
    if let Some(then) = httpdate::parse_http_date(text)
        .ok()
        .or_else(|| iso_time(text))
    {
        return until(then);
    }
    match number(text) {
        Some(number) if number >= EPOCH_MS => until(since_1970(number / 1_000.0)?),
        Some(number) if number >= EPOCH_SECS => until(since_1970(number)?),
        Some(secs) => bounded(secs * 1_000.0),
        None => duration(text),
    }
}

/// A moment as ISO 8601 writes it: `2026-10-21T07:28:00.5Z`, `2026-10-21T09:28:00+02:00`.
fn iso_time(text: &str) -> Option<SystemTime> {
    let (date, time) = text.split_once(['T', 't', ' '])?;
    let digits = |text: &str, count: usize| {
        let is_plain = text.len() == count && text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse::<u64>().ok().filter(|_| is_plain)
    };
    let mut parts = date.split('-');
    let (year, month) = (digits(parts.next()?, 4)?, digits(parts.next()?, 2)?);
    let day = digits(parts.next()?, 2).filter(|_| parts.next().is_none())?;
    let zone_at = time.find(['Z', 'z', '+', '-'])?;
    let (clock, zone) = time.split_at(zone_at);
    let minutes = |text: &str| {
        let (hours, minutes) = text.split_once(':').or_else(|| text.split_at_checked(2))?;
        Some(digits(hours, 2)? * 60 + digits(minutes, 2)?)
    };
    let (minute, secs) = clock.rsplit_once(':')?;
    let secs = number(secs).filter(|secs| *secs < 61.0)?;
    let east = match zone.split_at_checked(1)? {
        ("+", offset) => minutes(offset)? as f64,
        ("-", offset) => -(minutes(offset)? as f64),
        (_, rest) => Some(0.0).filter(|_| rest.is_empty())?,
    };
    if !(1970..=9999).contains(&year) || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    // Years begin with March here, so that a leap day is the last of its year.
    let (year, month) = match month {
        1 | 2 => (year - 1, month + 9),
        month => (year, month - 3),
    };
    const DAYS_TO_1970: u64 = 719_468;
    let leap_days = year / 4 - year / 100 + year / 400;
    let days = 365 * year + leap_days + (153 * month + 2) / 5 + day - 1 - DAYS_TO_1970;
    since_1970(days as f64 * 86_400.0 + (minutes(minute)? as f64 - east) * 60.0 + secs)
}

/// A duration with units: `6ms`, `17.5s`, `1m30s`, `2 hours`.
pub fn duration(text: &str) -> Option<u64> {
    let (ms, rest) = leading_duration(text.trim())?;
    rest.is_empty().then_some(ms)
}

/// The wait in a sentence: "Please try again in 1m30s.", "retry after 26 seconds".
pub fn in_words(text: &str) -> Option<u64> {
    const BEFORE: [&str; 12] = [
        "try again in ",
        "try again after ",
        "retry in ",
        "retry after ",
        "retry after: ",
        "retry-after: ",
        "retry-after ",
        "available in ",
        "reset in ",
        "resets in ",
        "reset after ",
        "resets after ",
    ];
    const ABOUT: [&str; 6] = [
        "about ",
        "approximately ",
        "around ",
        "another ",
        "at least ",
        "for ",
    ];
    let lower = text.to_ascii_lowercase();
    let told = |before: &str, is_enough: fn(&str) -> bool| {
        lower.match_indices(before).find_map(|(at, _)| {
            let mut rest = &lower[at + before.len()..];
            while let Some(less) = ABOUT.iter().find_map(|word| rest.strip_prefix(word)) {
                rest = less;
            }
            let (ms, after) = leading_duration(rest)?;
            is_enough(&rest[..rest.len() - after.len()]).then_some(ms)
        })
    };
    let has_unit = |duration: &str| duration.contains(|it: char| it.is_ascii_alphabetic());
    let in_order = BEFORE.iter().find_map(|before| told(before, |_| true));
    in_order.or_else(|| told("wait ", has_unit))
}

/// A duration in words, rounded up: `0.5 s`, `90 s`, `5 min`, `16.5 days`.
pub fn shown(ms: u64) -> String {
    let tenths = |unit_ms: u64, unit: &str| {
        let tenths = ms.div_ceil(unit_ms / 10);
        match tenths % 10 {
            0 => format!("{} {unit}", tenths / 10),
            rest => format!("{}.{rest} {unit}", tenths / 10),
        }
    };
    match ms {
        0..10_000 => tenths(1_000, "s"),
        10_000..=120_000 => format!("{} s", ms.div_ceil(1_000)),
        120_001..=7_200_000 => format!("{} min", ms.div_ceil(60_000)),
        7_200_001..=172_800_000 => tenths(3_600_000, "hours"),
        _ => tenths(86_400_000, "days"),
    }
}

/// The duration at the start of a text, and the rest. Numbers without a unit are seconds only where
/// nothing else is there.
fn leading_duration(text: &str) -> Option<(u64, &str)> {
    let mut rest = text;
    let mut total = None;
    loop {
        let mut begin = rest.trim_start();
        if total.is_some() {
            begin = begin.trim_start_matches(',').trim_start();
            begin = begin.strip_prefix("and ").unwrap_or(begin).trim_start();
        }
        let end = begin
            .find(|char: char| !char.is_ascii_digit() && char != '.')
            .unwrap_or(begin.len());
        // A dot here may be the full stop of the sentence.
        let digits = begin[..end].trim_end_matches('.');
        let Some(number) = number(digits) else { break };
        let after = begin[digits.len()..].trim_start();
        let letters = after
            .find(|char: char| !char.is_ascii_alphabetic())
            .unwrap_or(after.len());
        let Some(unit) = unit_ms(&after[..letters]) else {
            if total.is_none() && letters == 0 {
                return bounded(number * 1_000.0).map(|ms| (ms, after));
            }
            break;
        };
        total = Some(total.unwrap_or(0.0) + number * unit);
        rest = &after[letters..];
    }
    bounded(total?).map(|ms| (ms, rest))
}

fn unit_ms(unit: &str) -> Option<f64> {
    Some(match unit.to_ascii_lowercase().as_str() {
        "ms" | "msec" | "msecs" | "millisecond" | "milliseconds" => 1.0,
        "s" | "sec" | "secs" | "second" | "seconds" => 1_000.0,
        "m" | "min" | "mins" | "minute" | "minutes" => 60_000.0,
        "h" | "hr" | "hrs" | "hour" | "hours" => 3_600_000.0,
        "d" | "day" | "days" => 86_400_000.0,
        _ => return None,
    })
}

fn number(text: &str) -> Option<f64> {
    let text = text.trim();
    let is_plain = text
        .bytes()
        .all(|byte| byte.is_ascii_digit() || byte == b'.');
    text.parse().ok().filter(|_| is_plain)
}

fn bounded(ms: f64) -> Option<u64> {
    (0.0..=MAX_MS).contains(&ms).then(|| ms.ceil() as u64)
}

fn since_1970(secs: f64) -> Option<SystemTime> {
    SystemTime::UNIX_EPOCH.checked_add(Duration::try_from_secs_f64(secs).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DATE: (&str, &str) = ("date", "Wed, 21 Oct 2026 07:28:00 GMT");

    fn wait(headers: &[(&str, &str)]) -> Option<u64> {
        let owned = |(name, value): &(&str, &str)| (name.to_string(), value.as_bytes().to_vec());
        from_headers(&headers.iter().map(owned).collect::<Vec<_>>())
    }

    #[test]
    fn each_way_of_saying_it_is_understood() {
        for (headers, ms) in [
            (&[("retry-after", "7")][..], Some(7_000)),
            (&[("retry-after", " 0.5 ")], Some(500)),
            (&[("retry-after", "1.0001")], Some(1_001)),
            (&[("retry-after", "20s")], Some(20_000)),
            (
                &[("retry-after-ms", "250.5"), ("retry-after", "9")],
                Some(251),
            ),
            (
                &[("retry-after", "Wed, 21 Oct 2026 07:28:30 GMT"), DATE],
                Some(30_000),
            ),
            (
                &[("retry-after", "Wednesday, 21-Oct-26 07:28:02 GMT"), DATE],
                Some(2_000),
            ),
            (
                &[("retry-after", "Wed, 21 Oct 2026 07:00:00 GMT"), DATE],
                Some(0),
            ),
            (&[("retry-after", "Wed, 21 Oct 2026 07:28:30 GMT")], None),
            (
                &[
                    ("retry-after", "soon"),
                    ("x-ratelimit-reset-requests", "6ms"),
                ],
                Some(6),
            ),
            (&[("x-ratelimit-reset-tokens", "1m30.5s")], Some(90_500)),
            (
                &[
                    ("x-ratelimit-remaining-requests", "0"),
                    ("x-ratelimit-reset-requests", "2s"),
                    ("x-ratelimit-remaining-tokens", "900"),
                    ("x-ratelimit-reset-tokens", "6m0s"),
                ],
                Some(2_000),
            ),
            (
                &[
                    ("x-ratelimit-reset-requests", "2s"),
                    ("x-ratelimit-reset-tokens", "9s"),
                ],
                Some(9_000),
            ),
            // These moments are 5 s and 1 s after the date.
            (&[("x-ratelimit-reset", "1792567685"), DATE], Some(5_000)),
            (&[("x-ratelimit-reset", "1792567681000"), DATE], Some(1_000)),
            (&[("ratelimit-reset", "50")], Some(50_000)),
            (&[("ratelimit", "\"default\";r=0;t=50")], Some(50_000)),
            (
                &[("ratelimit", "limit=9, remaining=0, reset=5")],
                Some(5_000),
            ),
            (
                &[
                    ("anthropic-ratelimit-requests-remaining", "0"),
                    ("anthropic-ratelimit-requests-reset", "2026-10-21T07:28:40Z"),
                    ("anthropic-ratelimit-tokens-remaining", "9"),
                    ("anthropic-ratelimit-tokens-reset", "2026-10-21T07:29:00Z"),
                    DATE,
                ],
                Some(40_000),
            ),
            (
                &[("retry-after", "2026-10-21T09:28:00.5+02:00"), DATE],
                Some(500),
            ),
            (&[("retry-after", "2026-10-21T07:28:40Z")], None),
            // These moments are long ago: a number of seconds was meant, or nothing.
            (&[("retry-after", "1000000000"), DATE], None),
            (
                &[("retry-after", "Thu, 01 Jan 1970 00:00:00 GMT"), DATE],
                None,
            ),
            (&[("retry-after", "-1")], None),
            (&[("retry-after", "1e3")], None),
            (&[("retry-after", "inf")], None),
            (&[("retry-after", "NaN")], None),
            (&[("retry-after", "99999999999999999999")], None),
            (&[("retry-after", "")], None),
            (&[("x-reset", "5")], None),
            (&[], None),
        ] {
            assert_eq!(wait(headers), ms, "{headers:?}");
        }
    }

    #[test]
    fn a_moment_in_iso_form_is_read() {
        for (text, http) in [
            ("1970-01-01T00:00:00Z", "Thu, 01 Jan 1970 00:00:00 GMT"),
            ("2024-02-29T23:59:59z", "Thu, 29 Feb 2024 23:59:59 GMT"),
            ("2024-03-01 00:00:00+00:00", "Fri, 01 Mar 2024 00:00:00 GMT"),
            ("2026-12-31T23:00:00-0130", "Fri, 01 Jan 2027 00:30:00 GMT"),
        ] {
            assert_eq!(
                iso_time(text),
                httpdate::parse_http_date(http).ok(),
                "{text}"
            );
        }
        for wrong in [
            "",
            "2026-10-21",
            "2026-10-21T07:28:40",
            "2026-13-21T07:28:40Z",
            "2026-10-21T07:28:40Zx",
            "+026-10-21T07:28:40Z",
            "é",
        ] {
            assert_eq!(iso_time(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn sentences_say_it_too() {
        for (text, ms) in [
            (
                "Rate limit reached. Please try again in 1m30s. Visit x",
                Some(90_000),
            ),
            ("Please try again in 6ms.", Some(6)),
            ("please retry after 26 seconds.", Some(26_000)),
            ("Please retry in 37.4s.", Some(37_400)),
            ("Try again in 2 hours and see", Some(7_200_000)),
            ("try again in 5", Some(5_000)),
            ("try again in 5.", Some(5_000)),
            ("Please wait 2 minutes before trying again", Some(120_000)),
            ("you must wait for another 30 seconds.", Some(30_000)),
            ("Wait at least 1 hour, 2 minutes and 3 s", Some(3_723_000)),
            ("try again in about 20s", Some(20_000)),
            ("Your quota will reset after 18h31m10s.", Some(66_670_000)),
            ("try again in a while, or try again in 3 s", Some(3_000)),
            ("wait 2", None),
            ("wait until the run ends", None),
            ("try again in a moment", None),
            ("try again later", None),
            ("you have 30 seconds", None),
        ] {
            assert_eq!(in_words(text), ms, "{text}");
        }
    }

    #[test]
    fn it_is_shown_rounded_up() {
        for (ms, text) in [
            (0, "0 s"),
            (500, "0.5 s"),
            (6, "0.1 s"),
            (1_001, "1.1 s"),
            (7_000, "7 s"),
            (10_001, "11 s"),
            (90_000, "90 s"),
            (120_001, "3 min"),
            (7_200_001, "2.1 hours"),
            (1_419_704_000, "16.5 days"),
        ] {
            assert_eq!(shown(ms), text);
        }
    }
}
