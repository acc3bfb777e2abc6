//! What a request cost: of the attempt that answered, and of those before it that were counted.

use super::{End, Ledger, Outcome};
use crate::prices::is_paid;
use http::{HeaderMap, HeaderName, HeaderValue};
use tokio::time::Instant;
use trunkline_core::{Kind, Model, Usage};
use trunkline_dialect::cost::Usd;

/// What a whole answer cost, in US dollars.
const COST: HeaderName = HeaderName::from_static("x-trunkline-cost-usd");

/// What an answer cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Charge {
    /// Nothing that anybody is paid for.
    None,
    /// This much.
    Known(Usd),
    /// Something, but the price is not known.
    Unknown,
}

impl Charge {
    /// Both together: what is not known makes the sum unknown.
    fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::None, charge) | (charge, Self::None) => charge,
            (Self::Known(one), Self::Known(other)) => Self::Known(one + other),
            (Self::Unknown, _) | (_, Self::Unknown) => Self::Unknown,
        }
    }
}

impl Ledger {
    /// Books about what was produced where the upstream does not say: its stream was left or cut before it
    /// could, or it was not asked. What is no conversation has events of other sizes than a token's.
    pub(super) fn estimate(&mut self) {
        if self.endpoint.dialect.kind() != Kind::Generate {
            return;
        }
        let known = self.usage.as_ref().and_then(|usage| usage.output_total);
        let is_short = self.end != End::Done && known.is_some_and(|known| known < self.events);
        if self.events > 0 && (known.is_none() || is_short) {
            let usage = self.usage.get_or_insert_default();
            usage.output_total = Some(self.events);
            usage.estimated = true;
        }
    }

    /// Another attempt follows one whose upstream has counted what it takes money for, though nobody got its answer.
    pub(crate) fn write_off(&mut self) {
        if self.usage.is_some() {
            self.book();
        }
        self.finish = None;
    }

    /// Books the last attempt, which another one follows.
    pub(super) fn book(&mut self) {
        let charge = self.charged();
        self.bill(charge);
        self.count_tokens();
        self.settle_limits(Instant::now());
        self.before = self.before.and(charge);
        self.usage = None;
    }

    /// Works out what the answer cost, whose usage is all known, and what came before it; in dollars, where anybody is
    /// paid and all prices are known.
    pub(crate) fn charge(&mut self) -> Option<Usd> {
        self.add_what_was_asked_for();
        let charge = self.charge.unwrap_or_else(|| self.charged());
        self.charge = Some(charge);
        match charge.and(self.before) {
            Charge::Known(usd) => Some(usd),
            Charge::None | Charge::Unknown => None,
        }
    }

    /// Puts what the call says of its cost under what its answer counted, which goes first.
    fn add_what_was_asked_for(&mut self) {
        let Some(mut usage) = self.asked_for.clone().filter(|_| self.has_answered()) else { return };
        if let Some(counted) = self.usage.take() {
            usage.update(*counted);
        }
        self.usage = Some(usage);
    }

    /// Whether the last attempt gave an answer.
    fn has_answered(&self) -> bool {
        matches!(self.attempts.last(), Some((_, Outcome::Status(200..300))))
    }

    fn charged(&self) -> Charge {
        let Some(worker) = self.worker() else { return Charge::None };
        let model = worker.name_for(self.model.as_ref().map_or("", Model::as_str));
        if !is_paid(&self.catalog, worker, model) || self.endpoint.dialect.kind() == Kind::Count {
            return Charge::None;
        }
        let nothing = Usage::default();
        let Some(usage) = self.usage.as_deref().or_else(|| self.has_answered().then_some(&nothing)) else {
            return Charge::None;
        };
        if let Some(absurdity) = usage.absurdity() {
            tracing::warn!(request_id = %self.id, worker = %worker.id, %absurdity, "an answer's usage is not believed");
        }
        let kind = self.endpoint.dialect.kind();
        let cost = self.local.prices.cost(&self.catalog, worker, model, kind, usage);
        cost.map_or(Charge::Unknown, Charge::Known)
    }

    /// Books what the last attempt cost.
    pub(super) fn bill(&self, charge: Charge) {
        let labels = || {
            let (lane, worker) = self.lane.as_ref().zip(self.worker())?;
            Some([lane.metrics.label(), worker.owner()])
        };
        let metrics = &self.local.shared.metrics;
        match (charge, labels()) {
            (Charge::Known(usd), Some(labels)) => {
                metrics.cost.with_label_values(&labels).inc_by(usd.into());
            }
            (Charge::Unknown, Some(labels)) => metrics.unpriced.with_label_values(&labels).inc(),
            (Charge::None, _) | (_, None) => {}
        }
    }

    /// What the last attempt used, where that can be.
    pub(super) fn believed(&self) -> Option<&Usage> {
        self.usage.as_deref().filter(|usage| usage.absurdity().is_none())
    }

    /// Counts what the last attempt used beside tokens.
    pub(super) fn count_units(&self) {
        let Some((lane, usage)) = self.lane.as_ref().zip(self.believed()) else { return };
        for (unit, count) in [
            ("character", usage.characters),
            ("image", usage.images),
            ("audio_ms", usage.audio_ms),
            ("search_unit", usage.search_units),
        ] {
            if let Some(count) = count.filter(|count| *count > 0) {
                let labels = [lane.metrics.label(), unit];
                self.local.shared.metrics.units.with_label_values(&labels).inc_by(count);
            }
        }
    }

    pub(super) fn count_tokens(&self) {
        if let Some((lane, usage)) = self.lane.as_ref().zip(self.believed()) {
            lane.metrics.input.inc_by(usage.input_total.unwrap_or(0));
            lane.metrics.cached.inc_by(usage.cache_read.unwrap_or(0));
            lane.metrics.output.inc_by(usage.output_total.unwrap_or(0));
        }
    }
}

/// Says what a whole answer or the attempts at one cost, where that is known.
pub(crate) fn price(headers: &mut HeaderMap, ledger: &mut Ledger) {
    let cost = ledger.charge().map(|usd| usd.to_string());
    if let Some(value) = cost.and_then(|text| HeaderValue::try_from(text).ok()) {
        headers.insert(COST, value);
    }
}
