//! Points in time as dates: wires and logs want them in UTC, in several spellings.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A point in time in UTC, by the Gregorian calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Utc {
    /// Four digits until the year 9999.
    pub year: u64,
    /// 1 to 12.
    pub month: u64,
    /// 1 to 31.
    pub day: u64,
    /// 0 to 23.
    pub hour: u64,
    /// 0 to 59.
    pub minute: u64,
    /// 0 to 59.
    pub second: u64,
    /// 0 to 999.
    pub milli: u32,
}

impl From<SystemTime> for Utc {
    /// What lies before 1970 becomes its first instant. Days to dates by Howard Hinnant's `civil_from_days`.
    fn from(time: SystemTime) -> Self {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        let (days, second) = (since.as_secs() / 86_400, since.as_secs() % 86_400);
        let shifted = days + 719_468;
        let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
        let year_of_era =
            (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month_from_march = (5 * day_of_year + 2) / 153;
        let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
        Self {
            year: era * 400 + year_of_era + u64::from(month <= 2),
            month,
            day: day_of_year - (153 * month_from_march + 2) / 5 + 1,
            hour: second / 3600,
            minute: second / 60 % 60,
            second: second % 60,
            milli: since.subsec_millis(),
        }
    }
}

/// Reads `2026-01-02T03:04:05Z` (RFC 3339), with or without a fraction of a second, which is left out, and with UTC
/// written as `Z`, `+00:00` or `UTC`. `None` for everything else, for what lies before 1970, and for other zones.
#[must_use]
pub fn read_rfc3339(text: &str) -> Option<SystemTime> {
    let (date, rest) = text.trim().split_once(['T', 't', ' '])?;
    let time = ["Z", "z", "+00:00", "UTC"].into_iter().find_map(|zone| rest.strip_suffix(zone))?;
    let time = time.split('.').next()?;
    let numbers = |text: &str, between: char| -> Option<[u64; 3]> {
        let numbers: Option<Vec<u64>> = text.split(between).map(|number| number.parse().ok()).collect();
        numbers?.try_into().ok()
    };
    let ([year, month, day], [hour, minute, second]) = (numbers(date, '-')?, numbers(time, ':')?);
    let is_date = (1970..=9999).contains(&year) && (1..=12).contains(&month) && (1..=31).contains(&day);
    if !is_date || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    // Dates to days by Howard Hinnant's `days_from_civil`.
    let shifted_year = year - u64::from(month <= 2);
    let (era, year_of_era) = (shifted_year / 400, shifted_year % 400);
    let month_from_march = (month + 9) % 12;
    let day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    let days = (era * 146_097 + day_of_era).checked_sub(719_468)?;
    Some(UNIX_EPOCH + Duration::from_secs(days * 86_400 + hour * 3600 + minute * 60 + second))
}

impl Utc {
    /// `2026-01-02T03:04:05.678Z` (RFC 3339).
    #[must_use]
    pub fn rfc3339(&self) -> String {
        let Self { year, month, day, hour, minute, second, milli } = *self;
        let mut out = String::with_capacity(24);
        // By hand: every line of the access log has one, and `format!` takes ten times as long.
        let mut part = |number: u64, unit: u64, then: char| {
            let mut unit = unit;
            while unit > 0 {
                let digit = u32::try_from(number / unit % 10).unwrap_or_default();
                out.push(char::from_digit(digit, 10).unwrap_or('0'));
                unit /= 10;
            }
            out.push(then);
        };
        part(year, 1000, '-');
        part(month, 10, '-');
        part(day, 10, 'T');
        part(hour, 10, ':');
        part(minute, 10, ':');
        part(second, 10, '.');
        part(milli.into(), 100, 'Z');
        out
    }

    /// `20260102T030405Z` (ISO 8601, basic); its first eight characters are the day.
    #[must_use]
    pub fn basic(&self) -> String {
        let Self { year, month, day, hour, minute, second, milli: _ } = self;
        format!("{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}Z")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (seconds, rfc3339, basic) in [
            (0, "1970-01-01T00:00:00.000Z", "19700101T000000Z"),
            (951_782_399, "2000-02-28T23:59:59.000Z", "20000228T235959Z"),
            (951_782_400, "2000-02-29T00:00:00.000Z", "20000229T000000Z"),
            (1_790_000_000, "2026-09-21T14:13:20.000Z", "20260921T141320Z"),
            (4_107_542_399, "2100-02-28T23:59:59.000Z", "21000228T235959Z"),
            (4_107_542_400, "2100-03-01T00:00:00.000Z", "21000301T000000Z"),
        ] {
            let utc = Utc::from(UNIX_EPOCH + Duration::from_secs(seconds));
            assert_eq!((utc.rfc3339().as_str(), utc.basic().as_str()), (rfc3339, basic));
        }
        assert_eq!(Utc::from(UNIX_EPOCH - Duration::from_secs(1)), Utc::from(UNIX_EPOCH));
    }

    #[test]
    fn dates_are_read_as_they_are_written() {
        for seconds in [0, 951_782_399, 951_782_400, 1_790_000_000, 4_107_542_399, 4_107_542_400] {
            let time = UNIX_EPOCH + Duration::from_secs(seconds);
            assert_eq!(read_rfc3339(&Utc::from(time).rfc3339()), Some(time));
        }
        let second = UNIX_EPOCH + Duration::from_secs(1_790_000_000);
        for (text, want) in [
            ("2026-09-21T14:13:20Z", Some(second)),
            ("2026-09-21T14:13:20.123456789Z", Some(second)),
            ("2026-09-21T14:13:20+00:00", Some(second)),
            ("2026-09-21T14:13:20UTC", Some(second)),
            ("2026-09-21T14:13:20", None),
            ("2026-09-21T14:13:20+02:00", None),
            ("2026-13-01T00:00:00Z", None),
            ("1969-12-31T23:59:59Z", None),
            ("soon", None),
        ] {
            assert_eq!(read_rfc3339(text), want, "{text}");
        }
    }
}
