use super::*;
use proptest::prelude::*;
use std::collections::HashMap;

fn index(budget: usize) -> Arc<PrefixIndex> {
    Arc::new(PrefixIndex::new(budget))
}

/// How many bytes of `text` each of `owners` holds.
fn reach(index: &PrefixIndex, text: &[u8], owners: &[u16]) -> Vec<u32> {
    let mut reach = Reach::of(owners.iter().copied());
    index.reach(&Path::of(0, &[text]), &mut reach);
    owners.iter().map(|owner| reach.end(*owner)).collect()
}

fn record(index: &PrefixIndex, text: &[u8], owner: u16) {
    index.record(&Path::of(0, &[text]), owner);
}

/// Text that no other `n` begins like.
fn text(n: u64, length: usize) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(n);
    std::iter::repeat_with(|| random.u8(..)).take(length).collect()
}

#[test]
fn each_owner_holds_what_was_recorded_for_it_as_far_as_it_is_the_same() {
    let index = index(1 << 20);
    let long = text(1, 100_000);
    let parted = [&long[..5_000], b"?", &long[5_001..9_000]].concat();
    record(&index, &long, 0);
    record(&index, &parted, 1);
    record(&index, &long[..300], 63);
    let all = [0, 1, 2, 63];
    // Pages: 64 of 128 bytes, 112 of 512, then of 2048.
    assert_eq!(reach(&index, &long, &all), [65_536 + 16 * 2_048, 39 * 128, 0, 256]);
    assert_eq!(reach(&index, &parted, &all), [39 * 128, 8_192 + 512, 0, 256]);
    assert_eq!(reach(&index, &long[..127], &all), [0; 4]);
    assert_eq!(reach(&index, &[], &all), [0; 4]);
}

#[test]
fn namespaces_hold_nothing_of_each_other() {
    let index = index(1 << 20);
    let text = text(1, 1_000);
    index.record(&Path::of(1, &[&text]), 0);
    for (namespace, want) in [(1, 896), (2, 0)] {
        let mut reach = Reach::of([0].into_iter());
        index.reach(&Path::of(namespace, &[&text]), &mut reach);
        assert_eq!(reach.end(0), want);
    }
}

#[test]
fn who_is_new_holds_nothing_of_who_had_its_number() {
    let index = index(1 << 20);
    let text = text(1, 1_000);
    let stays = index.enlist().unwrap();
    record(&index, &text, stays.number());
    for _ in 0..1_000 {
        let owner = index.enlist().unwrap();
        assert_ne!(owner.number(), stays.number());
        assert_eq!(reach(&index, &text, &[owner.number(), stays.number()]), [0, 896]);
        record(&index, &text, owner.number());
    }
    let was = stays.number();
    assert_eq!(stays.renew(), stays.number());
    assert_ne!(stays.number(), was);
    assert_eq!(reach(&index, &text, &[stays.number()]), [0]);
}

#[test]
fn there_are_thousands_of_owners_and_then_none() {
    let index = index(8 << 20);
    let text = text(1, 200);
    let mut owners = Vec::new();
    while let Some(owner) = index.enlist() {
        record(&index, &text, owner.number());
        owners.push(owner);
    }
    assert_eq!(owners.len(), MOST_OWNERS);
    let numbers: Vec<u16> = owners.iter().map(Owner::number).collect();
    assert_eq!(reach(&index, &text, &numbers), vec![128; MOST_OWNERS]);
    drop(owners.pop());
    assert!(index.enlist().is_some() && index.enlist().is_some(), "numbers come back");
}

#[test]
fn memory_stays_within_its_budget_and_keeps_what_is_used() {
    let budget = 1 << 20;
    let index = index(budget);
    assert_eq!(index.held().bytes, 0);
    let often = text(0, 8_192);
    let before = budget / 20 * 10 / 64;
    for n in 1..u64::try_from(before).unwrap() {
        record(&index, &text(n, 8_192), u16::try_from(n % 64).unwrap());
        record(&index, &often, 7);
        assert!(index.held().bytes <= budget);
    }
    assert!(index.held().bytes > budget / 10 * 9 && index.held().pages > budget / 20 / 10 * 8);
    assert_eq!(reach(&index, &often, &[7]), [8_192]);
    assert_eq!(reach(&index, &text(1, 8_192), &[1]), [0], "what is old made place");
}

#[test]
fn a_million_pages_of_64_owners_take_less_than_64_mebibytes() {
    let index = index(64 << 20);
    for n in 0..(1_u64 << 20) / 64 {
        index.record(&Path::of(n, &[&[0; 8_192]]), u16::try_from(n % 64).unwrap());
    }
    let Held { pages, bytes } = index.held();
    assert!(bytes <= 64 << 20 && pages > (1 << 20) / 100 * 99, "{pages} pages in {bytes} bytes");
}

#[test]
fn many_threads_may_use_it_at_once() {
    let index = index(1 << 20);
    let owners = [(); 4].map(|()| index.enlist().unwrap());
    let numbers = owners.each_ref().map(Owner::number);
    std::thread::scope(|scope| {
        for owner in numbers {
            let index = &index;
            scope.spawn(move || {
                for n in 0..500 {
                    record(index, &text(n % 50, 2_000), owner);
                    reach(index, &text(n % 60, 2_000), &numbers);
                    drop(index.enlist());
                }
            });
        }
    });
    assert_eq!(reach(&index, &text(49, 2_000), &numbers), [1_920; 4]);
}

proptest! {
    #[test]
    fn it_does_not_matter_how_text_is_cut(length in 0_usize..20_000, cuts in proptest::collection::vec(0_usize..20_000, 0..6)) {
        let text = text(1, length);
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(length)).chain([0, length]).collect();
        cuts.sort_unstable();
        let chunks: Vec<&[u8]> = cuts.windows(2).map(|pair| &text[pair[0]..pair[1]]).collect();
        let names = |path: &Path| path.pages().iter().map(|page| (page.name, page.end)).collect::<Vec<_>>();
        prop_assert_eq!(names(&Path::of(3, &chunks)), names(&Path::of(3, &[&text])));
    }

    /// Against a model that keeps every text.
    #[test]
    fn it_knows_what_a_list_of_texts_would(
        records in proptest::collection::vec((0_u16..200, "[ab]{0,6}"), 0..60),
        asked in "[ab]{0,6}",
    ) {
        let index = index(1 << 22);
        let spelled = |word: &str| word.bytes().flat_map(|letter| [letter; 128]).collect::<Vec<u8>>();
        let owners: Vec<Owner> = std::iter::repeat_with(|| index.enlist().unwrap()).take(200).collect();
        let mut model: HashMap<u16, u32> = HashMap::new();
        for (owner, word) in &records {
            record(&index, &spelled(word), owners[usize::from(*owner)].number());
            let same = word.bytes().zip(asked.bytes()).take_while(|(a, b)| a == b).count();
            let most = model.entry(*owner).or_default();
            *most = (*most).max(u32::try_from(same * 128).unwrap());
        }
        let numbers: Vec<u16> = owners.iter().map(Owner::number).collect();
        let want: Vec<u32> = (0..200).map(|owner| model.get(&owner).copied().unwrap_or(0)).collect();
        prop_assert_eq!(reach(&index, &spelled(&asked), &numbers), want);
    }
}
