//! `<think>…</think>` at the head of an answer, for engines that leave a model's reasoning in the text.
//!
//! Only the first thing said counts: later tags are words of the answer (code that shows one). A tag
//! may be cut anywhere, so what could become one waits here.

const OPEN: &str = "<think>";
const CLOSE: &str = "</think>";

/// What think tags in an answer's text mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ThinkTags {
    /// They are text: the upstream has a reasoning parser of its own.
    #[default]
    Literal,
    /// They set reasoning apart.
    Split,
}

/// Which of the two a piece of text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Voice {
    Reasoning,
    Content,
}

/// The splitter of one answer.
#[derive(Debug, Default)]
pub(super) struct ThinkSplit {
    state: State,
    held: String,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Nothing but blanks yet.
    #[default]
    Start,
    Inside,
    /// Past the closing tag: the blanks behind it belong to neither.
    Blank,
    Outside,
}

impl ThinkSplit {
    /// Takes the next text and hands out what is certain.
    pub(super) fn push(&mut self, text: &str, each: &mut dyn FnMut(Voice, &str)) {
        if self.state == State::Outside {
            return each(Voice::Content, text);
        }
        self.held.push_str(text);
        let held = std::mem::take(&mut self.held);
        let rest = self.step(&held, each);
        self.held = held.get(held.len() - rest..).unwrap_or_default().to_owned();
    }

    /// The text is over: hands out what was held.
    pub(super) fn finish(&mut self, each: &mut dyn FnMut(Voice, &str)) {
        let held = std::mem::take(&mut self.held);
        if held.is_empty() {
            return;
        }
        match self.state {
            State::Inside => each(Voice::Reasoning, &held),
            State::Start | State::Outside => each(Voice::Content, &held),
            State::Blank => {}
        }
    }

    /// How many bytes at the end must wait.
    fn step(&mut self, mut text: &str, each: &mut dyn FnMut(Voice, &str)) -> usize {
        if self.state == State::Start {
            let head = text.trim_start();
            if let Some(rest) = head.strip_prefix(OPEN) {
                self.state = State::Inside;
                text = rest;
            } else if OPEN.starts_with(head) {
                return text.len();
            } else {
                self.state = State::Outside;
            }
        }
        if self.state == State::Inside {
            let Some((thought, rest)) = text.split_once(CLOSE) else {
                let wait = (1..CLOSE.len())
                    .rev()
                    .find(|n| CLOSE.get(..*n).is_some_and(|tag| text.ends_with(tag)))
                    .unwrap_or(0);
                let thought = text.get(..text.len() - wait).unwrap_or_default();
                if !thought.is_empty() {
                    each(Voice::Reasoning, thought);
                }
                return wait;
            };
            if !thought.is_empty() {
                each(Voice::Reasoning, thought);
            }
            self.state = State::Blank;
            text = rest;
        }
        if self.state == State::Blank {
            text = text.trim_start();
            if text.is_empty() {
                return 0;
            }
            self.state = State::Outside;
        }
        if !text.is_empty() {
            each(Voice::Content, text);
        }
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(pieces: &[&str]) -> (String, String) {
        let (mut thought, mut said) = (String::new(), String::new());
        let mut each = |voice, text: &str| match voice {
            Voice::Reasoning => thought.push_str(text),
            Voice::Content => said.push_str(text),
        };
        let mut think = ThinkSplit::default();
        for piece in pieces {
            think.push(piece, &mut each);
        }
        think.finish(&mut each);
        (thought, said)
    }

    #[test]
    fn c97_think_tags_split_anywhere() {
        for (text, thought, said) in [
            ("<think>a<b</think>\n\nc", "a<b", "c"),
            (" \n<think>é</think>x", "é", "x"),
            ("plain <think>x</think>", "", "plain <think>x</think>"),
            ("<thin", "", "<thin"),
            ("<think>never ends</thi", "never ends</thi", ""),
            ("<think></think>", "", ""),
            ("<think>a</think>b</think><think>c", "a", "b</think><think>c"),
            ("  ", "", "  "),
            ("", "", ""),
        ] {
            let want = (thought.to_owned(), said.to_owned());
            assert_eq!(split(&[text]), want, "{text}");
            for at in (0..=text.len()).filter(|at| text.is_char_boundary(*at)) {
                let (a, b) = text.split_at(at);
                assert_eq!(split(&[a, b]), want, "{a} | {b}");
            }
            let mut buffer = [0; 4];
            let chars: Vec<_> = text.chars().map(|c| c.encode_utf8(&mut buffer).to_owned()).collect();
            let chars: Vec<_> = chars.iter().map(String::as_str).collect();
            assert_eq!(split(&chars), want, "{text} by character");
        }
    }
}
