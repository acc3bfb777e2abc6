//! A usage as quantities of meters, each unit in exactly one of them.

use super::Facts;
use super::rates::Rates;
use crate::catalog::Meter;
use trunkline_core::Usage;

/// Units that stand for tokens of the prompt or of the answer: who sells by them sells no tokens, and who sells
/// tokens mentions them for information.
const INSTEAD_OF_OUTPUT: [Meter; 3] = [Meter::Image, Meter::Pixel, Meter::VideoSecond];
const INSTEAD_OF_ALL: [Meter; 4] = [Meter::Second, Meter::Character, Meter::GpuSecond, Meter::Page];
const OUTPUT: [Meter; 4] = [Meter::Output, Meter::OutputAudio, Meter::OutputImage, Meter::OutputVideo];
const TOKENS: [Meter; 8] = [
    Meter::Output,
    Meter::OutputAudio,
    Meter::OutputImage,
    Meter::OutputVideo,
    Meter::Input,
    Meter::InputAudio,
    Meter::InputImage,
    Meter::InputVideo,
];

/// Quantities, each meter at most once.
pub(super) struct Counts(Vec<(Meter, u64)>);

impl Counts {
    pub(super) fn new(usage: &Usage, facts: &Facts<'_>) -> Self {
        let mut counts = Self(Vec::new());
        counts.input(usage);
        counts.output(usage);
        counts.others(usage, facts);
        for (meter, free) in facts.free {
            counts.change(*meter, |quantity| quantity.saturating_sub(*free));
        }
        counts.0.retain(|(_, quantity)| *quantity > 0);
        counts
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What goes on the bill: what has no price of its own counts as what it is a part of, and of two ways to
    /// count the same thing one is left.
    pub(super) fn billed(mut self, rates: &Rates<'_>) -> Vec<(Meter, u64)> {
        for meter in Meter::ALL.into_iter().rev() {
            if let Some(parent) = meter.parent().filter(|_| !rates.has(meter)) {
                let quantity = self.take(meter);
                self.add(parent, quantity);
            }
        }
        self.give_to_only_kind(rates, Meter::Input, &[Meter::InputAudio, Meter::InputImage]);
        self.give_to_only_kind(
            rates,
            Meter::Output,
            &[Meter::OutputImage, Meter::OutputAudio, Meter::OutputVideo],
        );
        self.drop_the_other_way(rates, &INSTEAD_OF_OUTPUT, &OUTPUT, &[Meter::Output]);
        self.drop_the_other_way(rates, &INSTEAD_OF_ALL, &TOKENS, &[Meter::Input, Meter::Output]);
        // Pictures in a prompt are tokens, except where they have a price.
        if !rates.has(Meter::GivenImage) {
            self.take(Meter::GivenImage);
        }
        self.0.retain(|(_, quantity)| *quantity > 0);
        self.0.sort_by_key(|(meter, _)| *meter);
        self.0
    }

    fn input(&mut self, usage: &Usage) {
        let of = |count: Option<u64>| count.unwrap_or(0);
        let total = of(usage.input_total);
        // Some upstreams report more of a part than of the whole; nothing is billed twice for it.
        let mut left = total;
        let mut part = |wanted: u64| {
            let taken = wanted.min(left);
            left -= taken;
            taken
        };
        let read = part(of(usage.cache_read));
        let read_audio = of(usage.cache_read_audio).min(read);
        let written = [
            (Meter::CacheWrite12h, part(of(usage.cache_write_12h))),
            (Meter::CacheWrite1h, part(of(usage.cache_write_1h))),
            (Meter::CacheWrite30m, part(of(usage.cache_write_30m))),
            (Meter::CacheWrite, part(of(usage.cache_write_5m).saturating_add(of(usage.cache_write_other)))),
        ];
        let audio = part(of(usage.input_audio).saturating_sub(read_audio));
        let image = part(of(usage.input_image));
        let video = part(of(usage.input_video));
        self.add(Meter::CacheReadAudio, read_audio);
        self.add(Meter::CacheRead, read - read_audio);
        written.into_iter().for_each(|(meter, quantity)| self.add(meter, quantity));
        self.add(Meter::InputAudio, audio);
        self.add(Meter::InputImage, image);
        self.add(Meter::InputVideo, video);
        self.add(Meter::Input, left);
    }

    fn output(&mut self, usage: &Usage) {
        let mut left = usage.output_total.unwrap_or(0);
        let parts = [
            (Meter::Reasoning, usage.reasoning),
            (Meter::OutputAudio, usage.output_audio),
            (Meter::OutputImage, usage.output_image),
        ];
        for (meter, count) in parts {
            let taken = count.unwrap_or(0).min(left);
            left -= taken;
            self.add(meter, taken);
        }
        self.add(Meter::Output, left);
    }

    fn others(&mut self, usage: &Usage, facts: &Facts<'_>) {
        let pixels = usage.images.and_then(|images| images.checked_mul(pixels(usage.size.as_deref()?)?));
        let counted = [
            (Meter::WebSearch, usage.web_search_requests),
            (Meter::Citation, usage.citation_tokens),
            (Meter::SearchUnit, usage.search_units),
            (Meter::Character, usage.characters),
            (Meter::Image, usage.images),
            (Meter::Pixel, pixels),
            (Meter::Second, usage.audio_ms),
        ];
        for (meter, count) in counted {
            self.add(meter, count.unwrap_or(0));
        }
        for (meter, count) in facts.counts {
            self.take(*meter);
            self.add(*meter, *count);
        }
    }

    /// The tokens of a model that makes nothing but pictures are pictures, whether its usage says so or not.
    fn give_to_only_kind(&mut self, rates: &Rates<'_>, whole: Meter, kinds: &[Meter]) {
        if rates.has(whole) {
            return;
        }
        let mut priced = kinds.iter().filter(|kind| rates.has(**kind));
        if let (Some(only), None) = (priced.next(), priced.next()) {
            let quantity = self.take(whole);
            self.add(*only, quantity);
        }
    }

    /// Where the same thing is counted in tokens and in other units, drops those that it is not sold by.
    fn drop_the_other_way(&mut self, rates: &Rates<'_>, units: &[Meter], tokens: &[Meter], wholes: &[Meter]) {
        let counted = |of: &[Meter]| of.iter().copied().filter(|meter| self.quantity(*meter) > 0).collect();
        let (token_counts, unit_counts): (Vec<Meter>, Vec<Meter>) = (counted(tokens), counted(units));
        if !token_counts.is_empty() && rates.charges(tokens) {
            self.0.retain(|(meter, _)| !units.contains(meter));
        } else if unit_counts.iter().any(|unit| rates.has(*unit)) {
            let is_other = |meter: &Meter| units.contains(meter) || wholes.contains(meter);
            self.0.retain(|(meter, _)| rates.has(*meter) || !is_other(meter));
        }
    }

    fn quantity(&self, meter: Meter) -> u64 {
        self.0.iter().find(|(known, _)| *known == meter).map_or(0, |(_, quantity)| *quantity)
    }

    fn add(&mut self, meter: Meter, more: u64) {
        if more > 0 {
            self.change(meter, |quantity| quantity.saturating_add(more));
        }
    }

    fn take(&mut self, meter: Meter) -> u64 {
        let quantity = self.quantity(meter);
        self.0.retain(|(known, _)| *known != meter);
        quantity
    }

    fn change(&mut self, meter: Meter, to: impl Fn(u64) -> u64) {
        match self.0.iter_mut().find(|(known, _)| *known == meter) {
            Some((_, quantity)) => *quantity = to(*quantity),
            None => self.0.push((meter, to(0))),
        }
    }
}

/// How many there are in a picture of `1024x1024`.
fn pixels(size: &str) -> Option<u64> {
    let (width, height) = size.split_once('x')?;
    width.parse::<u64>().ok()?.checked_mul(height.parse().ok()?)
}
