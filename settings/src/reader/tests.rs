use super::*;
use crate::range::Range;
use crate::registry::{Entry, Registry};

fn table(text: &str) -> Table {
    toml::from_str(text).expect("is TOML")
}

/// What a part with a parameter of each type reads.
fn read(reader: &mut Reader<'_>) -> Result<(), Invalid> {
    reader.number("rate", 0.1, Range::Positive, "how fast")?;
    reader.required_number("gamma", Range::LeftOpen(0.0, 1.0), "factor of a step")?;
    reader.pair("betas", [0.9, 0.999], Range::HalfOpen(0.0, 1.0), "decay")?;
    reader.count("every", 4, 1.., "steps between")?;
    reader.counts("hidden", &[128, 64], 1..=1024, "widths")?;
    reader.flag("layer_norm", false, "normalise")?;
    reader.name("curve", "cos", &["cos", "linear"], "the curve")?;
    reader.optional_number("limit", Range::NotNegative, "none", "the largest norm")?;
    Ok(())
}

#[test]
fn what_was_read_is_completed_with_the_defaults_in_the_order_of_the_part() {
    let given = table("every = 7\nrate = 1\ngamma = 0.5\nhidden = [3]");
    let mut reader = Reader::new(&given, "part");
    read(&mut reader).expect("all is right");
    let completed = reader.finish().expect("all keys are known");
    let text: Vec<String> = completed.iter().map(|(key, value)| format!("{key} = {value}")).collect();
    let expected = [
        "rate = 1.0",
        "gamma = 0.5",
        "betas = [0.9, 0.999]",
        "every = 7",
        "hidden = [3]",
        "layer_norm = false",
        "curve = \"cos\"",
    ];
    assert_eq!(text, expected);
}

#[test]
fn a_part_describes_itself_by_what_it_reads() {
    let mut reader = Reader::describing("part");
    read(&mut reader).expect("examples are in range");
    let parameters = reader.parameters();
    assert_eq!(parameters.len(), 8);
    let gamma = Parameter {
        key: "gamma",
        allowed: "a number above 0 and at most 1".to_owned(),
        preset: Preset::Required,
        documentation: "factor of a step",
    };
    assert_eq!(parameters[1], gamma);
    assert_eq!(parameters[3].allowed, "a whole number of at least 1");
    assert_eq!(parameters[4].allowed, "a list; each entry a whole number from 1 to 1024");
    assert_eq!(parameters[7].preset, Preset::Words("none"));
}

static FACTORS: Registry<f64> =
    Registry::new("factor", &[Entry::built_in("times", "multiplies", 2.0), Entry::built_in("over", "divides", 0.5)]);

fn factor(default: &f64, reader: &mut Reader<'_>) -> Result<f64, Invalid> {
    reader.number("by", *default, Range::Positive, "the factor")
}

#[test]
fn a_part_of_a_part_is_a_name_or_a_table() {
    let read = |given: &str| -> Result<(f64, Option<f64>, String), Invalid> {
        let given = table(given);
        let mut reader = Reader::new(&given, "part");
        let first = reader.part("first", "times", &FACTORS, factor, "the first factor")?;
        let second = reader.optional_part("second", &FACTORS, "none", factor, "the second factor")?;
        Ok((first, second, reader.finish()?["first"].to_string()))
    };
    assert_eq!(read(""), Ok((2.0, None, "{ kind = \"times\", by = 2.0 }".to_owned())));
    assert_eq!(read("first = \"over\""), Ok((0.5, None, "{ kind = \"over\", by = 0.5 }".to_owned())));
    let both = "first = { kind = \"over\", by = 4 }\nsecond = \"times\"";
    assert_eq!(read(both), Ok((4.0, Some(2.0), "{ kind = \"over\", by = 4.0 }".to_owned())));
    for (given, key) in [
        ("first = \"plus\"", "first.kind"),
        ("first = 3", "first"),
        ("first = { kind = \"plus\" }", "first.kind"),
        ("first = { by = 2 }", "first.kind"),
        ("second = { kind = \"over\", by = -1 }", "second.by"),
        ("second = { kind = \"over\", yb = 1 }", "second.yb"),
    ] {
        assert_eq!(read(given).expect_err("is wrong").key(), key, "{given}");
    }
    let mut reader = Reader::describing("part");
    reader.part("first", "times", &FACTORS, factor, "the first factor").expect("the default is right");
    assert_eq!(reader.parameters()[0].preset, Preset::Value("times".into()));
    assert_eq!(reader.parameters()[0].allowed, "one of times, over, or a table with one of them as `kind`");
}

#[test]
fn what_is_not_allowed_is_refused_with_its_key() {
    for (given, key, allowed) in [
        ("rate = 0\ngamma = 1", "rate", "a number above 0"),
        ("rate = \"fast\"\ngamma = 1", "rate", "a number above 0"),
        ("gamma = nan", "gamma", "at most 1"),
        ("rate = 1", "gamma", "missing"),
        ("gamma = 1\nbetas = [0.9]", "betas", "a list of two"),
        ("gamma = 1\nevery = 0", "every", "at least 1"),
        ("gamma = 1\nevery = 1.5", "every", "a whole number"),
        ("gamma = 1\nhidden = [0]", "hidden", "from 1 to 1024"),
        ("gamma = 1\nhidden = 3", "hidden", "a list"),
        ("gamma = 1\nlayer_norm = 1", "layer_norm", "true or false"),
        ("gamma = 1\ncurve = \"cosine\"", "curve", "one of cos, linear"),
        ("gamma = 1\ncurves = \"cos\"", "curves", "part has no such key; it has rate, gamma"),
    ] {
        let given = table(given);
        let mut reader = Reader::new(&given, "part").tagged("kind");
        let refused = read(&mut reader).and_then(|()| reader.finish()).expect_err("is wrong");
        assert_eq!(refused.key(), key);
        assert!(refused.message.contains(allowed), "{refused}");
    }
}
