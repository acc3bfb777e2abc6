//! What a fuzzer's bytes mean: a client, an upstream, two places to cut at, and what is said.

use crate::promises::{clients, upstreams};
use trunkline_core::Dialect;

pub struct Input<'d> {
    pub client: Dialect,
    pub upstream: Dialect,
    pub cuts: [usize; 2],
    pub bytes: &'d [u8],
}

/// `None` for too few bytes.
pub fn read(data: &[u8]) -> Option<Input<'_>> {
    let ([client, upstream, first, second], bytes) = data.split_first_chunk::<4>()?;
    let of = |list: Vec<Dialect>, at: u8| list.get(usize::from(at) % list.len()).copied();
    // Cuts fall anywhere: a byte is a 256th of the way.
    let at = |part: u8| bytes.len() * usize::from(part) / 256;
    Some(Input {
        client: of(clients(), *client)?,
        upstream: of(upstreams(), *upstream)?,
        cuts: [at(*first), at(*second)],
        bytes,
    })
}
