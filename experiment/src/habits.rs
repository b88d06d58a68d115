//! Words that people bring from other libraries, and what they are in an experiment file.
//!
//! A key or a name that is not known is looked up here before the nearest known one is suggested.
//! One word has one meaning at one place. What the reader would have to guess stays an error, with
//! the line to write. A known word is never looked up, so a part that a binary adds may have any
//! name.
//!
//! `habits/keys.txt` has the keys, `habits/names.txt` the names of parts. A line has columns with
//! ` | ` between them:
//!
//! | file | place | words | what to write | note |
//! |---|---|---|---|---|
//! | keys | the table; `*` is any name, `top` the file, `**` every table | in lower case | `-> PATH = VALUE`, or a sentence that follows the word | |
//! | names | the key | in lower case, without `_`, `-` and spaces | the name; after `~` the nearest one | what is added |
//!
//! Keys of every table are looked up last.

use toml::{Table, Value};

use crate::fault::{Complaint, Fault, dotted, index_of_key};

const KEYS: &str = include_str!("habits/keys.txt");
const NAMES: &str = include_str!("habits/names.txt");
/// The place of keys that may stand in every table.
const ANYWHERE: &str = "**";

/// A line of a table of words.
struct Habit {
    at: &'static str,
    words: &'static str,
    advice: &'static str,
    note: &'static str,
}

impl Habit {
    fn all(table: &'static str) -> impl Iterator<Item = Habit> {
        table.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).map(|line| {
            let mut columns = line.splitn(4, '|').map(str::trim);
            let mut next = || columns.next().unwrap_or_default();
            Habit { at: next(), words: next(), advice: next(), note: next() }
        })
    }

    fn has(&self, word: &str) -> bool {
        self.words.split(' ').any(|other| other == word)
    }

    /// The path and the value of a key that is to be written.
    fn key(&self) -> Option<(&'static str, &'static str)> {
        self.advice.strip_prefix("-> ")?.split_once(" = ")
    }

    /// Whether it is about this table or key.
    fn is_at(&self, path: &[String]) -> bool {
        let keys: Vec<&str> = self.at.split('.').filter(|key| *key != "top").collect();
        keys.len() == path.len() && keys.iter().zip(path).all(|(pattern, key)| *pattern == "*" || pattern == key)
    }
}

/// The fault with what to write instead, if its word is one that people bring from elsewhere.
/// `file` is the whole file, with what the command line changed.
pub(crate) fn explain(mut fault: Fault, file: &Table) -> Fault {
    let advice = match &fault.complaint {
        Complaint::UnknownKey => of_key(&fault.path),
        Complaint::Value(message) if message.starts_with("there is no ") => of_name(&fault.path, file),
        Complaint::Value(_) | Complaint::MissingKey(_) => None,
    };
    if let Some(advice) = advice {
        fault.help = vec![advice];
    }
    fault
}

/// The setting of an experiment that a word stands for, as `--set` takes it: `train.epochs=20`.
pub fn setting(word: &str) -> Option<String> {
    let (path, value) = Habit::all(KEYS).find(|habit| habit.at == ANYWHERE && habit.has(word))?.key()?;
    Some(format!("{path}={}", value.trim_matches('"')))
}

fn of_key(path: &[String]) -> Option<String> {
    let (word, table) = path.split_last()?;
    let here = Habit::all(KEYS).filter(|habit| habit.is_at(table));
    let anywhere = Habit::all(KEYS).filter(|habit| habit.at == ANYWHERE);
    let habit = here.chain(anywhere).find(|habit| habit.has(&word.to_lowercase()))?;
    match habit.key() {
        None => Some(format!("`{word}` {}", habit.advice)),
        Some((to, value)) => Some(moved(word, table, &named(to, table)?, value)),
    }
}

/// What to write for `word` in `table`: the key `to` with a value such as `value`.
fn moved(word: &str, table: &[String], to: &[String], value: &str) -> String {
    let (key, place) = to.split_last().expect("a path has a key");
    let write = format!("{key} = {value}");
    let is_part = value.starts_with('{');
    if place == table {
        let is = if is_part { format!("is part of `{key}`") } else { format!("is called `{key}` here") };
        return format!("`{word}` {is}: write `{write}`");
    }
    let there = if place.is_empty() { "at the top of the file".to_owned() } else { format!("in [{}]", dotted(place)) };
    let is = match key.eq_ignore_ascii_case(word) {
        true => format!("stands {there}"),
        false if is_part => format!("is part of `{key}` {there}"),
        false => format!("is `{key}` {there}"),
    };
    match place.strip_prefix(table) {
        // One table below: it may stand on a line of the table that is being written.
        Some([inner]) if !table.is_empty() => format!("`{word}` {is}: write `{inner} = {{ {write} }}`"),
        _ => format!("`{word}` {is}: write `{write}` there"),
    }
}

fn of_name(path: &[String], file: &Table) -> Option<String> {
    let word = text_at(path, file)?;
    let plain = word.to_lowercase().replace(['_', '-', ' '], "");
    // A part is named by a text or by the `kind` of its table. Metrics stand in a list.
    let part = path.split_last().filter(|(last, _)| *last == "kind" || index_of_key(last).is_some());
    let is_here = |habit: &Habit| habit.is_at(path) || part.is_some_and(|(_, part)| habit.is_at(part));
    let habit = Habit::all(NAMES).filter(is_here).find(|habit| habit.has(&plain))?;
    Some(match habit.advice.strip_prefix("~ ") {
        Some(nearest) => format!("the nearest to `{word}` is `{nearest}` here{}", habit.note),
        None => format!("`{word}` is `{}` here{}", habit.advice, habit.note),
    })
}

/// The text at a path, or at the table that the path's `kind` belongs to: a bare name.
fn text_at<'a>(path: &[String], file: &'a Table) -> Option<&'a str> {
    let mut keys = path.iter();
    let mut value = file.get(keys.next()?)?;
    for key in keys {
        value = match value {
            Value::Table(table) => table.get(key)?,
            Value::Array(list) => list.get(index_of_key(key)?)?,
            Value::String(_) if key == "kind" => value,
            _ => return None,
        };
    }
    value.as_str()
}

/// A path with the names of `table` in the places of `*`.
fn named(path: &str, table: &[String]) -> Option<Vec<String>> {
    let key = |(at, key): (usize, &str)| if key == "*" { table.get(at).cloned() } else { Some(key.to_owned()) };
    path.split('.').enumerate().map(key).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "name = \"x\"\n[dataset.d]\npath = \"d.csv\"\n\
        [task.t]\ndataset = \"d\"\ntarget = \"y\"\nkind = \"multiclass\"\n";

    /// What reading the file with one setting says, with tasks of the kind.
    fn read(kind: &str, setting: &str) -> Result<(), String> {
        let text = FILE.replace("multiclass", kind);
        let sets = [setting.to_owned()];
        model::parse(&text, "x.toml".as_ref(), &sets).map(drop).map_err(|error| error.to_string())
    }

    /// Whether the file is read with a setting, with a task of some kind.
    fn is_accepted(setting: &str) -> bool {
        ["multiclass", "regression", "binary"].iter().any(|kind| read(kind, setting).is_ok())
    }

    /// The path of a pattern in the file.
    fn in_file(pattern: &str) -> String {
        pattern.replace("task.*", "task.t").replace("dataset.*", "dataset.d").replace(ANYWHERE, "weighting")
    }

    #[test]
    fn every_key_from_elsewhere_is_answered_with_a_key_that_is_accepted() {
        for habit in Habit::all(KEYS) {
            let at = in_file(habit.at);
            let mut answered = 0;
            for word in habit.words.split(' ') {
                assert_eq!(word, word.to_lowercase());
                let key = if at == "top" { word.to_owned() } else { format!("{at}.{word}") };
                // Of the words for every table, some are keys of the one that stands for all here.
                let Some(said) = read("multiclass", &format!("{key}=1")).err() else { continue };
                if said.contains("unknown key") {
                    assert!(said.contains(&format!("\n = `{word}` ")), "{key}: {said}");
                    assert!(habit.key().is_none() || said.contains("write `"), "{key}: {said}");
                    answered += 1;
                }
            }
            assert!(answered > 0, "all are keys: {}", habit.words);
            if let Some((path, value)) = habit.key() {
                assert!(is_accepted(&format!("{}={value}", in_file(path))), "{path}={value}");
            }
        }
    }

    #[test]
    fn every_name_from_elsewhere_is_answered_with_a_name_that_is_known() {
        for habit in Habit::all(NAMES) {
            let at = in_file(habit.at);
            let setting = |name: &str| match habit.at.ends_with("metrics") {
                true => format!("{at}=[\"{name}\"]"),
                false => format!("{at}=\"{name}\""),
            };
            let name = habit.advice.trim_start_matches("~ ");
            let is_unknown = |said: &str| said.contains("there is no");
            let mut answered = 0;
            for word in habit.words.split(' ') {
                assert_eq!(word, word.to_lowercase().replace(['_', '-', ' '], ""));
                let said = read("multiclass", &setting(word)).err().filter(|said| is_unknown(said));
                let Some(said) = said else { continue };
                assert!(said.contains(&format!("`{word}` is `{name}` here")), "{at}: {said}");
                answered += 1;
            }
            assert!(answered > 0, "all are known: {}", habit.words);
            let said = read("multiclass", &setting(name)).err().unwrap_or_default();
            assert!(!is_unknown(&said), "{at}: {said}");
        }
    }

    #[test]
    fn a_word_is_answered_for_the_place_where_it_stands() {
        for (setting, expected) in [
            (
                "train.learning_rate=1",
                "`learning_rate` stands in [train.optimizer]: write `optimizer = { learning_rate = 0.01 }`",
            ),
            (
                "train.lr=1",
                "`lr` is `learning_rate` in [train.optimizer]: write `optimizer = { learning_rate = 0.01 }`",
            ),
            ("train.optimizer.lr=1", "`lr` is called `learning_rate` here: write `learning_rate = 0.01`"),
            ("LR=1", "`LR` is `learning_rate` in [train.optimizer]: write `learning_rate = 0.01` there"),
            ("epochs=3", "`epochs` stands in [train]: write `epochs = 20` there"),
            ("train.seed=3", "`seed` stands at the top of the file: write `seed = 1` there"),
            ("model.hidden=[3]", "`hidden` is part of `trunk`: write `trunk = { hidden = [128, 64] }`"),
            ("task.t.hidden=[3]", "`hidden` is part of `head`: write `head = { hidden = [32] }`"),
            ("task.t.loss=BCEWithLogitsLoss", "`BCEWithLogitsLoss` is `cross_entropy` here"),
            ("task.t.loss={ kind = \"bce\" }", "`bce` is `cross_entropy` here"),
            ("task.t.metrics=[\"accuracy\", \"AUC\"]", "`AUC` is `auroc` here"),
            (
                "task.t.kind=classification",
                "`classification` is `multiclass` here; it is `binary` if there are two classes",
            ),
            ("model.trunk=linear", "`linear` is `mlp` here: write `trunk = { hidden = [128, 64] }`"),
            ("model.trunk.kind=linear", "`linear` is `mlp` here: write `trunk = { hidden = [128, 64] }`"),
            ("train.schedule=CosineAnnealingLR", "`CosineAnnealingLR` is `cosine` here"),
        ] {
            let said = read("multiclass", setting).expect_err(setting);
            assert!(said.ends_with(&format!("\n = {expected}")), "{setting}: {said}");
        }
    }

    #[test]
    fn the_name_of_a_part_may_stand_alone() {
        for setting in
            ["train.optimizer=adamw", "train.schedule=cosine", "model.trunk=mlp", "task.t.loss=cross_entropy"]
        {
            assert_eq!(read("multiclass", setting), Ok(()), "{setting}");
        }
    }

    #[test]
    fn an_option_that_is_a_key_is_told_as_a_setting() {
        assert_eq!(setting("epochs").as_deref(), Some("train.epochs=20"));
        assert_eq!(setting("lr").as_deref(), Some("train.optimizer.learning_rate=0.01"));
        assert_eq!(setting("optimizer").as_deref(), Some("train.optimizer=adam"));
        assert_eq!(setting("gpus"), None);
        assert_eq!(setting("frobnicate"), None);
    }
}
