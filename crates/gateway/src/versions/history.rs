//! The last versions, in memory and, where a folder is named for them, on disk: one file each, readable by its owner
//! alone, since the text of a configuration may hold secrets.

use super::Entry;
use crate::config::{Config, Text};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// How many are kept.
const MOST: usize = 50;

/// What is kept of a version, or of the attempt at one.
#[derive(Debug, Clone)]
pub(super) struct Kept {
    pub(super) entry: Entry,
    /// What it was; absent when it was refused, or made by an earlier process.
    pub(super) config: Option<Arc<Config>>,
    /// What an earlier process left of it.
    pub(super) text: Option<Text>,
}

/// Versions, the oldest first.
#[derive(Debug, Default)]
pub(super) struct History {
    kept: VecDeque<Kept>,
    disk: Option<Disk>,
}

#[derive(Debug)]
struct Disk {
    dir: PathBuf,
    /// The number of the next file.
    next: u64,
}

/// A file's content.
#[derive(Serialize, Deserialize)]
struct Record {
    #[serde(flatten)]
    entry: Entry,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    text: Option<Text>,
}

impl History {
    /// What earlier processes left in `dir`, which is made where it is not there.
    pub(super) fn open(dir: &Path) -> io::Result<Self> {
        DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
        let files = files(dir)?;
        let next = files.last().map_or(1, |(number, _)| number + 1);
        let mut kept = VecDeque::new();
        for (_, file) in files.iter().skip(files.len().saturating_sub(MOST)) {
            match serde_json::from_slice::<Record>(&fs::read(file)?) {
                Ok(Record { entry, text }) => kept.push_back(Kept { entry, config: None, text }),
                Err(error) => {
                    tracing::warn!(file = %file.display(), %error, "not a version of the configuration; left out");
                }
            }
        }
        Ok(Self { kept, disk: Some(Disk { dir: dir.to_owned(), next }) })
    }

    pub(super) fn push(&mut self, kept: Kept) {
        if let Some(disk) = &mut self.disk
            && let Err(error) = disk.write(&kept)
        {
            tracing::error!(dir = %disk.dir.display(), %error, "a version of the configuration was not written down");
        }
        self.kept.push_back(kept);
        while self.kept.len() > MOST {
            self.kept.pop_front();
        }
    }

    /// The newest first.
    pub(super) fn entries(&self) -> Vec<Entry> {
        self.kept.iter().rev().map(|kept| kept.entry.clone()).collect()
    }

    pub(super) fn find(&self, version: u64) -> Option<&Kept> {
        self.kept.iter().rev().find(|kept| kept.entry.version == Some(version))
    }

    pub(super) fn newest(&self) -> Option<u64> {
        self.kept.iter().filter_map(|kept| kept.entry.version).max()
    }
}

impl Disk {
    fn write(&mut self, kept: &Kept) -> io::Result<()> {
        let text = kept.config.as_ref().and_then(|config| config.text.as_deref());
        let record = Record { entry: kept.entry.clone(), text: text.cloned() };
        let begun = self.dir.join(".begun");
        // What a process left half done may be there, and its rights with it.
        let _ = fs::remove_file(&begun);
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&begun)?;
        file.write_all(&serde_json::to_vec_pretty(&record)?)?;
        file.sync_all()?;
        fs::rename(&begun, self.dir.join(format!("{:08}.json", self.next)))?;
        self.next += 1;
        let files = files(&self.dir)?;
        let old = files.len().saturating_sub(MOST);
        files.into_iter().take(old).try_for_each(|(_, file)| fs::remove_file(file))
    }
}

/// The files of versions in `dir`, by their numbers.
fn files(dir: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    let mut found = Vec::new();
    for file in fs::read_dir(dir)? {
        let path = file?.path();
        let number = path.file_name().and_then(|name| name.to_str()?.strip_suffix(".json")?.parse().ok());
        found.extend(number.map(|number| (number, path)));
    }
    found.sort_unstable();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::super::{Outcome, Source, entry};
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn kept(version: u64) -> Kept {
        let text = Text::of("gw.yaml", format!("# {version}"));
        let config = Config { text: Some(Arc::new(text)), ..Config::default() };
        let entry = Entry { version: Some(version), ..entry(Source::Api, "me", Outcome::Taken) };
        Kept { entry, config: Some(Arc::new(config)), text: None }
    }

    #[test]
    fn the_last_fifty_outlive_the_process() {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("history");
        let mut history = History::open(&dir).unwrap();
        (1..=60).for_each(|version| history.push(kept(version)));
        assert_eq!(history.entries().len(), MOST);
        let mut again = History::open(&dir).unwrap();
        let versions: Vec<_> = again.entries().iter().map(|entry| entry.version.unwrap()).collect();
        assert_eq!(versions, (11..=60).rev().collect::<Vec<_>>());
        assert_eq!(again.find(60).and_then(|kept| kept.text.clone()), Some(Text::of("gw.yaml", "# 60")));
        again.push(kept(61));
        assert_eq!(History::open(&dir).unwrap().newest(), Some(61));
        for (_, file) in files(&dir).unwrap() {
            assert_eq!(
                fs::metadata(&file).unwrap().permissions().mode() & 0o777,
                0o600,
                "{}",
                file.display()
            );
        }
    }

    #[test]
    fn what_is_no_version_is_left_out() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("00000003.json"), "{").unwrap();
        fs::write(folder.path().join("notes.txt"), "").unwrap();
        let mut history = History::open(folder.path()).unwrap();
        assert!(history.entries().is_empty());
        history.push(kept(1));
        assert!(folder.path().join("00000004.json").exists(), "nothing is written over");
    }
}
