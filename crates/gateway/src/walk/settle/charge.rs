//! What a request cost: of the attempt that answered, and of those before it that were counted.

use super::{End, Ledger, Outcome};
use crate::prices::is_paid;
use http::{HeaderMap, HeaderName, HeaderValue};
use tokio::time::Instant;
use trunkline_core::{Kind, Model};
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
    /// could, or it was not asked.
    pub(super) fn estimate(&mut self) {
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
        let charge = self.charge.unwrap_or_else(|| self.charged());
        self.charge = Some(charge);
        match charge.and(self.before) {
            Charge::Known(usd) => Some(usd),
            Charge::None | Charge::Unknown => None,
        }
    }

    fn charged(&self) -> Charge {
        let Some((_, outcome)) = self.attempts.last() else { return Charge::None };
        let Some(worker) = self.worker() else { return Charge::None };
        let model = worker.name_for(self.model.as_ref().map_or("", Model::as_str));
        if !is_paid(&self.catalog, worker, model) || self.endpoint.dialect.kind() == Kind::Count {
            return Charge::None;
        }
        match &self.usage {
            Some(usage) => {
                let cost = self.local.prices.cost(&self.catalog, worker, model, usage);
                cost.map_or(Charge::Unknown, Charge::Known)
            }
            None if matches!(outcome, Outcome::Status(200..300)) => Charge::Unknown,
            None => Charge::None,
        }
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
                metrics.cost.with_label_values(&labels).inc_by(usd.as_f64())
            }
            (Charge::Unknown, Some(labels)) => metrics.unpriced.with_label_values(&labels).inc(),
            (Charge::None, _) | (_, None) => {}
        }
    }

    pub(super) fn count_tokens(&self) {
        if let (Some(lane), Some(usage)) = (&self.lane, &self.usage) {
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
