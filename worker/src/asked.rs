//! Checks work on its arrival: no coordinator of a run with this plan asks for anything else, and
//! the computation relies on it.

use std::collections::BTreeSet;

use datasets::Plan;
use experiment::SplitName;
use proto::message::{Work, WorkKind};

/// No run has more steps, whatever the experiment.
const STEPS_MAX: u64 = 1 << 48;

/// What is wrong with work for a run with this plan, if anything is. `slots` is the number of slots
/// for results in shared memory, if there is some.
pub(crate) fn fault(work: &Work, plan: &Plan, slots: Option<usize>) -> Option<String> {
    let (feeds, tasks) = (plan.feeds().len(), &plan.shapes().tasks);
    if work.feeds.is_empty()
        || !work.feeds.iter().is_sorted_by(|a, b| a < b)
        || work.feeds.iter().any(|feed| *feed as usize >= feeds)
    {
        return Some(format!("work for feeds {:?} of {feeds}", work.feeds));
    }
    if work.step >= STEPS_MAX || work.version >= STEPS_MAX {
        return Some(format!("work for step {} with version {} of the parameters", work.step, work.version));
    }
    let length = match work.kind {
        WorkKind::Evaluate if work.split == SplitName::Train => return Some("an evaluation of training rows".into()),
        WorkKind::Evaluate => work.feeds.iter().map(|feed| plan.chunks(*feed as usize, work.split)).min().unwrap_or(0),
        WorkKind::Gradient | WorkKind::Losses => plan.microbatches(),
    };
    if work.node.hi > length {
        return Some(format!("work for node [{}, {}) of {length}", work.node.lo, work.node.hi));
    }
    if work.kind != WorkKind::Gradient {
        return None;
    }
    if work.scales.len() != tasks.len() {
        return Some(format!("work with {} scales for {} tasks", work.scales.len(), tasks.len()));
    }
    let vectors = match &work.by_task {
        None if work.feeds.len() == feeds => 1,
        None => return Some("a gradient of some feeds".into()),
        Some(asked) => {
            let [feed] = work.feeds[..] else { return Some("gradients by task of several feeds".into()) };
            let is_on = |task: &u32| tasks.get(*task as usize).is_some_and(|shape| shape.feed == feed as usize);
            let distinct: BTreeSet<&u32> = asked.iter().collect();
            if distinct.len() != asked.len() || !asked.iter().all(is_on) {
                return Some(format!("work for tasks {asked:?} of feed {feed}"));
            }
            asked.len()
        }
    };
    let indices: BTreeSet<u32> = work.slots.iter().map(|slot| slot.index).collect();
    let fits = indices.len() == work.slots.len()
        && (work.slots.is_empty() || work.slots.len() == vectors)
        && work.slots.iter().all(|slot| slot.generation > 0 && (slot.index as usize) < slots.unwrap_or(0));
    (!fits).then(|| format!("work with slots {:?} for {vectors} vectors", work.slots))
}

#[cfg(test)]
mod tests {
    use std::{path::Path, sync::Arc};

    use aggregation::tree::Node;
    use proto::message::Slot;

    use super::*;

    /// The plan of two tasks on one table of 100 rows, in 4 microbatches.
    fn plan() -> Arc<Plan> {
        let folder = tempfile::tempdir().unwrap();
        let rows: String = (0..100).map(|i| format!("{},{},{}\n", i * 37 % 60, i * 61 % 90, i % 2)).collect();
        std::fs::write(folder.path().join("t.csv"), format!("x,y,z\n{rows}")).unwrap();
        let text = "name = \"t\"\n[dataset.t]\npath = \"t.csv\"\n\
                    [task.y]\ndataset = \"t\"\ntarget = \"y\"\nkind = \"regression\"\n\
                    [task.z]\ndataset = \"t\"\ntarget = \"z\"\nkind = \"binary\"\n\
                    [train]\nsteps = 4\nmicrobatches = 4\n";
        let mut loaded = model::parse(text, Path::new("t.toml"), &[]).unwrap();
        loaded.base = folder.path().to_owned();
        datasets::prepare(&loaded).unwrap().plan
    }

    fn gradient() -> Work {
        Work {
            id: 1,
            kind: WorkKind::Gradient,
            version: 0,
            step: 0,
            feeds: vec![0],
            node: Node { lo: 0, hi: 4 },
            scales: vec![0.5, 0.5],
            by_task: None,
            split: SplitName::Train,
            slots: Vec::new(),
        }
    }

    #[test]
    fn work_that_no_coordinator_asks_for_is_found() {
        let plan = plan();
        let evaluation = Work { kind: WorkKind::Evaluate, split: SplitName::Validation, ..gradient() };
        let evaluation = Work { node: Node { lo: 0, hi: 1 }, scales: Vec::new(), ..evaluation };
        let slot = |index| Slot { index, generation: 1 };
        let by_task = Work { by_task: Some(vec![0, 1]), slots: vec![slot(0), slot(1)], ..gradient() };
        for good in [gradient(), evaluation.clone(), by_task.clone(), Work { kind: WorkKind::Losses, ..gradient() }] {
            assert_eq!(fault(&good, &plan, Some(2)), None);
        }
        for bad in [
            Work { feeds: vec![1], ..gradient() },
            Work { feeds: Vec::new(), ..gradient() },
            Work { step: u64::MAX, ..gradient() },
            Work { version: u64::MAX, ..gradient() },
            Work { node: Node { lo: 0, hi: u32::MAX }, ..gradient() },
            Work { scales: vec![1.0], ..gradient() },
            Work { split: SplitName::Train, ..evaluation.clone() },
            Work { node: Node { lo: 0, hi: 9 }, ..evaluation },
            Work { by_task: Some(vec![2]), slots: Vec::new(), ..by_task.clone() },
            Work { by_task: Some(vec![0, 0]), ..by_task.clone() },
            Work { slots: vec![slot(0), slot(0)], ..by_task.clone() },
            Work { slots: vec![slot(0), slot(2)], ..by_task.clone() },
            Work { slots: vec![slot(0)], ..by_task.clone() },
            Work { slots: vec![Slot { index: 0, generation: 0 }, slot(1)], ..by_task.clone() },
        ] {
            assert!(fault(&bad, &plan, Some(2)).is_some(), "{bad:?}");
        }
        assert!(fault(&by_task, &plan, None).is_some());
    }
}
