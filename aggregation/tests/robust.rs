//! Robust sums: small examples by hand, and properties for any vectors.

use aggregation::Robust;
use aggregation::random::{Permutation, Purpose, Stream};
use proptest::prelude::*;
use settings::{Component, Value};

fn robust(component: Component) -> Robust {
    Robust::try_from(component).expect("the parameters are in range")
}

fn median() -> Robust {
    robust(Component::named("median"))
}

fn trimmed(trim: i64) -> Robust {
    robust(Component::named("trimmed_mean").with("trim", Value::Integer(trim)))
}

fn krum(byzantine: i64) -> Robust {
    robust(Component::named("krum").with("byzantine", Value::Integer(byzantine)))
}

fn sum(robust: &Robust, vectors: &[Vec<f32>]) -> Vec<f32> {
    robust.sum(&vectors.iter().map(Vec::as_slice).collect::<Vec<_>>())
}

#[test]
fn small_examples_are_as_by_hand() {
    let five = [vec![1.0, 9.0], vec![2.0, -100.0], vec![4.0, 7.0], vec![8.0, 6.0], vec![1e30, 8.0]];
    // The medians are 4 and 7, and the means are of 2, 4, 8 and of 6, 7, 8. The sums are five times
    // each.
    assert_eq!(sum(&median(), &five), [20.0, 35.0]);
    assert_eq!(sum(&trimmed(1), &five), [5.0 * 14.0 / 3.0, 35.0]);
    assert_eq!(sum(&trimmed(2), &five), [20.0, 35.0]);
    // The median of an even number of values is the mean of the middle two.
    assert_eq!(sum(&median(), &[vec![1.0], vec![3.0], vec![4.0], vec![100.0]]), [14.0]);
    // With f = 1 of 5, the sums of the squared distances to the two nearest others are 1 + 4 for 0,
    // 1 + 1 for 1, 1 + 4 for 2, 4 + 9 for 4, and large for 50.
    assert_eq!(sum(&krum(1), &[vec![0.0], vec![1.0], vec![2.0], vec![4.0], vec![50.0]]), [5.0]);
}

#[test]
fn of_one_or_two_vectors_nothing_can_be_left_out() {
    for robust in [median(), trimmed(1)] {
        assert_eq!(sum(&robust, &[vec![3.0]]), [3.0]);
        assert_eq!(sum(&robust, &[vec![3.0], vec![5.0]]), [8.0]);
    }
    assert_eq!(sum(&krum(1), &[vec![3.0]]), [3.0]);
    assert_eq!(sum(&krum(1), &[vec![5.0], vec![3.0]]), [6.0]);
}

/// Vectors around a common one, as the gradients of microbatches are.
fn vectors(count: usize, length: usize, seed: u64) -> Vec<Vec<f32>> {
    let common = Stream::new(seed, Purpose::Synthetic, &[0]);
    let vector = |i: usize| {
        let own = Stream::new(seed, Purpose::Synthetic, &[1 + i as u64]);
        (0..length as u64).map(|at| common.normal_at(at) + 0.3 * own.normal_at(at)).collect()
    };
    (0..count).map(vector).collect()
}

proptest! {
    #[test]
    fn the_order_of_the_vectors_does_not_matter(count in 1usize..12, length in 1usize..70, seed in any::<u64>()) {
        let vectors = vectors(count, length, seed);
        let permutation = Permutation::new(count as u64, Stream::new(seed, Purpose::Shuffle, &[1]));
        let other: Vec<Vec<f32>> = (0..count as u64).map(|i| vectors[permutation.at(i) as usize].clone()).collect();
        for robust in [median(), trimmed(1), trimmed(3)] {
            prop_assert_eq!(sum(&robust, &vectors), sum(&robust, &other));
        }
        // Length and place decide between equal scores. Among random vectors, only three or fewer
        // have equal scores.
        if count > 3 {
            prop_assert_eq!(sum(&krum(1), &vectors), sum(&krum(1), &other));
        }
    }

    #[test]
    fn of_equal_vectors_it_is_the_sum(count in 1usize..12, values in prop::collection::vec(-1e30f32..1e30, 1..40)) {
        let vectors = vec![values.clone(); count];
        let expected: Vec<f32> = values.iter().map(|value| (count as f64 * f64::from(*value)) as f32).collect();
        for robust in [median(), trimmed(1), krum(1)] {
            prop_assert_eq!(sum(&robust, &vectors), expected.clone());
        }
    }

    /// With f of n vectors wrong in any way, each coordinate of median and trimmed mean stays
    /// within those of the others. Krum's vector is no further from the others than they are from
    /// each other.
    #[test]
    fn a_few_wrong_vectors_have_bounded_influence(
        wrong in 1usize..3, length in 1usize..40, seed in any::<u64>(), size in prop::sample::select(vec![1.0f32, 1e6, 1e30, 3e38]),
        same in any::<bool>(),
    ) {
        let count = 2 * wrong + 3;
        let good = vectors(count - wrong, length, seed);
        let draw = |i: usize| Stream::new(seed, Purpose::Shuffle, &[if same { 0 } else { i as u64 }]);
        let bad = |i: usize| (0..length as u64).map(|at| if draw(i).u32_at(at) % 2 == 0 { size } else { -size }).collect();
        let all: Vec<Vec<f32>> = good.iter().cloned().chain((0..wrong).map(bad)).collect();
        let n = count as f32;
        for robust in [median(), trimmed(wrong as i64)] {
            for (at, value) in sum(&robust, &all).into_iter().enumerate() {
                let column = || good.iter().map(|vector| vector[at]);
                let (least, most) = (column().fold(f32::INFINITY, f32::min), column().fold(f32::NEG_INFINITY, f32::max));
                let rounding = 1e-5 * (1.0 + value.abs());
                prop_assert!(value >= n * least - rounding && value <= n * most + rounding, "{} not in {}..{}", value, least, most);
            }
        }
        if size > 1e3 {
            let chosen = sum(&krum(wrong as i64), &all);
            prop_assert!(good.iter().any(|vector| vector.iter().zip(&chosen).all(|(one, n_times)| n * one == *n_times)));
        }
    }
}
