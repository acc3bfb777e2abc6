//! How many tokens a text is, told by its letters alone.
//!
//! Byte-pair vocabularies differ, but they agree on what they are trained on: a word of a European language
//! is one token and a little more when it is long or has accents, code falls apart at its signs, figures go
//! by threes, and every other script has its own rate per letter. The rates are fitted to the vocabulary of
//! current OpenAI models; other vendors' count 5 to 20 % more.

/// Thousandths of a token.
const TOKEN: u64 = 1_000;

/// About how many tokens `text` is.
#[must_use]
pub(super) fn tokens(text: &str) -> u64 {
    let mut milli = 0;
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let script = Script::of(first);
        let run = script.run(rest);
        let (taken, left) = rest.split_at_checked(run).unwrap_or((rest, ""));
        milli += script.milli(taken, left);
        rest = left;
    }
    milli.div_ceil(TOKEN)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Script {
    /// Letters of European languages.
    Latin,
    Digit,
    Space,
    /// Line ends and tabs.
    Break,
    /// Signs: ASCII's, and the dashes and quotes of print.
    Sign,
    /// Letters at a rate of their own, in thousandths.
    Dense(u64),
    /// Whatever else: mostly pictures in text.
    Other,
}

impl Script {
    const fn of(sign: char) -> Self {
        match sign {
            'a'..='z'
            | 'A'..='Z'
            | '\u{c0}'..='\u{24f}'
            | '\u{300}'..='\u{36f}'
            | '\u{1e00}'..='\u{1eff}' => Self::Latin,
            '0'..='9' => Self::Digit,
            ' ' => Self::Space,
            '\0'..='\u{1f}' | '\u{7f}' => Self::Break,
            '!'..='~' | '\u{2000}'..='\u{206f}' => Self::Sign,
            // Greek, Cyrillic, Hebrew, Arabic, the scripts of India, Thai and Lao.
            '\u{370}'..='\u{3ff}' | '\u{1f00}'..='\u{1fff}' => Self::Dense(400),
            '\u{400}'..='\u{52f}' => Self::Dense(300),
            '\u{590}'..='\u{5ff}' => Self::Dense(430),
            '\u{600}'..='\u{77f}' => Self::Dense(420),
            '\u{900}'..='\u{dff}' => Self::Dense(350),
            '\u{e00}'..='\u{eff}' => Self::Dense(490),
            // Punctuation of East Asia, kana, Hangul, Han.
            '\u{3000}'..='\u{303f}' | '\u{ff00}'..='\u{ffef}' => Self::Dense(1_000),
            '\u{3040}'..='\u{30ff}' => Self::Dense(780),
            '\u{1100}'..='\u{11ff}' | '\u{ac00}'..='\u{d7af}' => Self::Dense(680),
            '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' => Self::Dense(770),
            '\u{20000}'..='\u{3ffff}' => Self::Dense(2_000),
            _ => Self::Other,
        }
    }

    /// Bytes of the run that `text` begins with. Words end where a capital follows a small letter, as names
    /// in code do.
    fn run(self, text: &str) -> usize {
        let mut before = None;
        let ends = |(_, sign): &(usize, char)| {
            let previous: Option<char> = before.replace(*sign);
            let same = match (self, Self::of(*sign)) {
                (Self::Break, Self::Space) => true,
                (Self::Latin, Self::Latin) => {
                    !(sign.is_uppercase() && previous.is_some_and(char::is_lowercase))
                }
                (Self::Other, _) => previous.is_none(),
                (own, other) => own == other,
            };
            !same
        };
        text.char_indices().find(ends).map_or(text.len(), |(at, _)| at)
    }

    /// What a run of it costs, `left` being what follows.
    fn milli(self, run: &str, left: &str) -> u64 {
        let length = run.chars().count() as u64;
        match self {
            Self::Latin => {
                let accents = run.chars().filter(|sign| !sign.is_ascii()).take(2).count() as u64;
                TOKEN + length.saturating_sub(7) * 160 + accents * 450
            }
            Self::Digit => length.div_ceil(3) * TOKEN,
            // One space belongs to the word it stands before, but not to a figure.
            Self::Space if length == 1 && !left.starts_with(|next: char| next.is_ascii_digit()) => 0,
            Self::Space | Self::Break => TOKEN,
            Self::Sign => length.div_ceil(3) * TOKEN,
            Self::Dense(rate) if rate < 500 => (length * rate).max(TOKEN),
            Self::Dense(rate) => length * rate,
            Self::Other => 1_400,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Texts, and how many tokens they are in the vocabulary of current OpenAI models (`o200k_base`), counted
    /// with a tokenizer.
    const COUNTED: &[(&str, u64, &str)] = &[
        (
            "english",
            51,
            r#"The harbour was quiet before dawn. Two fishermen mended their nets under a single lamp, speaking seldom, while the tide crept over the stones. Nobody expected the letter that arrived that morning, nor the consequences it would have for everyone in the village."#,
        ),
        (
            "technical",
            49,
            r#"To configure authentication, set the `GATEWAY_API_KEY` environment variable and restart the service. Requests without a valid bearer token receive HTTP 401; exceeding the per-minute quota yields 429 with a Retry-After header measured in seconds."#,
        ),
        (
            "german",
            54,
            r#"Die Geschwindigkeitsbegrenzung gilt auf allen Landstraßen außerhalb geschlossener Ortschaften. Wer sie überschreitet, muss mit einer Geldstrafe rechnen; im Wiederholungsfall droht der Entzug der Fahrerlaubnis für mindestens einen Monat."#,
        ),
        (
            "french",
            41,
            r#"Tous les êtres humains naissent libres et égaux en dignité et en droits. Ils sont doués de raison et de conscience et doivent agir les uns envers les autres dans un esprit de fraternité."#,
        ),
        (
            "spanish",
            38,
            r#"Todos los seres humanos nacen libres e iguales en dignidad y derechos y, dotados como están de razón y conciencia, deben comportarse fraternalmente los unos con los otros."#,
        ),
        (
            "polish",
            53,
            r#"Wszyscy ludzie rodzą się wolni i równi pod względem swej godności i swych praw. Są oni obdarzeni rozumem i sumieniem i powinni postępować wobec innych w duchu braterstwa."#,
        ),
        (
            "turkish",
            46,
            r#"Bütün insanlar hür, haysiyet ve haklar bakımından eşit doğarlar. Akıl ve vicdana sahiptirler ve birbirlerine karşı kardeşlik zihniyeti ile hareket etmelidirler."#,
        ),
        (
            "vietnamese",
            51,
            r#"Tất cả mọi người sinh ra đều được tự do và bình đẳng về nhân phẩm và quyền lợi. Mọi con người đều được tạo hoá ban cho lý trí và lương tâm và cần phải đối xử với nhau trong tình bằng hữu."#,
        ),
        (
            "russian",
            41,
            r#"Все люди рождаются свободными и равными в своем достоинстве и правах. Они наделены разумом и совестью и должны поступать в отношении друг друга в духе братства."#,
        ),
        (
            "ukrainian",
            55,
            r#"Всі люди народжуються вільними і рівними у своїй гідності та правах. Вони наділені розумом і совістю і повинні діяти у відношенні один до одного в дусі братерства."#,
        ),
        (
            "greek",
            71,
            r#"Όλοι οι άνθρωποι γεννιούνται ελεύθεροι και ίσοι στην αξιοπρέπεια και τα δικαιώματα. Είναι προικισμένοι με λογική και συνείδηση, και οφείλουν να συμπεριφέρονται μεταξύ τους με πνεύμα αδελφοσύνης."#,
        ),
        (
            "arabic",
            42,
            r#"يولد جميع الناس أحرارا متساوين في الكرامة والحقوق، وقد وهبوا عقلا وضميرا وعليهم أن يعامل بعضهم بعضا بروح الإخاء."#,
        ),
        (
            "hebrew",
            50,
            r#"כל בני האדם נולדו בני חורין ושווים בערכם ובזכויותיהם. כולם חוננו בתבונה ובמצפון, לפיכך חובה עליהם לנהוג איש ברעהו ברוח של אחווה."#,
        ),
        (
            "hindi",
            54,
            r#"सभी मनुष्यों को गौरव और अधिकारों के मामले में जन्मजात स्वतन्त्रता और समानता प्राप्त है। उन्हें बुद्धि और अन्तरात्मा की देन प्राप्त है और परस्पर उन्हें भाईचारे के भाव से बर्ताव करना चाहिए।"#,
        ),
        (
            "bengali",
            56,
            r#"সমস্ত মানুষ স্বাধীনভাবে সমান মর্যাদা এবং অধিকার নিয়ে জন্মগ্রহণ করে। তাঁদের বিবেক এবং বুদ্ধি আছে; সুতরাং সকলেরই একে অপরের প্রতি ভ্রাতৃত্বসুলভ মনোভাব নিয়ে আচরণ করা উচিত।"#,
        ),
        (
            "thai",
            63,
            r#"มนุษย์ทั้งหลายเกิดมามีอิสระและเสมอภาคกันในเกียรติศักดิ์และสิทธิ ต่างมีเหตุผลและมโนธรรม และควรปฏิบัติต่อกันด้วยเจตนารมณ์แห่งภราดรภาพ"#,
        ),
        (
            "chinese",
            54,
            r#"人人生而自由，在尊严和权利上一律平等。他们赋有理性和良心，并应以兄弟关系的精神相对待。天气预报说明天下午有雨，请带好雨伞，注意交通安全。"#,
        ),
        (
            "japanese",
            72,
            r#"すべての人間は、生まれながらにして自由であり、かつ、尊厳と権利とについて平等である。人間は、理性と良心とを授けられており、互いに同胞の精神をもって行動しなければならない。"#,
        ),
        (
            "korean",
            51,
            r#"모든 인간은 태어날 때부터 자유로우며 그 존엄과 권리에 있어 동등하다. 인간은 천부적으로 이성과 양심을 부여받았으며 서로 형제애의 정신으로 행동하여야 한다."#,
        ),
        (
            "rust",
            81,
            r#"impl<'a> Reader<'a> {
    /// Takes the next line, without its end.
    pub fn next_line(&mut self) -> Option<&'a str> {
        let rest = self.text.get(self.at..)?;
        let end = rest.find('\n').unwrap_or(rest.len());
        self.at += end + 1;
        Some(&rest[..end])
    }
}"#,
        ),
        (
            "python",
            97,
            r#"def merge_intervals(intervals: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Merge overlapping intervals, in order of their starts."""
    merged = []
    for start, end in sorted(intervals):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged
"#,
        ),
        (
            "json",
            59,
            r#"{"type":"object","properties":{"city":{"type":"string","description":"The city, such as Berlin"},"unit":{"type":"string","enum":["celsius","fahrenheit"]},"days":{"type":"integer","minimum":1}},"required":["city"],"additionalProperties":false}"#,
        ),
        (
            "numbers",
            73,
            r#"2026-11-21T14:32:07.518Z 192.168.10.254 3.14159265358979 1,234,567.89 0x7ffdeadbeef 550e8400-e29b-41d4-a716-446655440000 +49 30 901820"#,
        ),
        (
            "hex",
            75,
            r#"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855 dGhlIHF1aWNrIGJyb3duIGZveCBqdW1wcyBvdmVyIHRoZSBsYXp5IGRvZw=="#,
        ),
        (
            "markdown",
            83,
            r#"## Results

| model | p50 (ms) | p99 (ms) |
| --- | ---: | ---: |
| small | 12.4 | 80.1 |
| large | 48.9 | 310.7 |

- **Faster** than before, see [the notes](https://example.com/notes?id=42).
- Nothing else *changed*.
"#,
        ),
        (
            "emoji",
            29,
            r#"Great job team! 🎉🎉 The release went out 🚀 and nobody cried 😅👍🏽. See you tomorrow ❤️ ☕"#,
        ),
    ];

    #[test]
    fn estimates_are_near_what_a_tokenizer_counts() {
        let (mut sum, mut counted, mut off) = (0, 0, 0.0);
        for (what, want, text) in COUNTED {
            let guess = tokens(text);
            #[expect(clippy::cast_precision_loss, reason = "both are small")]
            let error = (guess as f64 / *want as f64 - 1.0).abs();
            assert!(error < 0.35, "{what}: {guess} for {want}");
            sum += guess;
            counted += want;
            off += error;
        }
        #[expect(clippy::cast_precision_loss, reason = "both are small")]
        let (all, mean) = (sum as f64 / counted as f64, off / COUNTED.len() as f64);
        assert!((0.95..1.05).contains(&all), "{all} of what was counted in all");
        assert!(mean < 0.12, "a text is off by {mean} on average");
    }

    proptest! {
        #[test]
        fn more_text_is_never_fewer_tokens_by_much(a in any::<String>(), b in any::<String>()) {
            let (apart, together) = (tokens(&a) + tokens(&b), tokens(&(a + &b)));
            prop_assert!(together <= apart + 1, "{together} {apart}");
        }

        #[test]
        fn a_token_is_at_most_one_sign(text in any::<String>()) {
            prop_assert!(tokens(&text) <= 2 * text.chars().count() as u64);
        }
    }
}
