//! What prompts and answers are made of.

use super::*;

#[test]
fn parts_of_the_prompt_and_the_answer() {
    let plain =
        |name, prices, usage, lines, total| Case { name, prices, usage, facts: NO_FACTS, lines, total };
    let speaks = "input 2.5; output 10; input_audio 40; output_audio 80";
    check_all(&[
        plain(
            "sound in and out",
            speaks,
            Usage { input_audio: Some(300), output_audio: Some(50), ..tokens(1_000, 100) },
            &[
                ("input", 700, 2_500_000),
                ("input_audio", 300, 40_000_000),
                ("output", 50, 10_000_000),
                ("output_audio", 50, 80_000_000),
            ],
            "0.01825",
        ),
        plain(
            "sound without a price is text",
            GPT_4O,
            Usage { input_audio: Some(300), output_audio: Some(50), ..tokens(1_000, 100) },
            &[("input", 1_000, 2_500_000), ("output", 100, 10_000_000)],
            "0.0035",
        ),
        // Of 400 cached tokens 100 are sound; of 300 of sound 200 are left; 1,000 - 400 - 200 = 400.
        plain(
            "cached sound",
            FLASH,
            Usage {
                input_audio: Some(300),
                cache_read: Some(400),
                cache_read_audio: Some(100),
                ..tokens(1_000, 0)
            },
            &[
                ("input", 400, 300_000),
                ("input_audio", 200, 1_000_000),
                ("cache_read", 300, 30_000),
                ("cache_read_audio", 100, 100_000),
            ],
            "0.000339",
        ),
        plain(
            "more sound than prompt",
            speaks,
            Usage { input_audio: Some(5_000), ..tokens(1_000, 0) },
            &[("input_audio", 1_000, 40_000_000)],
            "0.04",
        ),
        plain(
            "sound that was cached as well is billed as cached",
            speaks,
            Usage { input_audio: Some(900), cache_read: Some(500), ..tokens(1_000, 0) },
            &[("input", 500, 2_500_000), ("input_audio", 500, 40_000_000)],
            "0.02125",
        ),
        plain(
            "text that is said to be all of it",
            speaks,
            Usage { input_text: Some(1_000), input_audio: Some(400), ..tokens(1_000, 0) },
            &[("input", 600, 2_500_000), ("input_audio", 400, 40_000_000)],
            "0.0175",
        ),
        plain(
            "pictures and film",
            "input 1; input_image 2; input_video 3",
            Usage { input_image: Some(100), input_video: Some(200), ..tokens(1_000, 0) },
            &[("input", 700, 1_000_000), ("input_image", 100, 2_000_000), ("input_video", 200, 3_000_000)],
            "0.0015",
        ),
        plain(
            "thoughts at their own price",
            "input 1; output 2; reasoning 8",
            Usage { reasoning: Some(300), ..tokens(0, 1_000) },
            &[("output", 700, 2_000_000), ("reasoning", 300, 8_000_000)],
            "0.0038",
        ),
        plain(
            "thoughts at the answer's",
            GPT_4O,
            Usage { reasoning: Some(300), ..tokens(0, 1_000) },
            &[("output", 1_000, 10_000_000)],
            "0.01",
        ),
        plain(
            "more thoughts than answer",
            "input 1; output 2; reasoning 8",
            Usage { reasoning: Some(3_000), ..tokens(0, 1_000) },
            &[("reasoning", 1_000, 8_000_000)],
            "0.008",
        ),
        plain(
            "thoughts, sound and text",
            "output 2; reasoning 8; output_audio 20",
            Usage { reasoning: Some(100), output_audio: Some(200), ..tokens(0, 1_000) },
            &[("output", 700, 2_000_000), ("reasoning", 100, 8_000_000), ("output_audio", 200, 20_000_000)],
            "0.0062",
        ),
        plain(
            "citations",
            "input 2; output 8; citation 2",
            Usage { citation_tokens: Some(500), ..tokens(100, 100) },
            &[("input", 100, 2_000_000), ("output", 100, 8_000_000), ("citation", 500, 2_000_000)],
            "0.002",
        ),
        plain(
            "what a model makes that makes pictures alone",
            "input 5; input_image 10; output_image 40",
            Usage { input_image: Some(50), ..tokens(100, 1_000) },
            &[("input", 50, 5_000_000), ("input_image", 50, 10_000_000), ("output_image", 1_000, 40_000_000)],
            "0.04075",
        ),
        plain(
            "what a model hears that only hears",
            "input_audio 6; output 10",
            tokens(1_000, 100),
            &[("input_audio", 1_000, 6_000_000), ("output", 100, 10_000_000)],
            "0.007",
        ),
    ]);
}
