//! `--name value` flags: each is taken by the command that knows it, and what nobody took is an error.

use std::fmt::Display;
use std::str::FromStr;
use std::time::Duration;

/// Flags not taken yet, in the order given.
#[derive(Debug)]
pub(crate) struct Flags(Vec<(String, String)>);

impl Flags {
    pub(crate) fn read(arguments: impl IntoIterator<Item = String>) -> Result<Self, String> {
        let mut flags = Vec::new();
        let mut arguments = arguments.into_iter();
        while let Some(argument) = arguments.next() {
            let Some(flag) = argument.strip_prefix("--") else {
                return Err(format!("unexpected argument `{argument}`; flags look like --name value"));
            };
            let (name, value) = match flag.split_once('=') {
                Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
                None => (flag.to_owned(), arguments.next()),
            };
            let value = value.ok_or_else(|| format!("--{name} needs a value"))?;
            flags.push((name, value));
        }
        Ok(Self(flags))
    }

    /// Every value of a repeatable flag.
    pub(crate) fn all(&mut self, name: &str) -> Vec<String> {
        self.0.extract_if(.., |(given, _)| given == name).map(|(_, value)| value).collect()
    }

    /// The last value given.
    pub(crate) fn text(&mut self, name: &str) -> Option<String> {
        self.all(name).pop()
    }

    /// A comma-separated value.
    pub(crate) fn list(&mut self, name: &str) -> Option<Vec<String>> {
        Some(self.text(name)?.split(',').map(|item| item.trim().to_owned()).collect())
    }

    /// A parsed value, or `default`.
    pub(crate) fn value<T: FromStr<Err: Display>>(&mut self, name: &str, default: T) -> Result<T, String> {
        let Some(text) = self.text(name) else { return Ok(default) };
        text.parse().map_err(|error| format!("--{name} {text}: {error}"))
    }

    /// A duration in milliseconds.
    pub(crate) fn millis(&mut self, name: &str, default: Duration) -> Result<Duration, String> {
        self.duration(name, default, 1000.0)
    }

    /// A duration in seconds.
    pub(crate) fn seconds(&mut self, name: &str, default: Duration) -> Result<Duration, String> {
        self.duration(name, default, 1.0)
    }

    /// Fails when a flag was not taken.
    pub(crate) fn finish(self) -> Result<(), String> {
        match self.0.first() {
            Some((name, _)) => Err(format!("unknown flag --{name}; `testkit help` lists the known ones")),
            None => Ok(()),
        }
    }

    fn duration(&mut self, name: &str, default: Duration, per_s: f64) -> Result<Duration, String> {
        let number = self.value(name, default.as_secs_f64() * per_s)?;
        Duration::try_from_secs_f64(number / per_s).map_err(|error| format!("--{name} {number}: {error}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flags(arguments: &[&str]) -> Result<Flags, String> {
        Flags::read(arguments.iter().map(|argument| (*argument).to_owned()))
    }

    #[test]
    fn flags_are_taken_once() {
        let mut given = flags(&["--a", "1", "--b=x=y", "--a", "2", "--ms", "1.5"]).unwrap();
        assert_eq!(given.value("a", 0), Ok(2));
        assert_eq!(given.text("b").as_deref(), Some("x=y"));
        assert_eq!(given.millis("ms", Duration::ZERO), Ok(Duration::from_micros(1500)));
        assert_eq!(given.value("a", 7), Ok(7));
        assert_eq!(given.finish(), Ok(()));
    }

    #[test]
    fn mistakes_are_named() {
        for (arguments, word) in [(&["a"][..], "`a`"), (&["--a"], "--a needs"), (&["--a", "x"], "--a x")] {
            let failed = flags(arguments).and_then(|mut flags| flags.value("a", 0).map(drop)).unwrap_err();
            assert!(failed.contains(word), "{failed}");
        }
        assert!(flags(&["--typo", "1"]).unwrap().finish().unwrap_err().contains("--typo"));
    }
}
