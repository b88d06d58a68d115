//! Philox's known answers, the distributions that are made from it, and permutations without a
//! table.

use std::collections::HashSet;

use aggregation::random::{Permutation, Purpose, Stream, philox};
use proptest::prelude::*;

fn stream(seed: u64) -> Stream {
    Stream::new(seed, Purpose::Synthetic, &[])
}

#[test]
fn philox_gives_the_known_answers_of_random123() {
    let ones = u32::MAX;
    let pi = ([0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344], [0xa4093822, 0x299f31d0]);
    assert_eq!(philox([0; 4], [0; 2]), [0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8]);
    assert_eq!(philox([ones; 4], [ones; 2]), [0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd]);
    assert_eq!(philox(pi.0, pi.1), [0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1]);
}

#[test]
fn streams_of_other_seeds_purposes_and_indices_differ() {
    let mut seen = HashSet::new();
    for seed in [0, 1, 1 << 32] {
        for purpose in [Purpose::Dropout, Purpose::Shuffle] {
            for indices in [&[] as &[u64], &[0], &[0, 0], &[1, 0], &[0, 1], &[1 << 32, 0]] {
                assert!(seen.insert(Stream::new(seed, purpose, indices).u64_at(0)));
            }
        }
    }
}

#[test]
fn elements_are_the_same_one_by_one_and_filled() {
    for start in 0..9 {
        for len in (0..20).chain([64, 127, 200]) {
            let mut uniform = vec![f32::NAN; len];
            let mut normal = vec![f32::NAN; len];
            stream(5).fill_uniform(start, &mut uniform);
            stream(5).fill_normal(start, &mut normal);
            for i in 0..len {
                assert_eq!(uniform[i], stream(5).uniform_at(start + i as u64));
                assert_eq!(normal[i], stream(5).normal_at(start + i as u64));
            }
        }
    }
}

#[test]
fn uniform_numbers_fill_the_unit_interval_evenly() {
    let mut values = vec![0.0f32; 1 << 17];
    stream(1).fill_uniform(0, &mut values);
    let mut bins = [0u32; 64];
    for value in values {
        assert!((0.0..1.0).contains(&value));
        bins[(value * 64.0) as usize] += 1;
    }
    let expected = (1 << 17) as f64 / 64.0;
    let chi: f64 = bins.iter().map(|&bin| (f64::from(bin) - expected).powi(2) / expected).sum();
    assert!((25.0..120.0).contains(&chi), "chi square of 63 degrees of freedom: {chi}");
}

#[test]
fn normal_numbers_have_the_normal_moments() {
    let mut values = vec![0.0f32; 1 << 18];
    stream(2).fill_normal(0, &mut values);
    let moment =
        |power: i32| values.iter().map(|&value| f64::from(value).powi(power)).sum::<f64>() / values.len() as f64;
    for (power, expected, tolerance) in [(1, 0.0, 0.01), (2, 1.0, 0.015), (3, 0.0, 0.04), (4, 3.0, 0.1)] {
        assert!((moment(power) - expected).abs() < tolerance, "moment {power}: {}", moment(power));
    }
    let beyond = values.iter().filter(|value| value.abs() > 1.959964).count() as f64 / values.len() as f64;
    assert!((beyond - 0.05).abs() < 0.003, "{beyond} beyond 1.96");
}

#[test]
fn normal_numbers_keep_their_bits() {
    // A change of these numbers changes the initial parameters of every run.
    let bits: Vec<u32> =
        (0..4).map(|i| Stream::new(42, Purpose::InitialWeights, &[3]).normal_at(i).to_bits()).collect();
    assert_eq!(bits, NORMAL_BITS);
}

const NORMAL_BITS: [u32; 4] = [1_069_432_221, 1_013_945_630, 1_060_402_613, 1_025_772_749];

proptest! {
    #[test]
    fn a_permutation_of_few_places_holds_each_once(n in 1u64..600, seed in any::<u64>()) {
        let order = Permutation::new(n, stream(seed));
        let mut seen = vec![false; n as usize];
        for place in 0..n {
            let value = order.at(place);
            prop_assert!(!std::mem::replace(&mut seen[value as usize], true));
            prop_assert_eq!(order.position_of(value), place);
        }
    }

    #[test]
    fn a_permutation_of_many_places_has_an_inverse(n in 1u64..(1 << 62), seed in any::<u64>(), place in any::<u64>()) {
        let order = Permutation::new(n, stream(seed));
        let place = place % n;
        prop_assert!(order.at(place) < n);
        prop_assert_eq!(order.position_of(order.at(place)), place);
    }
}

#[test]
fn every_order_of_four_comes_up_about_equally_often() {
    let mut counts = std::collections::BTreeMap::new();
    for seed in 0..24_000 {
        let order = Permutation::new(4, stream(seed));
        *counts.entry([0, 1, 2, 3].map(|place| order.at(place))).or_insert(0u32) += 1;
    }
    assert_eq!(counts.len(), 24);
    let chi: f64 = counts.values().map(|&count| (f64::from(count) - 1000.0).powi(2) / 1000.0).sum();
    assert!(chi < 60.0, "chi square of 23 degrees of freedom: {chi}");
}

#[test]
fn every_value_comes_to_every_place_about_equally_often() {
    for n in [3u64, 9, 10, 31] {
        let (draws, cells) = (4000 * n, n * n);
        let mut counts = vec![0u32; cells as usize];
        for seed in 0..draws {
            let order = Permutation::new(n, stream(seed));
            for place in 0..n {
                counts[(place * n + order.at(place)) as usize] += 1;
            }
        }
        let chi: f64 = counts.iter().map(|&count| (f64::from(count) - 4000.0).powi(2) / 4000.0).sum();
        let freedom = ((n - 1) * (n - 1)) as f64;
        assert!(
            chi < freedom + 6.0 * (2.0 * freedom).sqrt(),
            "n = {n}: chi square {chi} of {freedom} degrees of freedom"
        );
    }
}

#[test]
fn neighbours_do_not_stay_neighbours() {
    let order = Permutation::new(100_000, stream(9));
    let near = (0..99_999).filter(|&place| order.at(place).abs_diff(order.at(place + 1)) < 100).count();
    // The expected number is 2 * 100 / 100000 of the pairs.
    assert!((120..290).contains(&near), "{near} neighbours are within 100 of each other");
}
