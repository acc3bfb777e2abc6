//! The table of pairs as people read it: clients are rows, upstreams are columns.

use super::{Pair, clients, upstreams};
use std::collections::BTreeMap;
use std::io::{self, Write};

/// Above this, a pair needs an excuse.
const BAR: f64 = 1.5;

/// Where a pair stands in tables.
#[must_use]
pub const fn place(pair: Pair) -> (usize, usize) {
    (pair.client.place(), pair.upstream.place())
}

/// Writes what there is of each pair.
///
/// # Errors
/// When `out` does not take it.
pub fn table<T>(
    out: &mut impl Write,
    cells: &BTreeMap<(usize, usize), T>,
    show: impl Fn(&T) -> String,
) -> io::Result<()> {
    let names: Vec<_> = upstreams().map(|upstream| upstream.name()).collect();
    writeln!(out, "| | {} |\n| --- |{}", names.join(" | "), " ---: |".repeat(names.len()))?;
    for client in clients() {
        let row = upstreams().map(|upstream| {
            cells.get(&place(Pair { client, upstream })).map_or_else(|| "–".to_owned(), &show)
        });
        writeln!(out, "| {client} | {} |", row.collect::<Vec<_>>().join(" | "))?;
    }
    Ok(())
}

/// A multiple of what is compared with, and whether it is over the bar.
#[must_use]
pub fn mark(ratio: f64) -> String {
    if ratio > BAR { format!("**{ratio:.2}**") } else { format!("{ratio:.2}") }
}
