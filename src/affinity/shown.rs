//! The measures as tables with a recommendation for people, and as CSV for programs.

use aggregation::affinity::{Affinity, EXACT_MAX, Estimate, Grouping, STEPS_MIN};

use super::matrix::Measured;

/// Both measures and the recommendation, in lines of at most `width` characters.
pub fn text(tasks: &[&str], affinity: &Affinity, width: usize) -> String {
    let steps = affinity.steps();
    let steps = if steps == 1 { "one recorded step".to_owned() } else { format!("{steps} recorded steps") };
    let cosines = Measured {
        tasks,
        values: &affinity.cosines(),
        long: |value| format!("{value:.3}"),
        short: |value| format!("{value:.2}"),
        extremes: ["agrees most with", "conflicts most with"],
    };
    let transfers = Measured {
        tasks,
        values: &affinity.transfers(),
        long: |value| format!("{value:.2e}"),
        short: |value| format!("{value:.1e}"),
        extremes: ["helped most by steps along", "harmed most by steps along"],
    };
    format!(
        "mean cosine of the gradients over {steps}\n(standard errors take the steps as independent)\n{}\n\
         first-order transfer: the share of a column's loss that a step along a\nrow's gradient takes away\n{}\n{}",
        cosines.shown(width),
        transfers.shown(width),
        recommendation(tasks, affinity, width)
    )
}

/// The recommendation if it is to train some tasks apart from others.
pub fn advice(tasks: &[&str], affinity: &Affinity, width: usize) -> Option<String> {
    let grouping = affinity.grouping().filter(|grouping| grouping.groups.len() > 1 && is_any_significant(affinity))?;
    Some(grouped(tasks, &grouping, width))
}

/// Whether the cosine of some pair of tasks can be told from 0.
fn is_any_significant(affinity: &Affinity) -> bool {
    let cosines = affinity.cosines();
    let is_significant = |i: usize, j: usize| cosines[i][j].as_ref().is_some_and(Estimate::is_significant);
    (0..cosines.len()).any(|j| (0..j).any(|i| is_significant(i, j)))
}

fn recommendation(tasks: &[&str], affinity: &Affinity, width: usize) -> String {
    let Some(grouping) = affinity.grouping() else {
        return format!(
            "recommendation: none, because no two tasks share {STEPS_MIN} recorded steps, and\n\
             fewer do not tell cosines from noise\n\
             (`tracking.gramian_every` and `tracking.weighting_every` set how many there are)"
        );
    };
    if is_any_significant(affinity) {
        grouped(tasks, &grouping, width)
    } else {
        "recommendation: train all tasks together\n(no pair's mean cosine is more than two standard errors from 0)"
            .to_owned()
    }
}

fn grouped(tasks: &[&str], grouping: &Grouping, width: usize) -> String {
    let how = if grouping.is_best {
        "no other grouping has a larger sum of mean cosines".to_owned()
    } else {
        format!("groups merged while that did not lower the sum of mean cosines;\nexact up to {EXACT_MAX} tasks")
    };
    let how = format!("({how};\npairs within two standard errors of 0 count as 0)");
    match &grouping.groups[..] {
        [_] => format!("recommendation: train all tasks together\n{how}"),
        groups => {
            let lines: Vec<String> = groups.iter().map(|group| listed(group, tasks, width)).collect();
            format!("recommendation: train together the tasks of a line\n{how}\n{}", lines.join("\n"))
        }
    }
}

/// The names of a group, in lines of at most `width` characters. Lines after the first are indented
/// further.
fn listed(group: &[usize], tasks: &[&str], width: usize) -> String {
    let (mut lines, mut line) = (Vec::new(), "  ".to_owned());
    for (at, task) in group.iter().enumerate() {
        let name = if at + 1 < group.len() { format!("{}, ", tasks[*task]) } else { tasks[*task].to_owned() };
        if at > 0 && line.chars().count() + name.trim_end().chars().count() > width {
            lines.push(line.trim_end().to_owned());
            line = "    ".to_owned();
        }
        line += &name;
    }
    lines.push(line);
    lines.join("\n")
}

/// Both measures as CSV, one row for each ordered pair. `steps` counts the steps in which both
/// tasks had gradients that are not 0.
pub fn csv(tasks: &[&str], affinity: &Affinity) -> String {
    let quoted = |name: &str| {
        let plain = !name.contains(['"', ',', '\n', '\r']);
        if plain { name.to_owned() } else { format!("\"{}\"", name.replace('"', "\"\"")) }
    };
    let shown = |value: Option<f64>| value.map_or_else(String::new, |value| value.to_string());
    let (cosines, transfers) = (affinity.cosines(), affinity.transfers());
    let mut out = "from,to,cosine,transfer,cosine_standard_error,transfer_standard_error,steps\n".to_owned();
    for (i, from) in tasks.iter().enumerate() {
        for (j, to) in tasks.iter().enumerate() {
            let (from, to) = (quoted(from), quoted(to));
            let both = [cosines[i][j], transfers[i][j]];
            let [cosine, transfer] = both.map(|estimate| shown(estimate.map(|estimate| estimate.mean)));
            let errors = both.map(|estimate| shown(estimate.and_then(|estimate| estimate.standard_error)));
            let steps = cosines[i][j].map_or(0, |estimate| estimate.steps);
            out += &format!("{from},{to},{cosine},{transfer},{},{},{steps}\n", errors[0], errors[1]);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use aggregation::Gramian;

    use super::*;

    #[test]
    fn csv_has_a_row_for_each_pair_and_quotes_names_that_need_it() {
        let mut affinity = Affinity::new(3);
        for cosine in [0.5, 0.25] {
            affinity.add(&[0, 1], &Gramian::new(2, vec![1.0, cosine, cosine, 1.0]), &[1.0, 2.0], 1.0);
        }
        let text = csv(&["a,\"b\"", "c", "d"], &affinity);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 10);
        assert_eq!(lines[0], "from,to,cosine,transfer,cosine_standard_error,transfer_standard_error,steps");
        assert_eq!(lines[1], "\"a,\"\"b\"\"\",\"a,\"\"b\"\"\",1,1,0,0,2");
        assert_eq!(lines[2], "\"a,\"\"b\"\"\",c,0.375,0.1875,0.125,0.0625,2");
        assert_eq!(lines[3], "\"a,\"\"b\"\"\",d,,,,,0");
    }

    /// Three tasks, the first two of these cosines, at as many steps.
    fn measured(cosines: &[f64]) -> Affinity {
        let mut affinity = Affinity::new(3);
        for cosine in cosines {
            let rows = [1.0, *cosine, 0.0, *cosine, 1.0, 0.0, 0.0, 0.0, 1.0];
            affinity.add(&[0, 1, 2], &Gramian::new(3, rows.to_vec()), &[1.0; 3], 0.1);
        }
        affinity
    }

    #[test]
    fn a_text_has_both_matrices_and_a_recommendation() {
        let tasks = ["a", "b", "c"];
        let said = |cosines: &[f64]| text(&tasks, &measured(cosines), 100);
        let against = said(&[-0.5; 10]);
        assert!(against.contains("over 10 recorded steps") && against.contains("-0.500"), "{against}");
        assert!(against.contains("first-order transfer") && against.contains("-5.00e-2"), "{against}");
        assert!(against.contains("tasks of a line") && against.contains("\n  a, c\n  b"), "{against}");
        assert!(said(&[0.5; 10]).contains("train all tasks together\n(no other grouping"));
        assert!(said(&[0.5, -0.5].repeat(5)).contains("train all tasks together\n(no pair's mean cosine"));
        let few = said(&[-0.5; 9]);
        assert!(few.contains("recommendation: none") && few.contains("-0.500"), "{few}");
        assert!(said(&[-0.5]).contains("over one recorded step"));
    }

    #[test]
    fn only_tasks_that_are_better_trained_apart_need_advice() {
        let advised = |cosines: &[f64]| advice(&["a", "b", "c"], &measured(cosines), 100);
        assert!(advised(&[-0.5; 10]).is_some_and(|text| text.ends_with("\n  a, c\n  b")));
        assert!([&[0.5; 10][..], &[0.5, -0.5].repeat(5), &[-0.5; 9]].iter().all(|cosines| advised(cosines).is_none()));
    }

    #[test]
    fn a_grouping_says_how_it_was_found() {
        let grouping = Grouping { groups: vec![vec![0, 2], vec![1]], value: 1.0, is_best: false };
        let text = grouped(&["a", "b", "c"], &grouping, 100);
        assert!(text.contains("\n  a, c\n  b") && text.contains("up to 12 tasks"), "{text}");
    }

    #[test]
    fn a_group_of_many_tasks_takes_several_lines() {
        let names: Vec<String> = (0..30).map(|task| format!("attribute_{task}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let text = listed(&(0..30).collect::<Vec<_>>(), &names, 100);
        assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
        let found: Vec<&str> = text.split(',').map(str::trim).collect();
        assert_eq!(found, names);
        assert_eq!((text.lines().count(), text.matches("\n    ").count()), (5, 4), "{text}");
    }
}
