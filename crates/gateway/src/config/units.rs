//! Durations (`250ms`, `30s`, `5m`, `1h`, `1d`) and sizes (`64KiB`, `10MiB`, `1GB`, plain bytes) in
//! configuration, as serde `with` modules and as plain parsers for whoever has only text.

use std::time::Duration;

/// Why a text is not a duration or a size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UnitError {
    /// Not a duration.
    #[error("expected {DURATION}")]
    Duration,
    /// Not a size.
    #[error("expected {SIZE}")]
    Size,
}

const DURATION: &str = "a duration: 250ms, 30s, 5m, 1h, 1d, or a number of seconds";
const SIZE: &str = "a size: 64KiB, 10MiB, 1GiB, 500KB, 10MB, or a number of bytes";

/// Milliseconds in each unit, largest first, which is the order [`duration_text`] tries them in.
const DURATIONS: [(&str, u64); 5] =
    [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];

/// Bytes in each unit. Binary ones come first, largest first, for [`size_text`]; decimal ones are only
/// ever read.
const SIZES: [(&str, u64); 9] = [
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("TB", 1_000_000_000_000),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("KB", 1000),
    ("B", 1),
];

/// Reads `250ms`, `1.5s`, `5m`, `1h`, `1d`; a bare number is seconds.
///
/// # Errors
/// Anything else, and what a [`Duration`] cannot hold.
pub fn parse_duration(text: &str) -> Result<Duration, UnitError> {
    let (number, unit) = split(text);
    let unit = if unit.is_empty() { "s" } else { unit };
    let &(_, millis) = DURATIONS.iter().find(|(name, _)| *name == unit).ok_or(UnitError::Duration)?;
    if let Ok(whole) = number.parse::<u64>() {
        return whole.checked_mul(millis).map(Duration::from_millis).ok_or(UnitError::Duration);
    }
    let factor = Duration::from_millis(millis).as_secs_f64();
    let number: f64 = number.parse().map_err(|_| UnitError::Duration)?;
    Duration::try_from_secs_f64(number * factor).map_err(|_| UnitError::Duration)
}

/// Reads `64KiB`, `10MiB`, `1GB`, in any case; a bare number is bytes.
///
/// # Errors
/// Anything else, fractions included, and what a `usize` cannot hold.
pub fn parse_size(text: &str) -> Result<usize, UnitError> {
    let (number, unit) = split(text);
    let unit = if unit.is_empty() { "B" } else { unit };
    let &(_, bytes) =
        SIZES.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit)).ok_or(UnitError::Size)?;
    let number: u64 = number.parse().map_err(|_| UnitError::Size)?;
    number.checked_mul(bytes).and_then(|total| usize::try_from(total).ok()).ok_or(UnitError::Size)
}

/// The shortest exact text [`parse_duration`] reads back.
#[must_use]
pub fn duration_text(value: Duration) -> String {
    let Ok(millis) = u64::try_from(value.as_millis()) else {
        return format!("{}s", value.as_secs());
    };
    if !value.subsec_nanos().is_multiple_of(1_000_000) {
        return format!("{}s", value.as_secs_f64());
    }
    let unit = DURATIONS.iter().find(|(_, unit)| millis >= *unit && millis.is_multiple_of(*unit));
    unit.map_or_else(|| "0s".into(), |(name, unit)| format!("{}{name}", millis / unit))
}

/// The shortest exact text [`parse_size`] reads back.
#[must_use]
pub fn size_text(bytes: usize) -> String {
    let bytes = bytes as u64;
    let binary = SIZES.iter().filter(|(name, _)| name.ends_with("iB"));
    let unit = binary.into_iter().find(|(_, unit)| bytes >= *unit && bytes.is_multiple_of(*unit));
    unit.map_or_else(|| bytes.to_string(), |(name, unit)| format!("{}{name}", bytes / unit))
}

/// The number and the unit behind it, with spaces allowed between and around.
fn split(text: &str) -> (&str, &str) {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    (number, unit.trim_start())
}

/// `#[serde(with = "units::maybe_duration")]`.
pub mod maybe_duration {
    use serde::{Deserialize, Deserializer, Serializer};
    use std::time::Duration;

    /// Reads what [`super::duration`] reads, or `null`.
    ///
    /// # Errors
    /// Whatever else stands there.
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Duration>, D::Error> {
        #[derive(Deserialize)]
        struct Said(#[serde(with = "super::duration")] Duration);
        Option::<Said>::deserialize(from).map(|said| said.map(|Said(duration)| duration))
    }

    /// Writes the shortest exact text.
    ///
    /// # Errors
    /// Only the serializer's own.
    pub fn serialize<S: Serializer>(value: &Option<Duration>, to: S) -> Result<S::Ok, S::Error> {
        match value {
            Some(duration) => super::duration::serialize(duration, to),
            None => to.serialize_none(),
        }
    }
}

/// `#[serde(with = "units::duration")]`.
pub mod duration {
    use super::{DURATION, duration_text, parse_duration};
    use serde::de::{Deserializer, Error, Unexpected, Visitor};
    use serde::ser::Serializer;
    use std::fmt;
    use std::time::Duration;

    /// Reads a text with a unit, or a number of seconds.
    ///
    /// # Errors
    /// Whatever else stands there.
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        from.deserialize_any(Seconds)
    }

    /// Writes the shortest exact text.
    ///
    /// # Errors
    /// Only the serializer's own.
    pub fn serialize<S: Serializer>(value: &Duration, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&duration_text(*value))
    }

    struct Seconds;

    impl Visitor<'_> for Seconds {
        type Value = Duration;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(DURATION)
        }

        fn visit_u64<E: Error>(self, seconds: u64) -> Result<Duration, E> {
            Ok(Duration::from_secs(seconds))
        }

        fn visit_f64<E: Error>(self, seconds: f64) -> Result<Duration, E> {
            Duration::try_from_secs_f64(seconds)
                .map_err(|_| E::invalid_value(Unexpected::Float(seconds), &self))
        }

        fn visit_str<E: Error>(self, text: &str) -> Result<Duration, E> {
            parse_duration(text).map_err(|_| E::invalid_value(Unexpected::Str(text), &self))
        }
    }
}

/// `#[serde(with = "units::size")]`.
pub mod size {
    use super::{SIZE, parse_size, size_text};
    use serde::de::{Deserializer, Error, Unexpected, Visitor};
    use serde::ser::Serializer;
    use std::fmt;

    /// Reads a text with a unit, or a number of bytes.
    ///
    /// # Errors
    /// Whatever else stands there.
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<usize, D::Error> {
        from.deserialize_any(Bytes)
    }

    /// Writes the shortest exact text.
    ///
    /// # Errors
    /// Only the serializer's own.
    pub fn serialize<S: Serializer>(value: &usize, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&size_text(*value))
    }

    struct Bytes;

    impl Visitor<'_> for Bytes {
        type Value = usize;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(SIZE)
        }

        fn visit_u64<E: Error>(self, bytes: u64) -> Result<usize, E> {
            usize::try_from(bytes).map_err(|_| E::invalid_value(Unexpected::Unsigned(bytes), &self))
        }

        fn visit_str<E: Error>(self, text: &str) -> Result<usize, E> {
            parse_size(text).map_err(|_| E::invalid_value(Unexpected::Str(text), &self))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_and_written() {
        for (text, millis, back) in [
            ("250ms", 250, "250ms"),
            ("30s", 30_000, "30s"),
            ("90", 90_000, "90s"),
            ("0.5", 500, "500ms"),
            ("1.5s", 1500, "1500ms"),
            ("5m", 300_000, "5m"),
            ("60m", 3_600_000, "1h"),
            ("1 h", 3_600_000, "1h"),
            ("2d", 172_800_000, "2d"),
            ("0", 0, "0s"),
        ] {
            let read = parse_duration(text).unwrap_or_else(|why| panic!("{text}: {why}"));
            assert_eq!(read, Duration::from_millis(millis), "{text}");
            assert_eq!(duration_text(read), back, "{text}");
            assert_eq!(parse_duration(back), Ok(read), "{text}");
        }
    }

    #[test]
    fn sizes_are_read_and_written() {
        for (text, bytes, back) in [
            ("64KiB", 64 << 10, "64KiB"),
            ("10mib", 10 << 20, "10MiB"),
            ("1GiB", 1 << 30, "1GiB"),
            ("2048MiB", 2 << 30, "2GiB"),
            ("5MB", 5_000_000, "5000000"),
            ("500 KB", 500_000, "500000"),
            ("12B", 12, "12"),
            ("4096", 4096, "4KiB"),
            ("0", 0, "0"),
        ] {
            let read = parse_size(text).unwrap_or_else(|why| panic!("{text}: {why}"));
            assert_eq!(read, bytes, "{text}");
            assert_eq!(size_text(read), back, "{text}");
            assert_eq!(parse_size(back), Ok(read), "{text}");
        }
    }

    #[test]
    fn what_is_neither_is_refused() {
        for text in ["", "s", "5 minutes", "-1s", "1.2.3s", "1e3", "99999999999999999999d", "nan", "inf"] {
            assert_eq!(parse_duration(text), Err(UnitError::Duration), "{text}");
        }
        for text in ["", "KiB", "1.5MiB", "-1", "10 megabytes", "99999999999TiB"] {
            assert_eq!(parse_size(text), Err(UnitError::Size), "{text}");
        }
        assert_eq!(
            UnitError::Duration.to_string(),
            "expected a duration: 250ms, 30s, 5m, 1h, 1d, or a number of seconds"
        );
        assert_eq!(
            UnitError::Size.to_string(),
            "expected a size: 64KiB, 10MiB, 1GiB, 500KB, 10MB, or a number of bytes"
        );
    }
}
