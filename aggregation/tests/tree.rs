//! The canonical tree: its shape, its covers, and that sums along it do not depend on which nodes
//! are given.

use std::collections::BTreeMap;

use aggregation::Node;
use aggregation::tree::{Uncovered, add_assign, add_into, cover, fold, fold_leaves};
use proptest::prelude::*;

fn text(root: Node) -> String {
    fold_leaves(root, &mut |leaf| leaf.to_string(), &mut |left, right| format!("({left}+{right})"))
}

#[test]
fn a_node_splits_at_the_largest_power_of_two_below_its_length() {
    assert_eq!(text(Node::root(1)), "0");
    assert_eq!(text(Node::root(2)), "(0+1)");
    assert_eq!(text(Node::root(3)), "((0+1)+2)");
    assert_eq!(text(Node::root(5)), "(((0+1)+(2+3))+4)");
    assert_eq!(text(Node::root(7)), "(((0+1)+(2+3))+((4+5)+6))");
    assert_eq!(text(Node::root(8)), "(((0+1)+(2+3))+((4+5)+(6+7)))");
}

#[test]
fn a_gap_and_an_overlap_are_found() {
    let root = Node::root(4);
    let add = &mut |left: u32, right: u32| left + right;
    let values =
        |nodes: &[(u32, u32)]| nodes.iter().map(|&(lo, hi)| (Node { lo, hi }, 1)).collect::<BTreeMap<_, u32>>();
    assert_eq!(fold(root, values(&[(0, 2), (2, 4)]), add), Ok(2));
    assert_eq!(fold(root, values(&[(0, 2), (3, 4)]), add), Err(Uncovered::Missing(Node::leaf(2))));
    assert_eq!(fold(root, values(&[(0, 2), (2, 4), (3, 4)]), add), Err(Uncovered::Surplus(Node::leaf(3))));
    assert_eq!(fold(root, values(&[(0, 4), (1, 3)]), add), Err(Uncovered::Surplus(Node { lo: 1, hi: 3 })));
}

#[test]
fn nodes_of_the_tree_are_told_from_other_ranges() {
    let root = Node::root(6);
    let nodes: Vec<(u32, u32)> = (0..7)
        .flat_map(|lo| (0..8).map(move |hi| (lo, hi)))
        .filter(|&(lo, hi)| Node { lo, hi }.is_node_of(root))
        .collect();
    assert_eq!(nodes, [(0, 1), (0, 2), (0, 4), (0, 6), (1, 2), (2, 3), (2, 4), (3, 4), (4, 5), (4, 6), (5, 6)]);
}

proptest! {
    #[test]
    fn a_cover_is_made_of_nodes_in_order_without_gaps(leaves in 1u32..200, a in 0u32..200, b in 0u32..200) {
        let root = Node::root(leaves);
        let (lo, hi) = (a.min(b).min(leaves), a.max(b).min(leaves));
        let nodes = cover(root, lo, hi);
        let mut at = lo;
        for node in &nodes {
            prop_assert!(node.is_node_of(root));
            prop_assert_eq!(node.lo, at);
            at = node.hi;
        }
        prop_assert_eq!(at, hi.max(lo));
        // The cover is smallest: no two neighbours are the children of one node.
        for pair in nodes.windows(2) {
            let parent = Node { lo: pair[0].lo, hi: pair[1].hi };
            prop_assert!(!(parent.is_node_of(root) && parent.children() == Some((pair[0], pair[1]))));
        }
    }

    #[test]
    fn sums_have_the_same_bits_whatever_nodes_are_given(values in prop::collection::vec(-1e6f32..1e6, 1..60), mut cuts in prop::collection::vec(0u32..60, 0..6)) {
        let leaves = values.len() as u32;
        let root = Node::root(leaves);
        let add = &mut |left: f32, right: f32| left + right;
        let leaf = |i: u32| values[i as usize];
        let whole = fold_leaves(root, &mut |i| leaf(i), add);
        // Each worker has the leaves between two cuts, and sends its complete nodes.
        cuts.extend([0, leaves]);
        cuts.iter_mut().for_each(|cut| *cut = (*cut).min(leaves));
        cuts.sort_unstable();
        let sent: BTreeMap<Node, f32> = cuts
            .windows(2)
            .flat_map(|cut| cover(root, cut[0], cut[1]))
            .map(|node| (node, fold_leaves(node, &mut |i| leaf(i), add)))
            .collect();
        prop_assert_eq!(fold(root, sent, add).expect("all leaves are covered").to_bits(), whole.to_bits());
    }

    #[test]
    fn vectors_are_added_elementwise(pairs in prop::collection::vec((any::<f32>(), any::<f32>()), 0..100)) {
        let (mut into, other): (Vec<f32>, Vec<f32>) = pairs.iter().copied().unzip();
        let mut out = vec![0.0; into.len()];
        add_into(&into, &other, &mut out);
        add_assign(&mut into, &other);
        for (i, (left, right)) in pairs.into_iter().enumerate() {
            let sum = left + right;
            prop_assert!(into[i].to_bits() == sum.to_bits() || sum.is_nan() && into[i].is_nan());
            prop_assert!(out[i].to_bits() == sum.to_bits() || sum.is_nan() && out[i].is_nan());
        }
    }
}
