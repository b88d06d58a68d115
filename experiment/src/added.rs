//! The added parts that an experiment uses: those that are not built in.

use settings::catalogue::AddedPart;
use toml::Value;

use crate::experiment::Experiment;

/// Keys whose value names a part. A kind of part can have a key of its own too, such as `loss` or
/// `metrics`.
const NAMING: [&str; 5] = ["kind", "method", "module", "encoder", "robust"];

impl Experiment {
    /// The parts among `added` that this experiment names, in the order of `added`.
    pub fn uses(&self, added: &[AddedPart]) -> Vec<AddedPart> {
        if added.is_empty() {
            return Vec::new();
        }
        let mut names = Vec::new();
        let file = Value::try_from(self).expect("what an experiment file can say, TOML can write");
        collect(&file, "", &mut names);
        let is_named = |part: &&AddedPart| names.iter().any(|(key, name)| *name == part.name && may_name(key, part));
        added.iter().filter(is_named).cloned().collect()
    }
}

/// Whether the text at this key may be the name of such a part.
fn may_name(key: &str, part: &AddedPart) -> bool {
    NAMING.contains(&key) || key.trim_end_matches('s') == part.what.trim_end_matches('s')
}

/// Collects all texts of a file with their keys. A list's entries have the key of the list.
fn collect<'a>(value: &'a Value, key: &'a str, names: &mut Vec<(&'a str, &'a str)>) {
    match value {
        Value::String(text) => names.push((key, text)),
        Value::Array(values) => values.iter().for_each(|value| collect(value, key, names)),
        Value::Table(table) => table.iter().for_each(|(key, value)| collect(value, key, names)),
        _ => {}
    }
}
