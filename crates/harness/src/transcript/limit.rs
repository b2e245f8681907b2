//! How long a provider wants no request, and what of that is waited out in a pod.

use super::SOME_TIME;

/// Longest wait that is left to the agent: a minute's quota is whole again after it. Seconds.
const SHORT: i64 = 60;
/// Nothing but limits for so long is no matter of a minute, whatever they say. Seconds.
const PATIENCE: i64 = 120;

/// How long a run should be parked, where waiting in the pod is of no use. `wait`: what the provider named; `since`: when
/// the first of these limits came, with no answer of the model after it.
pub(super) fn parks_for(wait: Option<i64>, since: i64, now: i64) -> Option<i64> {
    match wait {
        Some(wait) if wait > SHORT => Some(wait),
        _ if now - since >= PATIENCE => Some(SOME_TIME),
        _ => None,
    }
}

/// The wait that a provider's words name, in seconds: `Please try again in 1h12m3.5s.`, `retry after 43 seconds`.
pub(super) fn named(words: &str) -> Option<i64> {
    let lower = words.to_lowercase();
    [
        "try again in ",
        "retry in ",
        "retry after ",
        "reset in ",
        "resets in ",
        "\"retrydelay\": \"",
    ]
    .iter()
    .filter_map(|lead| lower.split_once(lead))
    .find_map(|(_, rest)| duration(rest))
}

/// `7m12.5s`, `2 hours, 3 minutes and more words`, `3600`.
#[expect(clippy::cast_possible_truncation, reason = "bounded")]
fn duration(text: &str) -> Option<i64> {
    let mut rest = text;
    let mut sum: Option<f64> = None;
    loop {
        let after = rest.trim_start_matches([' ', ',']);
        let after = after.strip_prefix("and ").unwrap_or(after);
        let (number, tail) = split_while(after, |c| c.is_ascii_digit() || c == '.');
        let Ok(number) = number.parse::<f64>() else { break };
        let (unit, tail) = split_while(tail.trim_start_matches(' '), |c| c.is_ascii_alphabetic());
        let seconds = match unit {
            "ms" | "millisecond" | "milliseconds" => 0.001,
            "s" | "sec" | "secs" | "second" | "seconds" => 1.0,
            "m" | "min" | "mins" | "minute" | "minutes" => 60.0,
            "h" | "hr" | "hrs" | "hour" | "hours" => 3600.0,
            "d" | "day" | "days" => 86_400.0,
            // A number alone is seconds, as in the header.
            _ if sum.is_none() => 1.0,
            _ => break,
        };
        sum = Some(sum.unwrap_or(0.0) + number * seconds);
        rest = tail;
    }
    sum.map(|seconds| seconds.clamp(0.0, 1e9).ceil() as i64)
}

fn split_while(text: &str, is_part: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(|c| !is_part(c)).unwrap_or(text.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn providers_name_a_wait_in_many_ways() {
        for (words, seconds) in [
            (
                "Limit 30000, Used 29000. Please try again in 1h12m3.5s. Visit us",
                Some(4324),
            ),
            ("Please try again in 20s.", Some(20)),
            ("Please try again in 6ms.", Some(1)),
            ("Rate limit reached. Please try again in 7m12.5s", Some(433)),
            ("Please retry after 43 seconds.", Some(43)),
            ("Retry after 3600", Some(3600)),
            (
                "Usage limit reached. It will reset in 2 hours 3 minutes. To continue",
                Some(7380),
            ),
            ("resets in 1 day, 2 hours and 1 minute", Some(93_660)),
            (r#"    "retryDelay": "38s""#, Some(38)),
            ("try again in 5 tokens", Some(5)),
            ("try again in a while", None),
            ("Try again later or check your quotas.", None),
            ("Retrying in 0.2 seconds...", None),
            ("try again in ", None),
            ("", None),
        ] {
            assert_eq!(named(words), seconds, "{words}");
        }
    }

    #[test]
    fn a_minute_is_left_to_the_agent() {
        const NOW: i64 = 1000;
        for (wait, since, parks) in [
            (None, NOW, None),
            (Some(60), NOW, None),
            (Some(61), NOW, Some(61)),
            (Some(3600), NOW - 200, Some(3600)),
            (None, NOW - 119, None),
            (None, NOW - 120, Some(SOME_TIME)),
            (Some(5), NOW - 120, Some(SOME_TIME)),
        ] {
            assert_eq!(parks_for(wait, since, NOW), parks, "{wait:?} since {since}");
        }
    }
}
