//! Hours of lower prices, in UTC: `12345@00:00-01:00,10:00-00:00` is Monday to Friday, before one and from ten on.

use super::Entry;
use std::time::{SystemTime, UNIX_EPOCH};

const DAY: u64 = 24 * 60;

impl Entry {
    /// Whether a call at `time` is billed at the model's lower price; never where it has no such hours.
    #[must_use]
    pub fn is_off_peak(&self, time: SystemTime) -> bool {
        let minutes = time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs() / 60;
        // The first day of 1970 was a Thursday; days count from 1, a Monday.
        let day = (minutes / DAY + 3) % 7 + 1;
        let windows = self.terms.iter().filter_map(|term| term.strip_prefix("off_peak:"));
        windows.filter_map(|window| window.split_once('@')).any(|(days, hours)| {
            let is_day = days.bytes().any(|digit| u64::from(digit.wrapping_sub(b'0')) == day);
            is_day && hours.split(',').any(|span| holds(span, minutes % DAY) == Some(true))
        })
    }
}

/// Whether `minute` of a day is in `HH:MM-HH:MM`, where an end at midnight is the day's.
fn holds(span: &str, minute: u64) -> Option<bool> {
    let (from, to) = span.split_once('-')?;
    let end = Some(of_day(to)?).filter(|end| *end > 0).unwrap_or(DAY);
    Some((of_day(from)?..end).contains(&minute))
}

fn of_day(time: &str) -> Option<u64> {
    let (hour, minute) = time.split_once(':')?;
    Some(hour.parse::<u64>().ok()? * 60 + minute.parse::<u64>().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::builtin;
    use std::time::Duration;

    #[test]
    fn nights_and_weekends() {
        let terms =
            ["free:web_search=5/day", "off_peak:12345@00:00-01:00,10:00-00:00", "off_peak:67@00:00-00:00"];
        let entry = Entry { terms: terms.map(Into::into).to_vec(), ..Entry::default() };
        for (what, day, hour, minute, want) in [
            ("Thursday, first minute", 0, 0, 0, true),
            ("Thursday, last cheap minute", 0, 0, 59, true),
            ("Thursday at one", 0, 1, 0, false),
            ("Thursday before ten", 0, 9, 59, false),
            ("Thursday at ten", 0, 10, 0, true),
            ("Thursday, last minute", 0, 23, 59, true),
            ("Saturday at noon", 2, 12, 0, true),
            ("Sunday morning", 3, 5, 0, true),
            ("Monday morning", 4, 5, 0, false),
            ("a Thursday much later", 7 * 2_900, 5, 0, false),
        ] {
            let time = UNIX_EPOCH + Duration::from_secs(((day * 24 + hour) * 60 + minute) * 60);
            assert_eq!(entry.is_off_peak(time), want, "{what}");
            assert!(!Entry::default().is_off_peak(time), "{what}");
        }
    }

    #[test]
    fn whoever_has_a_lower_price_says_when() {
        let week = || (0..7 * 24).map(|hour| UNIX_EPOCH + Duration::from_secs(hour * 3_600));
        let mut checked = 0;
        for entry in builtin().entries() {
            let has_price =
                entry.prices.iter().any(|price| price.when.label(crate::catalog::Axis::OffPeak).is_some());
            assert_eq!(week().any(|time| entry.is_off_peak(time)), has_price, "{}", entry.id);
            assert!(!week().all(|time| entry.is_off_peak(time)), "{}", entry.id);
            checked += u32::from(has_price);
        }
        assert!(checked > 0, "no model has such hours any more");
    }
}
