//! Where the experiment's paths lead: the one place that turns a path of the experiment file into a
//! file of this machine.
//!
//! A relative path is relative to the experiment file's folder, on a worker elsewhere to its data
//! root. A worker reads only what lies below that root, whatever a coordinator asks for.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Component, Path, PathBuf};

use globset::{GlobBuilder, GlobMatcher};

use crate::DataError;

/// The file that `path` names below `base`.
pub(crate) fn resolve(base: &Path, path: &str) -> PathBuf {
    base.join(path)
}

/// The file that `path` names. It must lie below `root` once all links are followed.
///
/// # Errors
/// It leads out of the root, by `..`, by a link or from the root of the file system; or it is not
/// there.
pub(crate) fn resolve_within(root: &Path, path: &str) -> Result<PathBuf, DataError> {
    let refuse = |reason: String| DataError::File { file: path.into(), reason };
    if Path::new(path).components().any(|part| part == Component::ParentDir) {
        return Err(refuse("`..` leads out of the data root, and nothing else may be read".to_owned()));
    }
    let real =
        |path: &Path| std::fs::canonicalize(path).map_err(|error| refuse(format!("{}: {error}", path.display())));
    let (root, file) = (real(root)?, real(&root.join(path))?);
    if !file.starts_with(&root) {
        return Err(refuse(format!("it is {}, outside of the data root {}", file.display(), root.display())));
    }
    Ok(file)
}

/// The files that a path or glob names, as paths like it, sorted bytewise.
///
/// In a glob, `*` and `?` stand for part of one name and `**` for any folders; `[abc]` and `{a,b}`
/// are understood too. As in a shell, a name that begins with a dot is hidden: it is found only by
/// a pattern with a dot there, and `**` does not look into hidden folders.
pub(crate) fn expand(base: &Path, pattern: &str) -> Result<Vec<String>, DataError> {
    if base.join(pattern).is_file() || !is_glob(pattern) {
        return Ok(vec![pattern.to_owned()]);
    }
    let fail = |reason: String| DataError::File { file: pattern.into(), reason };
    let mut found = BTreeSet::new();
    for pattern in alternatives(pattern) {
        let names: Vec<Name> =
            Path::new(&pattern).components().map(Name::new).collect::<Result<_, _>>().map_err(fail)?;
        find(base, PathBuf::new(), &names, &mut found).map_err(|error| fail(error.to_string()))?;
    }
    if found.is_empty() {
        return Err(fail("no file has such a name".to_owned()));
    }
    Ok(found.into_iter().collect())
}

fn is_glob(name: &str) -> bool {
    name.contains(['*', '?', '[', '{'])
}

/// The patterns that a pattern with `{a,b}` stands for.
fn alternatives(pattern: &str) -> Vec<String> {
    let Some((before, choices, after)) = first_braces(pattern) else { return vec![pattern.to_owned()] };
    choices.iter().flat_map(|choice| alternatives(&format!("{before}{choice}{after}"))).collect()
}

/// What stands before the first braces, the choices in them, and what stands after them.
fn first_braces(pattern: &str) -> Option<(&str, Vec<&str>, &str)> {
    let (mut depth, mut in_class, mut escaped) = (0, false, false);
    let (mut start, mut choices) = (None, Vec::new());
    let mut choice = 0;
    for (place, character) in pattern.char_indices() {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            ']' => in_class = false,
            '[' => in_class = true,
            _ if in_class => {}
            '{' => {
                depth += 1;
                if depth == 1 {
                    start = Some(place);
                    choice = place + 1;
                }
            }
            ',' if depth == 1 => {
                choices.push(&pattern[choice..place]);
                choice = place + 1;
            }
            '}' if depth > 0 => {
                depth -= 1;
                if depth == 0 {
                    choices.push(&pattern[choice..place]);
                    return Some((&pattern[..start?], choices, &pattern[place + 1..]));
                }
            }
            _ => {}
        }
    }
    None
}

/// One component of a pattern.
enum Name {
    /// This name.
    Literal(OsString),
    /// Any folders, none too: `**`.
    Folders,
    /// Every name that matches; a hidden one only if the pattern begins with a dot.
    Glob { matcher: GlobMatcher, hidden: bool },
}

impl Name {
    fn new(component: Component<'_>) -> Result<Self, String> {
        let name = component.as_os_str();
        match name.to_str() {
            Some("**") => Ok(Name::Folders),
            Some(pattern) if is_glob(pattern) => {
                let glob = GlobBuilder::new(pattern).literal_separator(true).build();
                let matcher = glob.map_err(|error| error.kind().to_string())?.compile_matcher();
                Ok(Name::Glob { matcher, hidden: pattern.starts_with('.') })
            }
            _ => Ok(Name::Literal(name.to_owned())),
        }
    }
}

/// Adds the files below `folder` that `names` lead to.
fn find(base: &Path, folder: PathBuf, names: &[Name], found: &mut BTreeSet<String>) -> std::io::Result<()> {
    let Some((name, rest)) = names.split_first() else {
        if base.join(&folder).is_file() {
            found.extend(folder.to_str().map(str::to_owned));
        }
        return Ok(());
    };
    if let Name::Literal(name) = name {
        return find(base, folder.join(name), rest, found);
    }
    if matches!(name, Name::Folders) {
        find(base, folder.clone(), rest, found)?;
    }
    let place = base.join(&folder);
    // A pattern may lead through names that are not folders: no file is below those.
    if !place.is_dir() {
        return Ok(());
    }
    for entry in std::fs::read_dir(&place)? {
        let entry = entry?;
        let path = folder.join(entry.file_name());
        let is_hidden = entry.file_name().as_encoded_bytes().starts_with(b".");
        match name {
            Name::Folders if is_hidden => {}
            // A link could lead in a circle.
            Name::Folders if entry.file_type()?.is_dir() => find(base, path, names, found)?,
            // `**` at the end stands for all files.
            Name::Folders if rest.is_empty() => find(base, path, rest, found)?,
            Name::Glob { matcher, hidden } if (*hidden || !is_hidden) && matcher.is_match(entry.file_name()) => {
                find(base, path, rest, found)?;
            }
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_glob_gives_the_files_of_its_folder_sorted_bytewise() {
        let folder = tempfile::tempdir().expect("a folder");
        for name in ["b.csv", "a.csv", "B.csv", "a.txt"] {
            std::fs::write(folder.path().join(name), "x\n1\n").expect("written");
        }
        std::fs::create_dir(folder.path().join("deep")).expect("a folder");
        std::fs::write(folder.path().join("deep/c.csv"), "x\n1\n").expect("written");
        assert_eq!(expand(folder.path(), "*.csv").expect("found"), ["B.csv", "a.csv", "b.csv"]);
        assert_eq!(expand(folder.path(), "**/*.csv").expect("found"), ["B.csv", "a.csv", "b.csv", "deep/c.csv"]);
        let above = format!("deep/../{}", "[ab].csv");
        assert_eq!(expand(folder.path(), &above).expect("found"), ["deep/../a.csv", "deep/../b.csv"]);
        let none = expand(folder.path(), "*.parquet").expect_err("none");
        assert!(none.to_string().contains("no file has such a name"), "{none}");
    }

    #[test]
    fn a_glob_leaves_out_hidden_files_and_folders_unless_it_has_a_dot_there() {
        let folder = tempfile::tempdir().expect("a folder");
        for file in ["a.csv", "._a.csv", ".b.csv", "deep/c.csv", "deep/.d.csv", ".cache/e.csv", ".cache/deep/f.csv"] {
            let path = folder.path().join(file);
            std::fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
            std::fs::write(path, "x\n1\n").expect("written");
        }
        let found = |pattern: &str| expand(folder.path(), pattern).expect(pattern).join(" ");
        assert_eq!(found("*.csv"), "a.csv");
        assert_eq!(found("[.a]*.csv"), "a.csv");
        assert_eq!(found("**/*.csv"), "a.csv deep/c.csv");
        assert_eq!(found("**"), "a.csv deep/c.csv");
        assert_eq!(found("*/*.csv"), "deep/c.csv");
        assert_eq!(found(".*.csv"), "._a.csv .b.csv");
        assert_eq!(found("{.,}*.csv"), "._a.csv .b.csv a.csv");
        assert_eq!(found("{deep/,.cache/,}{c,e,a,.b}.csv"), ".b.csv .cache/e.csv a.csv deep/c.csv");
        assert_eq!(found(".cache/*.csv"), ".cache/e.csv");
        assert_eq!(found(".c*/**/*.csv"), ".cache/deep/f.csv .cache/e.csv");
        assert_eq!(found("**/.*.csv"), "._a.csv .b.csv deep/.d.csv");
        assert_eq!(found("./*.csv"), "./a.csv");
        assert_eq!(found("deep/../*.csv"), "deep/../a.csv");
        let absolute = folder.path().join("*.csv");
        assert_eq!(found(absolute.to_str().expect("text")), folder.path().join("a.csv").to_str().expect("text"));
        let hidden_only = expand(folder.path(), "*/.e.csv").expect_err("none");
        assert!(hidden_only.to_string().contains("no file has such a name"), "{hidden_only}");
    }

    #[test]
    fn nothing_outside_of_the_data_root_is_named() {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path().join("root");
        std::fs::create_dir_all(root.join("deep")).expect("a folder");
        for file in ["root/a.csv", "root/deep/b.csv", "secret.csv"] {
            std::fs::write(folder.path().join(file), "x\n1\n").expect("written");
        }
        std::os::unix::fs::symlink("../secret.csv", root.join("link.csv")).expect("linked");
        std::os::unix::fs::symlink("a.csv", root.join("inside.csv")).expect("linked");
        std::os::unix::fs::symlink("..", root.join("up")).expect("linked");
        let inside = root.join("a.csv");
        for path in ["a.csv", "deep/b.csv", "inside.csv", "./a.csv", inside.to_str().expect("text")] {
            let found = resolve_within(&root, path).expect(path);
            assert!(found.starts_with(std::fs::canonicalize(&root).expect("there")), "{path}");
        }
        let outside = folder.path().join("secret.csv");
        for path in
            ["../secret.csv", "deep/../../secret.csv", "deep/../a.csv", "link.csv", "up/secret.csv", "/etc/passwd"]
        {
            let error = resolve_within(&root, path).expect_err(path).to_string();
            assert!(error.contains("data root"), "{path}: {error}");
        }
        assert!(resolve_within(&root, outside.to_str().expect("text")).is_err());
        assert!(resolve_within(&root, "missing.csv").expect_err("missing").to_string().contains("No such file"));
    }

    #[test]
    fn a_file_whose_name_looks_like_a_glob_is_that_file() {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("part[1].csv"), "x\n1\n").expect("written");
        assert_eq!(expand(folder.path(), "part[1].csv").expect("found"), ["part[1].csv"]);
    }
}
