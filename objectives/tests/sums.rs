//! Sums of one task merge exactly.

use std::collections::BTreeMap;

use aggregation::tree::{Node, cover, fold, fold_leaves};
use objectives::TaskSums;

fn of_chunk(chunk: u32) -> TaskSums {
    let x = f64::from(chunk) + 0.1;
    TaskSums {
        rows: u64::from(chunk) + 3,
        loss: x * 1e8,
        counts: if chunk == 2 { vec![] } else { vec![1, u64::from(chunk)] },
        sums: vec![1.0 / x],
        scores: vec![chunk as f32],
        labels: vec![chunk % 2],
        own: BTreeMap::from([("mine".to_owned(), vec![x * 1e-8, 1.0 / x])]),
    }
}

#[test]
fn task_sums_are_the_same_bits_for_any_split_of_the_chunks() {
    let root = Node::root(7);
    let whole = fold_leaves(root, &mut of_chunk, &mut TaskSums::add);
    for cut in 0..=7 {
        let nodes = cover(root, 0, cut).into_iter().chain(cover(root, cut, 7));
        let sent = nodes.map(|node| (node, fold_leaves(node, &mut of_chunk, &mut TaskSums::add))).collect();
        assert_eq!(fold(root, sent, &mut TaskSums::add).expect("is covered"), whole);
    }
    assert_eq!(whole.rows, 7 * 3 + 21);
    assert_eq!(whole.counts, [6, 19]);
    assert_eq!(whole.own["mine"].len(), 2);
    assert_eq!(whole.scores, [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
}

#[test]
fn nothing_added_changes_nothing() {
    assert_eq!(of_chunk(1).add(TaskSums::default()), of_chunk(1));
    assert_eq!(TaskSums::default().add(of_chunk(1)), of_chunk(1));
}
