//! What a part refuses of its parameters.

use std::fmt;

/// A refused key or value, with what is allowed.
///
/// As text it begins with the key in backticks. Serde's errors keep the text of an error alone, so
/// the alternate form (`{:#}`) holds all of it: [`Invalid::unpack`] gives it back. A loader that
/// formats serde's custom errors so knows the place of what any part refuses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invalid {
    /// The keys from the part's table to the refused key or value; one key unless tables nest.
    pub path: Vec<String>,
    /// What kind of refusal this is.
    pub problem: Problem,
    /// What is wrong and what is allowed.
    pub message: String,
    /// The names that are known at this place (keys or values), for a suggestion; may be empty.
    pub known: Vec<String>,
}

/// What is wrong with the end of an [`Invalid`]'s path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Problem {
    /// Nothing reads this key.
    UnknownKey,
    /// The key has to be given.
    MissingKey,
    /// The value is not allowed.
    Value,
    /// The value, or the key itself, is this name, which is not a known one.
    Name(String),
}

impl Invalid {
    /// A refused value, with a message that says all of it.
    pub fn new(key: &str, message: impl Into<String>) -> Self {
        Self { path: vec![key.to_owned()], problem: Problem::Value, message: message.into(), known: Vec::new() }
    }

    /// A refused value: `value` at `key`, with what is `allowed` in words.
    pub fn value(key: &str, value: impl fmt::Display, allowed: impl fmt::Display) -> Self {
        Self::new(key, format!("{value} is not allowed here; it must be {allowed}"))
    }

    /// A name that is none of the `known` ones.
    pub fn name(key: &str, name: &str, known: &[&str]) -> Self {
        Self {
            problem: Problem::Name(name.to_owned()),
            known: known.iter().map(|&name| name.to_owned()).collect(),
            ..Self::new(key, format!("there is no `{name}`; it must be one of {}", known.join(", ")))
        }
    }

    /// A key that has to be given.
    pub fn missing(key: &str, allowed: impl fmt::Display) -> Self {
        let message = format!("this key is missing; it must be {allowed}");
        Self { problem: Problem::MissingKey, ..Self::new(key, message) }
    }

    /// A key that `owner` does not have; `known` are those that it has.
    pub fn unknown_key(key: &str, owner: &str, known: &[&str]) -> Self {
        let has = if known.is_empty() { "no keys".to_owned() } else { known.join(", ") };
        Self {
            problem: Problem::UnknownKey,
            known: known.iter().map(|&name| name.to_owned()).collect(),
            ..Self::new(key, format!("{owner} has no such key; it has {has}"))
        }
    }

    /// This refusal, seen from the table that has the part's table at `key`.
    #[must_use]
    pub fn under(mut self, key: &str) -> Self {
        self.path.insert(0, key.to_owned());
        self
    }

    /// This refusal, at a key or an index (`[1]`) of the value that it was about.
    #[must_use]
    pub fn at(mut self, key: impl Into<String>) -> Self {
        self.path.push(key.into());
        self
    }

    /// This refusal, with the names that are known at its place.
    #[must_use]
    pub fn knowing(self, known: Vec<String>) -> Self {
        Self { known, ..self }
    }

    /// The keys with dots between them: `class_weights.cat`, `class_weights[1]`.
    pub fn key(&self) -> String {
        self.path.join(".").replace(".[", "[")
    }

    /// The refusal that the alternate form of one holds; nothing for another text.
    pub fn unpack(text: &str) -> Option<Self> {
        let fields: Vec<&str> = text.strip_prefix(MARK)?.split(FIELD).collect();
        let [path, problem, message, known] = fields[..] else { return None };
        let list = |text: &str| text.split_terminator(ITEM).map(str::to_owned).collect();
        let problem = match problem {
            "unknown key" => Problem::UnknownKey,
            "missing key" => Problem::MissingKey,
            "value" => Problem::Value,
            name => Problem::Name(name.strip_prefix("name ")?.to_owned()),
        };
        Some(Self { path: list(path), problem, message: message.to_owned(), known: list(known) })
    }
}

/// Begins the alternate form.
const MARK: char = '\u{1c}';
/// Stands between two fields of the alternate form.
const FIELD: char = '\u{1d}';
/// Ends each item of a list in the alternate form.
const ITEM: char = '\u{1e}';

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !f.alternate() {
            return write!(f, "`{}`: {}", self.key(), self.message);
        }
        // A text of the file may have any character; the few that are used as separators here can't
        // be told apart from these.
        let plain = |text: &str| text.replace([MARK, FIELD, ITEM], "\u{fffd}");
        let list = |items: &[String]| items.iter().map(|item| plain(item) + &ITEM.to_string()).collect::<String>();
        let problem = match &self.problem {
            Problem::UnknownKey => "unknown key".to_owned(),
            Problem::MissingKey => "missing key".to_owned(),
            Problem::Value => "value".to_owned(),
            Problem::Name(name) => format!("name {}", plain(name)),
        };
        let (path, message, known) = (list(&self.path), plain(&self.message), list(&self.known));
        write!(f, "{MARK}{path}{FIELD}{problem}{FIELD}{message}{FIELD}{known}")
    }
}

impl std::error::Error for Invalid {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_alternate_form_gives_all_of_it_back() {
        for invalid in [
            Invalid::value("c", -1, "a number of at least 0"),
            Invalid::name("kind", "adamm", &["sgd", "adam"]).under("optimizer"),
            Invalid::missing("gamma", "a number"),
            Invalid::unknown_key("zzz", "sum", &[]),
        ] {
            assert_eq!(Invalid::unpack(&format!("{invalid:#}")), Some(invalid));
        }
        assert_eq!(Invalid::unpack("`c`: -1 is not allowed here"), None);
    }

    #[test]
    fn separators_in_a_text_break_nothing() {
        let invalid = Invalid::name("kind", "a\u{1d}b\u{1c}", &["c"]);
        let back = Invalid::unpack(&format!("{invalid:#}")).expect("it is whole");
        assert_eq!(back.problem, Problem::Name("a\u{fffd}b\u{fffd}".to_owned()));
        assert_eq!(back.known, ["c"]);
    }
}
