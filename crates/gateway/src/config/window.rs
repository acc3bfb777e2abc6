//! Times of the week at which a route is open.

use super::pools::WindowSpec;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// When a route is open, ready to be looked at; in minutes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Window {
    /// From Monday on.
    days: [bool; 7],
    from: u64,
    until: u64,
    offset: i64,
}

const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
const DAY: u64 = 24 * 60;
/// The first day of 1970 was a Thursday.
const EPOCH: u64 = 3;

impl Window {
    /// As described.
    ///
    /// # Errors
    /// The key that is wrong, and what is.
    pub fn read(spec: &WindowSpec) -> Result<Self, (&'static str, String)> {
        let minutes = |key, text: &str| {
            time(text).ok_or_else(|| (key, format!("`{text}` is no time of day; write it as `08:30`")))
        };
        let (from, until) = (minutes("from", &spec.from)?, minutes("until", &spec.until)?);
        if from == until || from == DAY || until == 0 {
            return Err(("until", "leaves no time after `from`; `24:00` is the end of the day".to_owned()));
        }
        let offset = offset(&spec.offset).ok_or_else(|| {
            ("offset", format!("`{}` is no distance from UTC; write it as `+01:00`", spec.offset))
        })?;
        let mut days = [spec.days.is_empty(); 7];
        for name in &spec.days {
            let known = DAYS.iter().position(|day| day == name).and_then(|at| days.get_mut(at));
            let Some(day) = known else {
                return Err(("days", format!("`{name}` is no day; use {}", DAYS.join(", "))));
            };
            *day = true;
        }
        Ok(Self { days, from, until, offset })
    }

    /// Whether it is open then.
    #[must_use]
    pub fn is_open(&self, at: SystemTime) -> bool {
        let since = at.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs() / 60;
        let local = since.saturating_add_signed(self.offset);
        let (day, minute) = (local / DAY, local % DAY);
        let is_on = |day: u64| {
            let at = usize::try_from((day + EPOCH) % 7).unwrap_or(0);
            self.days.get(at).is_some_and(|is_on| *is_on)
        };
        if self.from < self.until {
            return is_on(day) && (self.from..self.until).contains(&minute);
        }
        (is_on(day) && minute >= self.from) || (day > 0 && is_on(day - 1) && minute < self.until)
    }
}

fn time(text: &str) -> Option<u64> {
    let (hours, minutes) = text.split_once(':')?;
    let number = |text: &str| text.parse::<u64>().ok().filter(|_| text.len() == 2);
    let (hours, minutes) = (number(hours)?, number(minutes)?);
    let all = hours * 60 + minutes;
    (minutes < 60 && all <= DAY).then_some(all)
}

fn offset(text: &str) -> Option<i64> {
    let (sign, rest) = match (text.strip_prefix('+'), text.strip_prefix('-')) {
        (Some(rest), _) => (1, rest),
        (None, Some(rest)) => (-1, rest),
        (None, None) => return None,
    };
    let minutes = i64::try_from(time(rest)?).ok()?;
    (minutes <= 14 * 60).then_some(sign * minutes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use trunkline_core::read_rfc3339;

    fn spec(days: &[&str], from: &str, until: &str, offset: &str) -> WindowSpec {
        let days = days.iter().map(|day| (*day).to_owned()).collect();
        WindowSpec { days, from: from.to_owned(), until: until.to_owned(), offset: offset.to_owned() }
    }

    #[test]
    fn windows_open_and_close() {
        let work = spec(&["mon", "tue", "wed", "thu", "fri"], "08:30", "17:00", "+01:00");
        let night = spec(&["fri"], "22:00", "06:00", "+00:00");
        // The 20th of November 2026 is a Friday.
        for (window, at, open) in [
            (&work, "2026-11-20T07:29:59Z", false),
            (&work, "2026-11-20T07:30:00Z", true),
            (&work, "2026-11-20T15:59:59Z", true),
            (&work, "2026-11-20T16:00:00Z", false),
            (&work, "2026-11-21T12:00:00Z", false),
            (&night, "2026-11-20T21:59:00Z", false),
            (&night, "2026-11-20T22:00:00Z", true),
            (&night, "2026-11-21T05:59:00Z", true),
            (&night, "2026-11-21T06:00:00Z", false),
            (&night, "2026-11-21T23:00:00Z", false),
            (&night, "2026-11-20T05:00:00Z", false),
            (&WindowSpec::default(), "2026-11-22T23:59:59Z", true),
        ] {
            let window = Window::read(window).unwrap();
            assert_eq!(window.is_open(read_rfc3339(at).unwrap()), open, "{window:?} at {at}");
        }
    }

    #[test]
    fn what_is_no_window_is_said() {
        for (spec, key) in [
            (spec(&["monday"], "08:00", "09:00", "+00:00"), "days"),
            (spec(&[], "8:00", "09:00", "+00:00"), "from"),
            (spec(&[], "08:00", "24:01", "+00:00"), "until"),
            (spec(&[], "08:00", "08:00", "+00:00"), "until"),
            (spec(&[], "08:00", "09:00", "CET"), "offset"),
            (spec(&[], "08:00", "09:00", "+15:00"), "offset"),
        ] {
            assert_eq!(Window::read(&spec).unwrap_err().0, key, "{spec:?}");
        }
    }
}
