//! `created_at`: RFC 3339 in UTC, which the neutral model holds as Unix seconds.

const DAY: u64 = 86_400;

/// The time as this dialect spells it.
pub(super) fn write(seconds: u64) -> String {
    let (days, rest) = (seconds / DAY, seconds % DAY);
    let (year, month, day) = date(days);
    let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// Unix seconds of a time in any zone, fractions cut off; `None` when it is none, or before 1970.
pub(super) fn read(text: &str) -> Option<u64> {
    let number = |range: std::ops::Range<usize>| text.get(range)?.parse::<u64>().ok();
    let is_at = |at: usize, signs: &[u8]| text.as_bytes().get(at).is_some_and(|byte| signs.contains(byte));
    if !(is_at(4, b"-") && is_at(7, b"-") && is_at(10, b"Tt ") && is_at(13, b":") && is_at(16, b":")) {
        return None;
    }
    let (year, month, day) = (number(0..4)?, number(5..7)?, number(8..10)?);
    let (hour, minute, second) = (number(11..13)?, number(14..16)?, number(17..19)?);
    let fits = year >= 1970 && (1..=12).contains(&month) && (1..=31).contains(&day) && hour < 24;
    if !fits || minute > 59 || second > 60 {
        return None;
    }
    let local = days(year, month, day) * DAY + hour * 3600 + minute * 60 + second;
    let zone = text.get(19..)?.trim_start_matches(|c: char| c == '.' || c.is_ascii_digit());
    let away = || {
        let (hours, minutes) = zone.get(1..)?.split_once(':')?;
        Some(hours.parse::<u64>().ok()? * 3600 + minutes.parse::<u64>().ok()? * 60)
    };
    match zone.as_bytes().first()? {
        b'Z' | b'z' => Some(local),
        b'+' => local.checked_sub(away()?),
        b'-' => Some(local + away()?),
        _ => None,
    }
}

const fn is_leap(year: u64) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

const fn month_days(year: u64, month: u64) -> u64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Leap days from year 1 up to, not including, `year`.
const fn leap_days(year: u64) -> u64 {
    let past = year - 1;
    past / 4 - past / 100 + past / 400
}

/// Days from 1970 to the first of `year`.
const fn year_start(year: u64) -> u64 {
    (year - 1970) * 365 + leap_days(year) - leap_days(1970)
}

fn days(year: u64, month: u64, day: u64) -> u64 {
    year_start(year) + (1..month).map(|month| month_days(year, month)).sum::<u64>() + day - 1
}

/// Year, month and day of a day since 1970.
fn date(days: u64) -> (u64, u64, u64) {
    // 146,097 days are 400 years; the guess is never late and at most one year early.
    let mut year = 1970 + days * 400 / 146_097;
    while year_start(year) > days {
        year -= 1;
    }
    while year_start(year + 1) <= days {
        year += 1;
    }
    let (mut month, mut day) = (1, days - year_start(year));
    while day >= month_days(year, month) {
        day -= month_days(year, month);
        month += 1;
    }
    (year, month, day + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn times_as_servers_write_them() {
        for (text, want) in [
            ("1970-01-01T00:00:00Z", Some(0)),
            ("2023-11-14T22:13:20Z", Some(1_700_000_000)),
            ("2024-02-29T23:59:59.123456789Z", Some(1_709_251_199)),
            ("2023-11-14T15:13:20.5-07:00", Some(1_700_000_000)),
            ("2023-11-15T03:43:20+05:30", Some(1_700_000_000)),
            ("2000-03-01T00:00:00Z", Some(951_868_800)),
            ("yesterday", None),
            ("2023-13-14T22:13:20Z", None),
            ("2023-11-14T22:13:20", None),
            ("", None),
        ] {
            assert_eq!(read(text), want, "{text}");
        }
        assert_eq!(write(1_700_000_000), "2023-11-14T22:13:20Z");
    }

    proptest! {
        #[test]
        fn written_times_read_back(seconds in 0u64..253_402_300_800) {
            prop_assert_eq!(read(&write(seconds)), Some(seconds));
        }

        #[test]
        fn garbage_never_panics(text in ".{0,30}|[0-9TZ:.+-]{0,30}") {
            let _ = read(&text);
        }

        #[test]
        fn no_time_is_too_late(seconds in any::<u64>()) {
            prop_assert!(write(seconds / 400).ends_with('Z'));
        }
    }
}
