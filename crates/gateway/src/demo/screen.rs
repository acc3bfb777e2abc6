//! What the demo shows: plain text of at most [`WIDTH`] columns, coloured on a terminal only.

use std::io::{self, Write};

/// Columns.
pub(super) const WIDTH: usize = 96;
/// Columns in front of what is said in a scene.
const INDENT: usize = 3;

const BOLD: &str = "1";
const FAINT: &str = "2";
const GREEN: &str = "32";
const RED: &str = "31";

/// Where it is shown.
#[derive(Debug)]
pub(super) struct Screen<W> {
    out: W,
    colours: Colours,
    /// Columns used of the line being told.
    column: usize,
}

/// Whether there are colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Colours {
    /// There are.
    On,
    /// There are none.
    Off,
}

impl<W: Write> Screen<W> {
    pub(super) fn new(out: W, colours: Colours) -> Self {
        Self { out, colours, column: 0 }
    }

    /// A heading with a blank line in front, and what stands at its right.
    pub(super) fn heading(&mut self, title: &str, right: &str) -> io::Result<()> {
        let gap = WIDTH.saturating_sub(title.chars().count() + right.chars().count()).max(2);
        let (title, right) = (self.painted(BOLD, title), self.painted(FAINT, right));
        writeln!(self.out, "\n{}", format!("{title}{:gap$}{right}", "").trim_end())
    }

    /// What a client says.
    pub(super) fn question(&mut self, text: &str) -> io::Result<()> {
        let text = self.painted(GREEN, text);
        self.line(&format!("> {text}"))
    }

    /// One line as it is.
    pub(super) fn line(&mut self, text: &str) -> io::Result<()> {
        writeln!(self.out, "{:INDENT$}{text}", "")
    }

    /// As much of a text as fits into a line.
    pub(super) fn beginning(&mut self, text: &str) -> io::Result<()> {
        match wrapped(text, WIDTH - INDENT - 1).as_slice() {
            [] => Ok(()),
            [line] => self.line(line),
            [line, ..] => self.line(&format!("{line}…")),
        }
    }

    /// A line beside the point.
    pub(super) fn note(&mut self, text: &str) -> io::Result<()> {
        for line in wrapped(text, WIDTH - INDENT) {
            let line = self.painted(FAINT, &line);
            self.line(&line)?;
        }
        Ok(())
    }

    /// What went wrong.
    pub(super) fn failure(&mut self, text: &str) -> io::Result<()> {
        let text = self.painted(RED, &format!("failed: {text}"));
        self.line(&text)
    }

    /// Text over as many lines as it takes.
    pub(super) fn text(&mut self, text: &str) -> io::Result<()> {
        wrapped(text, WIDTH - INDENT).iter().try_for_each(|line| self.line(line))
    }

    /// A block that is laid out already.
    pub(super) fn block(&mut self, text: &str) -> io::Result<()> {
        self.out.write_all(text.as_bytes())
    }

    /// A piece of a text that comes bit by bit; shown at once.
    pub(super) fn told(&mut self, piece: &str) -> io::Result<()> {
        let length = piece.chars().count();
        if self.column == 0 || self.column + length > WIDTH {
            let newline = if self.column == 0 { "" } else { "\n" };
            write!(self.out, "{newline}{:INDENT$}{}", "", piece.trim_start())?;
            self.column = INDENT + piece.trim_start().chars().count();
        } else {
            write!(self.out, "{piece}")?;
            self.column += length;
        }
        self.out.flush()
    }

    /// Ends a text that came bit by bit.
    pub(super) fn told_all(&mut self) -> io::Result<()> {
        self.column = 0;
        writeln!(self.out)
    }

    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    fn painted(&self, colour: &str, text: &str) -> String {
        match self.colours {
            Colours::On if !text.is_empty() => format!("\x1b[{colour}m{text}\x1b[0m"),
            Colours::On | Colours::Off => text.to_owned(),
        }
    }
}

/// `text` in lines of at most `width` columns, broken between words; a longer word has a line to itself.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            Some(_) | None => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(colours: Colours, play: impl FnOnce(&mut Screen<Vec<u8>>) -> io::Result<()>) -> String {
        let mut screen = Screen::new(Vec::new(), colours);
        play(&mut screen).unwrap();
        String::from_utf8(screen.out).unwrap()
    }

    #[test]
    fn nothing_is_wider_than_the_screen() {
        let words = "lighthouse keeper ".repeat(30);
        for text in [
            shown(Colours::Off, |s| s.text(&words)),
            shown(Colours::Off, |s| s.note(&words)),
            shown(Colours::Off, |s| (0..30).try_for_each(|_| s.beginning(&words))),
            shown(Colours::Off, |s| {
                words.split_inclusive(' ').try_for_each(|word| s.told(word))?;
                s.told_all()
            }),
        ] {
            assert!(text.lines().all(|line| line.chars().count() <= WIDTH), "{text}");
            assert_eq!(text.matches("keeper").count() % 30, 0, "{text}");
        }
    }

    #[test]
    fn colours_are_for_terminals() {
        assert!(!shown(Colours::Off, |s| s.heading("a", "b")).contains('\x1b'));
        assert!(shown(Colours::On, |s| s.heading("a", "b")).contains("\x1b[1ma\x1b[0m"));
    }
}
