//! The trunk's inputs: the columns of several feeds that are one of them.
//!
//! Feeds without encoders reach the trunk as they are, so input k of the trunk is the same for all
//! of them. Columns of one name are one input: if two feeds have the same columns, those of the
//! second stand in the order of the first ([`order`]), and a category has its place in both, though
//! only one table may have it ([`encodings`]). Feeds with other columns share inputs by position
//! only if the experiment says so, with `encoder = "none"` for each of them ([`check`]). The values
//! of an image have places of their own, so images of one shape always fit each other.

use std::collections::BTreeSet;

use experiment::{Encoder, InputShape, Loaded, Shapes};

use super::table::OpenTable;
use super::tasks::Feed;
use crate::DataError;
use crate::encoding::Encoding;
use crate::plan::{FeedPlan, Plan};
use crate::source::key;
use crate::summary::{TrunkInput, quoted};

/// Puts the columns of feeds that may have no encoder into the order of the first feed with the
/// same columns.
pub(super) fn order(loaded: &Loaded, tables: &[OpenTable<'_>], feeds: &mut [Feed]) {
    let names = |feed: &Feed| -> Vec<String> {
        feed.columns.iter().map(|column| tables[feed.table].names[*column].clone()).collect()
    };
    for later in 1..feeds.len() {
        if is_encoded(loaded, tables[feeds[later].table].name) {
            continue;
        }
        let own = names(&feeds[later]);
        let set: BTreeSet<&String> = own.iter().collect();
        let first = feeds[..later].iter().find(|feed| {
            let names = names(feed);
            !is_encoded(loaded, tables[feed.table].name) && names.iter().collect::<BTreeSet<_>>() == set
        });
        let Some(first) = first.map(names) else { continue };
        let places: Vec<usize> = first.iter().filter_map(|name| own.iter().position(|other| other == name)).collect();
        let feed = &mut feeds[later];
        feed.columns = places.iter().map(|place| feed.columns[*place]).collect();
        feed.kinds = places.iter().map(|place| feed.kinds[*place]).collect();
    }
}

/// Whether the experiment gives the feeds of a dataset an encoder.
fn is_encoded(loaded: &Loaded, dataset: &str) -> bool {
    matches!(loaded.experiment.encoder(dataset), Encoder::Layers(_))
}

/// Gives columns of one name the same categories and the same indicator of nulls in all feeds that
/// have no encoder. `datasets` are the feeds' datasets.
pub(super) fn encodings(loaded: &Loaded, datasets: &[&str], feeds: &mut [FeedPlan]) {
    let bare: Vec<usize> = (0..feeds.len()).filter(|feed| !is_encoded(loaded, datasets[*feed])).collect();
    let mut united: Vec<FeedPlan> = feeds.to_vec();
    for feed in &bare {
        let same: Vec<usize> =
            bare.iter().copied().filter(|other| difference(&feeds[*feed], &feeds[*other]).is_none()).collect();
        for (place, feature) in united[*feed].features.iter_mut().enumerate() {
            let encodings: Vec<&Encoding> = same.iter().map(|other| &feeds[*other].features[place].encoding).collect();
            feature.encoding = feature.encoding.united(&encodings);
        }
    }
    let is_said = bare.iter().all(|feed| loaded.experiment.encoder(datasets[*feed]) == Encoder::None);
    let shapes = united.iter().zip(datasets).map(|(feed, dataset)| feed.shape(dataset)).collect();
    // With encoders, each feed has columns of its own.
    if is_said || (Shapes { feeds: shapes, tasks: Vec::new() }).are_alike() {
        feeds.iter_mut().zip(united).for_each(|(feed, united)| feed.features = united.features);
    }
}

/// Says which columns share the inputs of the trunk.
///
/// # Errors
/// Feeds with other columns would share inputs, and the experiment does not say that they do.
pub(super) fn check(loaded: &Loaded, plan: &Plan) -> Result<Vec<TrunkInput>, DataError> {
    let alike = plan.shapes().are_alike();
    let dataset = |feed: &FeedPlan| plan.tables()[feed.table].name.as_str();
    let bare = |feed: &&FeedPlan| match loaded.experiment.encoder(dataset(feed)) {
        Encoder::None => true,
        Encoder::ByFeeds => alike,
        Encoder::Layers(_) => false,
    };
    let feeds: Vec<&FeedPlan> = plan.feeds().iter().filter(bare).collect();
    let Some((first, others)) = feeds.split_first().filter(|(_, others)| !others.is_empty()) else {
        return Ok(Vec::new());
    };
    let is_said = feeds.iter().all(|feed| loaded.experiment.encoder(dataset(feed)) == Encoder::None);
    for other in others {
        let Some(difference) = difference(first, other).filter(|_| !is_said) else { continue };
        let message = format!(
            "feeds `{}` and `{}` reach the trunk without encoders, so column k of one and column k of the other would be \
             one input, but {difference}; give each its encoder with `model.encoder = \"mlp\"`, or `model.encoder = \
             \"none\"` to have them share inputs by position",
            first.name, other.name
        );
        return Err(loaded.source.error_at(&["dataset", dataset(other)], message).into());
    }
    Ok(inputs(&feeds))
}

/// Why two feeds can't share the inputs of the trunk by name; `None` if they can.
fn difference(one: &FeedPlan, other: &FeedPlan) -> Option<String> {
    if one.input != InputShape::Table || other.input != InputShape::Table {
        return (one.input != other.input).then(|| "one has images and the other has not the same".to_owned());
    }
    let names = |feed: &FeedPlan| feed.features.iter().map(|feature| feature.column.clone()).collect::<BTreeSet<_>>();
    let (these, those) = (names(one), names(other));
    let only = |a: &BTreeSet<String>, b: &BTreeSet<String>, feed: &FeedPlan| {
        let names: Vec<&str> = a.difference(b).map(String::as_str).collect();
        (!names.is_empty()).then(|| format!("only `{}` has {}", feed.name, quoted(names)))
    };
    let missing: Vec<String> = [only(&these, &those, one), only(&those, &these, other)].into_iter().flatten().collect();
    if !missing.is_empty() {
        return Some(missing.join(", and "));
    }
    let pairs = || one.features.iter().zip(&other.features);
    if let Some((a, b)) = pairs().find(|(a, b)| a.column != b.column) {
        return Some(format!("`{}` and `{}` stand at one place", a.column, b.column));
    }
    let (a, _) = pairs().find(|(a, b)| a.kind != b.kind)?;
    let help = format!("say what it is with `types = {{ {} = \"number\" }}` or `\"category\"` in both", key(&a.column));
    Some(format!("column `{}` is not of one kind in both ({help})", a.column))
}

/// The columns at each input, neighbours of the same columns together.
fn inputs(feeds: &[&FeedPlan]) -> Vec<TrunkInput> {
    let mut inputs: Vec<TrunkInput> = Vec::new();
    let columns: Vec<Vec<&str>> = feeds.iter().map(|feed| by_input(feed)).collect();
    let count = columns.iter().map(Vec::len).min().unwrap_or(0);
    for input in 0..count {
        let at = |(feed, columns): (&&FeedPlan, &Vec<&str>)| (feed.name.clone(), columns[input].to_owned());
        let columns: Vec<(String, String)> = feeds.iter().zip(&columns).map(at).collect();
        match inputs.last_mut() {
            Some(last) if last.columns == columns => last.last = input + 1,
            _ => inputs.push(TrunkInput { first: input + 1, last: input + 1, columns }),
        }
    }
    inputs
}

/// The column of each input: dense columns first, then the looked-up ones.
fn by_input(feed: &FeedPlan) -> Vec<&str> {
    let dense = feed.features.iter().map(|feature| (feature.encoding.dense_width(), feature));
    let looked_up =
        feed.features.iter().map(|feature| (feature.encoding.embedding().map_or(0, |(_, width)| width), feature));
    dense.chain(looked_up).flat_map(|(width, feature)| std::iter::repeat_n(feature.column.as_str(), width)).collect()
}
