//! The fixtures of every dialect, bent, against what every codec promises of any bytes.

use crate::cells::{answers, requests, stream_of};
use crate::mutation::Dice;
use crate::promises::{self, clients, upstreams};
use trunkline_core::Dialect;

/// How often every pair of dialects is tried; the fuzzers go on where this ends.
const ROUNDS: u64 = 60;

/// What fixtures are bent, for whom.
fn each_pair(mut try_one: impl FnMut(Dialect, Dialect, &mut Dice)) {
    for (c, client) in clients().into_iter().enumerate() {
        for (u, upstream) in upstreams().into_iter().enumerate() {
            for round in 0..ROUNDS {
                let seed = (c as u64 * 64 + u as u64) * ROUNDS + round;
                try_one(client, upstream, &mut Dice::of(seed));
            }
        }
    }
}

fn one<'l, T: ?Sized>(list: &[&'l T], dice: &mut Dice) -> &'l T {
    list[dice.below(list.len())]
}

#[test]
fn bent_requests_of_every_dialect() {
    let (mut read, mut tried) = (0, 0);
    each_pair(|client, upstream, dice| {
        let seed = one(&requests(client), dice);
        let body = dice.bend(seed);
        tried += 1;
        read += usize::from(promises::request(client, upstream, &body));
        let cuts = [dice.below(body.len() + 1), dice.below(body.len() + 1)];
        promises::scan(&body, &cuts);
    });
    assert!(read > tried / 10, "mutations that break everything prove nothing: {read} of {tried}");
}

#[test]
fn bent_answers_of_every_dialect() {
    let (mut read, mut tried) = (0, 0);
    each_pair(|client, upstream, dice| {
        let seed = one(&answers(upstream), dice);
        let body = dice.bend(seed);
        let status = u16::try_from(dice.below(600)).unwrap();
        tried += 1;
        read += usize::from(promises::answer(client, upstream, status, &body));
    });
    assert!(read > tried / 10, "mutations that break everything prove nothing: {read} of {tried}");
}

#[test]
fn bent_streams_of_every_dialect() {
    let (mut well, mut tried) = (0, 0);
    each_pair(|client, upstream, dice| {
        let bytes = stream_of(upstream, dice);
        let cuts: Vec<_> = (0..dice.below(9)).map(|_| dice.below(bytes.len() + 1)).collect();
        tried += 1;
        well += usize::from(promises::stream(client, upstream, &bytes, &cuts));
    });
    assert!(well > tried / 20, "mutations that break everything prove nothing: {well} of {tried}");
}

/// Writes real traffic where the fuzzers begin: `FUZZ_SEEDS=fuzz/corpus cargo test -p trunkline-dialect seeds`.
#[test]
#[expect(clippy::disallowed_methods, reason = "asked of the test itself, not of the gateway")]
fn seeds_for_the_fuzzers() {
    let mut seeds: Vec<(&str, Vec<u8>)> = Vec::new();
    let (clients, upstreams) = (clients(), upstreams());
    let head = |c: usize, u: usize| [u8::try_from(c).unwrap(), u8::try_from(u).unwrap(), 90, 200];
    for (c, client) in clients.iter().enumerate() {
        for (n, body) in requests(*client).iter().enumerate() {
            seeds.push(("request", [&head(c, n % upstreams.len())[..], body.as_bytes()].concat()));
        }
    }
    for (u, upstream) in upstreams.iter().enumerate() {
        for (n, body) in answers(*upstream).iter().enumerate() {
            seeds.push(("answer", [&head(n % clients.len(), u)[..], body.as_bytes()].concat()));
        }
        for (n, stream) in crate::cells::streams(*upstream).iter().enumerate() {
            seeds.push(("stream", [&head(n % clients.len(), u)[..], stream].concat()));
        }
    }
    for kind in ["request", "answer", "stream"] {
        assert!(seeds.iter().filter(|(of, _)| *of == kind).count() > 40, "{kind}");
    }
    let Some(folder) = std::env::var_os("FUZZ_SEEDS").map(std::path::PathBuf::from) else { return };
    for (n, (kind, bytes)) in seeds.iter().enumerate() {
        std::fs::create_dir_all(folder.join(kind)).unwrap();
        std::fs::write(folder.join(kind).join(format!("seed-{n}")), bytes).unwrap();
    }
}
