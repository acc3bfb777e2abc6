//! Where the names of models stand in a catalogue's text. Also part of the build script, which sorts the built-in
//! catalogue ahead of time.

/// Every name and alias in lower case and where it stands in `lines` put one behind the other, sorted.
pub(crate) fn names<'l>(lines: impl Iterator<Item = &'l str>) -> Vec<(String, usize)> {
    let mut names = Vec::new();
    let mut begin = 0;
    for line in lines {
        let mut cells = line.split('\t');
        let (id, aliases) = (cells.next().unwrap_or_default(), cells.next().unwrap_or_default());
        let provider = id.split('/').next().unwrap_or_default().len() + 1;
        names.push((id.get(provider..).unwrap_or_default().to_ascii_lowercase(), begin + provider));
        let mut place = begin + id.len() + 1;
        for alias in aliases.split(' ') {
            if !alias.is_empty() {
                names.push((alias.to_ascii_lowercase(), place));
            }
            place += alias.len() + 1;
        }
        begin += line.len() + 1;
    }
    names.sort();
    names
}
