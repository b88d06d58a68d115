//! What has changed between two plans: a resumed run needs the data that it began with.

use crate::plan::{FeedPlan, Plan, TablePlan};

impl Plan {
    /// What has changed, in words; empty if `now` gives the same rows, labels and encodings. The
    /// files' places and formats do not count.
    pub fn differences(&self, now: &Plan) -> Vec<String> {
        let mut found = Vec::new();
        if (self.written.seed, self.written.microbatches) != (now.written.seed, now.written.microbatches) {
            found.push("the seed or the number of microbatches".to_owned());
        }
        let names = |plan: &Plan| -> Vec<String> { plan.tables().iter().map(|table| table.name.clone()).collect() };
        if names(self) != names(now) {
            found.push(format!("the datasets: {}, now {}", names(self).join(", "), names(now).join(", ")));
            return found;
        }
        for (was, is) in self.tables().iter().zip(now.tables()) {
            found.extend(table(was, is));
        }
        let names = |plan: &Plan| -> Vec<String> { plan.feeds().iter().map(|feed| feed.name.clone()).collect() };
        if names(self) == names(now) {
            for (was, is) in self.feeds().iter().zip(now.feeds()) {
                found.extend(feed(was, is));
            }
        } else {
            found.push(format!("the feeds: {}, now {}", names(self).join(", "), names(now).join(", ")));
        }
        let names = |plan: &Plan| -> Vec<String> { plan.tasks().iter().map(|task| task.name.clone()).collect() };
        if names(self) == names(now) {
            let changed = self.tasks().iter().zip(now.tasks()).filter(|(was, is)| was != is);
            found.extend(changed.map(|(task, _)| format!("task `{}`: its classes, scale or labels", task.name)));
        } else {
            found.push(format!("the tasks: {}, now {}", names(self).join(", "), names(now).join(", ")));
        }
        found
    }
}

fn table(was: &TablePlan, is: &TablePlan) -> Option<String> {
    let rows = |table: &TablePlan| table.files.iter().map(|file| file.rows).sum::<u64>();
    let change = if rows(was) != rows(is) {
        format!("{} rows, now {}", rows(was), rows(is))
    } else if was.columns != is.columns {
        "its columns or their types".to_owned()
    } else if was.split != is.split || was.split_seed != is.split_seed {
        "which rows train, validate and test".to_owned()
    } else {
        return None;
    };
    Some(format!("dataset `{}`: {change}", was.name))
}

fn feed(was: &FeedPlan, is: &FeedPlan) -> Option<String> {
    let change = if was.partitions != is.partitions {
        let changed = was.partitions.iter().zip(&is.partitions).filter(|(was, is)| was != is).count();
        format!("the training rows of {changed} of its {} partitions", was.partitions.len())
    } else if was.chunks != is.chunks {
        "its validation or test rows".to_owned()
    } else if was.features != is.features || was.input != is.input {
        "its feature columns or how they are encoded".to_owned()
    } else if (was.batch_size, was.order) != (is.batch_size, is.order) {
        "how its rows are drawn".to_owned()
    } else {
        return None;
    };
    Some(format!("feed `{}`: {change}", was.name))
}
