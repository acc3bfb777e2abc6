//! Packs the model catalogue for the binary: how long its text is, how many names there are, where in the text each
//! of them stands in the names' order, and the text itself, deflated and without comments. Loading it is inflating
//! the text once, into memory of the right size.

#[path = "src/catalog/places.rs"]
mod places;

use miniz_oxide::deflate::compress_to_vec_zlib;
use std::path::Path;
use std::{env, fs, io};

/// The best there is: it is done once per change of the catalogue.
const LEVEL: u8 = 10;

fn main() -> io::Result<()> {
    let source = "data/catalog.tsv";
    println!("cargo::rerun-if-changed={source}");
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=src/catalog/places.rs");
    let lines: Vec<String> = fs::read_to_string(source)?
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(str::to_owned)
        .collect();
    let (text, names) = (lines.join("\n"), places::names(lines.iter().map(String::as_str)));
    let mut packed = Vec::new();
    let numbers = [text.len(), names.len()].into_iter().chain(names.iter().map(|(_, place)| *place));
    for number in numbers {
        packed.extend(u32::try_from(number).map_err(io::Error::other)?.to_le_bytes());
    }
    packed.extend(compress_to_vec_zlib(text.as_bytes(), LEVEL));
    #[expect(clippy::disallowed_methods, reason = "the one way cargo has of telling a build script")]
    let out = env::var_os("OUT_DIR").ok_or_else(|| io::Error::other("cargo did not set OUT_DIR"))?;
    fs::write(Path::new(&out).join("catalog.bin"), packed)
}
