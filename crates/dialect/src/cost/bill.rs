//! The attempts of one request together: fan-out, retries that were billed, hedges and turns of a tool loop.

use super::{Cost, Unpriced, Usd};

/// What each attempt cost, in their order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Bill {
    /// An attempt that was not billed has a cost of nothing.
    pub attempts: Vec<Result<Cost, Unpriced>>,
}

/// Whose figure counts where there are two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trust {
    /// Ours.
    Computed,
    /// The provider's, where it gives one.
    Reported,
}

/// A sum, and how many attempts are not in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Total {
    /// Of the attempts whose cost is known.
    pub known: Usd,
    /// Attempts whose cost is not.
    pub unpriced: usize,
}

impl Bill {
    /// All of it.
    #[must_use]
    pub fn total(&self, trust: Trust) -> Total {
        let amounts = self.attempts.iter().map(|attempt| amount(attempt, trust));
        amounts.fold(Total::default(), |total, amount| match amount {
            Some(usd) => Total { known: total.known + usd, ..total },
            None => Total { unpriced: total.unpriced + 1, ..total },
        })
    }
}

impl Total {
    /// The sum when it is the whole sum.
    #[must_use]
    pub fn exact(self) -> Option<Usd> {
        (self.unpriced == 0).then_some(self.known)
    }
}

fn amount(attempt: &Result<Cost, Unpriced>, trust: Trust) -> Option<Usd> {
    let (computed, reported) = match attempt {
        Ok(cost) => (Some(cost.total), cost.reported),
        Err(unpriced) => (None, unpriced.reported),
    };
    match trust {
        Trust::Computed => computed,
        Trust::Reported => reported.or(computed),
    }
}
