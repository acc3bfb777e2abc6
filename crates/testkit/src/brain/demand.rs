//! What a prompt asks of the simulation itself rather than of the model: failures and refusals on
//! demand, so that anything that can send a prompt can walk the unhappy paths, whatever stands between.

use super::ask::{Ask, Role};
use http::StatusCode;

/// What a failing provider says of itself.
pub(crate) const CRASHED: &str = "An internal error occurred.";

/// An unhappy path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Demand {
    /// Too many requests; try again in a second.
    RateLimit,
    /// No capacity.
    Overload,
    /// A request no model can take.
    Reject,
    /// A bug on the provider's side.
    Crash,
    /// The answer begins and then fails, told as the dialect tells it; whole answers fail at once.
    Break,
    /// The model refuses.
    Refusal,
}

impl Demand {
    const ALL: [Self; 6] =
        [Self::RateLimit, Self::Overload, Self::Reject, Self::Crash, Self::Break, Self::Refusal];

    /// The phrase that demands it, anywhere in the last thing the user says.
    fn phrase(self) -> &'static str {
        match self {
            Self::RateLimit => "simulate:rate-limit",
            Self::Overload => "simulate:overload",
            Self::Reject => "simulate:reject",
            Self::Crash => "simulate:crash",
            Self::Break => "simulate:break",
            Self::Refusal => "simulate:refusal",
        }
    }

    /// The status and message that answer the request instead of the model.
    pub(crate) fn failure(self, streams: bool) -> Option<(StatusCode, &'static str)> {
        match self {
            Self::RateLimit => Some((StatusCode::TOO_MANY_REQUESTS, "Too many requests, please slow down.")),
            Self::Overload => Some((StatusCode::SERVICE_UNAVAILABLE, "The model is overloaded.")),
            Self::Reject => Some((StatusCode::BAD_REQUEST, "The request cannot be served as it is.")),
            Self::Crash => Some((StatusCode::INTERNAL_SERVER_ERROR, CRASHED)),
            Self::Break => (!streams).then_some((StatusCode::INTERNAL_SERVER_ERROR, CRASHED)),
            Self::Refusal => None,
        }
    }

    /// What the last turn of the user's demands.
    pub(crate) fn of(ask: &Ask) -> Option<Self> {
        let said = ask.turns.iter().rev().find(|turn| turn.role == Role::User)?;
        // Most prompts demand nothing; one search settles that.
        let demand = said.text.get(said.text.find("simulate:")?..)?;
        Self::ALL.into_iter().find(|known| demand.contains(known.phrase()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::brain::ask::Turn;

    #[test]
    fn the_last_user_turn_demands() {
        for (turns, demand) in [
            (&[(Role::User, "hello")][..], None),
            (&[(Role::User, "please simulate:overload")], Some(Demand::Overload)),
            (&[(Role::User, "simulate:crash"), (Role::User, "now go on")], None),
            (&[(Role::User, "simulate:break"), (Role::Tool, "simulate:crash")], Some(Demand::Break)),
            (&[(Role::System, "simulate:refusal")], None),
            (&[(Role::User, "simulate:nothing")], None),
        ] {
            let turns = turns.iter().map(|(role, text)| Turn { role: *role, text: (*text).to_owned() });
            let ask = Ask { turns: turns.collect(), ..Ask::default() };
            assert_eq!(Demand::of(&ask), demand, "{:?}", ask.turns);
        }
    }
}
