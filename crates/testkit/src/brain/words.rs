//! Tokens and prose for a model that has neither tokenizer nor weights: a token is up to six letters
//! or one other sign, and prose is a seeded walk over a short list of plain words.

/// Letters per token; near what byte-pair encodings reach on English prose.
const TOKEN_LETTERS: usize = 6;

/// FNV-1a, 64 bits: stable across builds, unlike the standard library's hashers.
pub(crate) const HASH_START: u64 = 0xcbf2_9ce4_8422_2325;
const HASH_PRIME: u64 = 0x0000_0100_0000_01b3;

const WORDS: &[&str] = &[
    "the",
    "line",
    "carries",
    "every",
    "signal",
    "from",
    "one",
    "quiet",
    "harbor",
    "to",
    "another",
    "while",
    "patient",
    "operators",
    "listen",
    "for",
    "small",
    "changes",
    "in",
    "tone",
    "and",
    "write",
    "them",
    "down",
    "with",
    "care",
    "because",
    "a",
    "good",
    "record",
    "outlives",
    "its",
    "author",
    "morning",
    "light",
    "falls",
    "on",
    "copper",
    "wires",
    "that",
    "hum",
    "over",
    "open",
    "fields",
    "rivers",
    "bend",
    "where",
    "old",
    "stone",
    "bridges",
    "stand",
    "each",
    "message",
    "finds",
    "shortest",
    "path",
    "through",
    "busy",
    "network",
    "or",
    "waits",
    "its",
    "turn",
    "without",
    "complaint",
];

/// Folds `value` into `hash`.
pub(crate) fn mix(hash: u64, value: u64) -> u64 {
    value.to_le_bytes().iter().fold(hash, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(HASH_PRIME))
}

/// Hash of `text`.
pub(crate) fn hash(text: &str) -> u64 {
    text.bytes().fold(HASH_START, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(HASH_PRIME))
}

/// Token ids of `text`.
pub(crate) fn tokenize(text: &str) -> Vec<u64> {
    let mut ids = Vec::with_capacity(text.len() / 4);
    let (mut token, mut letters) = (HASH_START, 0);
    for sign in text.chars() {
        if letters > 0 && (!sign.is_alphanumeric() || letters == TOKEN_LETTERS) {
            ids.push(token);
            (token, letters) = (HASH_START, 0);
        }
        if sign.is_alphanumeric() {
            (token, letters) = (mix(token, u64::from(u32::from(sign))), letters + 1);
        } else if !sign.is_whitespace() {
            ids.push(mix(HASH_START, u64::from(u32::from(sign))));
        }
    }
    if letters > 0 {
        ids.push(token);
    }
    ids
}

/// `count` words of prose in sentences; every word brings the space before it along.
pub(crate) fn prose(dice: &mut fastrand::Rng, count: usize) -> Vec<String> {
    let mut sentence_left = 0;
    (0..count)
        .map(|at| {
            let word = dice.choice(WORDS).copied().unwrap_or("signal");
            let opens = sentence_left == 0;
            sentence_left = if opens { dice.usize(5..12) } else { sentence_left - 1 };
            let word = if opens { capitalised(word) } else { word.to_owned() };
            let stop = if sentence_left == 0 || at + 1 == count { "." } else { "" };
            format!(" {word}{stop}")
        })
        .collect()
}

/// `text` cut before every space, so that the parts joined are `text` again.
pub(crate) fn split_words(text: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    for sign in text.chars() {
        let starts = sign.is_whitespace() && words.last().is_none_or(|word| !word.trim().is_empty());
        match words.last_mut() {
            Some(word) if !starts => word.push(sign),
            Some(_) | None => words.push(sign.into()),
        }
    }
    words
}

/// `text` cut into pieces of `letters` characters.
pub(crate) fn fragments(text: &str, letters: usize) -> Vec<String> {
    let signs: Vec<char> = text.chars().collect();
    signs.chunks(letters.max(1)).map(|piece| piece.iter().collect()).collect()
}

fn capitalised(word: &str) -> String {
    let mut signs = word.chars();
    signs.next().map_or_else(String::new, |first| first.to_uppercase().chain(signs).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_counted_by_letters_and_signs() {
        for (text, count) in
            [("", 0), ("  ", 0), ("hello", 1), ("hello, world!", 4), ("lighthouse", 2), ("日本語", 1)]
        {
            assert_eq!(tokenize(text).len(), count, "{text:?}");
        }
        assert_eq!(tokenize("a b")[0], tokenize("a")[0]);
    }

    #[test]
    fn parts_joined_are_the_text() {
        for text in ["", "one", " two  words ", "日本 語\nline"] {
            assert_eq!(split_words(text).concat(), text);
            assert_eq!(fragments(text, 3).concat(), text);
        }
    }

    #[test]
    fn prose_follows_the_seed() {
        let say = |seed| prose(&mut fastrand::Rng::with_seed(seed), 30).concat();
        assert_eq!(say(1), say(1));
        assert_ne!(say(1), say(2));
        assert!(say(3).ends_with('.'));
    }
}
