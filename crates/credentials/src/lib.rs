//! Credentials that clouds lend for a while: where they come from, how they are kept, when they are renewed.
//!
//! The vendors' own libraries do the same and more, each with an HTTP stack and hashes of its own beside ours; Amazon's
//! alone would add a minute and a half to every release build. What is here are the documented protocols over our own
//! connections, so that one set of trusted certificates and one kind of error hold for all of them.
//!
//! A [`Chain`] says where to ask, a [`Lease`] keeps what was lent. Whoever owns a lease runs [`Lease::keep`] in a task;
//! calls take what is there with [`Lease::lend`] and never ask anybody themselves.

mod aws;
mod azure;
mod error;
mod google;
mod lease;
mod surroundings;
mod web;

pub use aws::AwsChain;
pub use azure::AzureChain;
pub use error::{Cause, ChainError};
pub use google::GoogleChain;
pub use lease::{Grant, Lease, Lent};
pub use surroundings::Surroundings;
pub use web::Web;

/// Where credentials come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Chain {
    /// Keys that sign, for Amazon.
    Aws(AwsChain),
    /// Tokens of Google Cloud.
    Google(GoogleChain),
    /// Tokens of Microsoft Entra.
    Azure(AzureChain),
}

impl Chain {
    /// What it is called in messages.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Aws(_) => "AWS",
            Self::Google(_) => "Google",
            Self::Azure(_) => "Entra",
        }
    }

    /// Asks its sources in their order.
    ///
    /// # Errors
    /// When none of them is set up, or the first that is lends nothing: another identity than the one that was meant
    /// would be worse than none.
    pub async fn ask(&self, web: &Web) -> Result<Grant, ChainError> {
        let mut tried = Vec::new();
        let asked = match self {
            Self::Aws(chain) => chain.ask(web, &mut tried).await,
            Self::Google(chain) => chain.ask(web, &mut tried).await,
            Self::Azure(chain) => chain.ask(web, &mut tried).await,
        };
        asked.map_err(|cause| ChainError { chain: self.name(), tried, cause })
    }
}
