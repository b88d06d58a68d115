//! Where the experiment's paths lead: the one place that turns a path of the experiment file into a file of this machine.
//!
//! A relative path is relative to the experiment file's folder, on a worker elsewhere to its data root. What a coordinator may ask a
//! worker to read is to be limited here.

use std::path::{Path, PathBuf};

use globset::GlobBuilder;

use crate::DataError;

/// The file that `path` names below `base`.
pub(crate) fn resolve(base: &Path, path: &str) -> PathBuf {
    base.join(path)
}

/// The files that a path or glob names, as paths like it, sorted bytewise.
///
/// In a glob, `*` and `?` stand for part of one name and `**` for any folders; `[abc]` and `{a,b}` are understood too.
pub(crate) fn expand(base: &Path, pattern: &str) -> Result<Vec<String>, DataError> {
    if base.join(pattern).is_file() || !pattern.contains(['*', '?', '[', '{']) {
        return Ok(vec![pattern.to_owned()]);
    }
    let fail = |reason: String| DataError::File { file: pattern.into(), reason };
    let glob = GlobBuilder::new(pattern).literal_separator(true).build().map_err(|e| fail(e.kind().to_string()))?;
    let matcher = glob.compile_matcher();
    let fixed: PathBuf = Path::new(pattern).components().take_while(|c| !is_glob(c.as_os_str())).collect();
    let mut found = Vec::new();
    walk(base, &fixed, &mut |path| {
        if matcher.is_match(path) {
            found.extend(path.to_str().map(str::to_owned));
        }
    })
    .map_err(|e| fail(e.to_string()))?;
    found.sort_unstable();
    if found.is_empty() {
        return Err(fail("no file has such a name".to_owned()));
    }
    Ok(found)
}

fn is_glob(name: &std::ffi::OsStr) -> bool {
    name.to_string_lossy().contains(['*', '?', '[', '{'])
}

fn walk(base: &Path, folder: &Path, visit: &mut impl FnMut(&Path)) -> std::io::Result<()> {
    for entry in std::fs::read_dir(base.join(folder))? {
        let entry = entry?;
        let path = folder.join(entry.file_name());
        let kind = entry.file_type()?;
        if kind.is_dir() {
            walk(base, &path, visit)?;
        } else if kind.is_file() || base.join(&path).is_file() {
            visit(&path);
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
    fn a_file_whose_name_looks_like_a_glob_is_that_file() {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("part[1].csv"), "x\n1\n").expect("written");
        assert_eq!(expand(folder.path(), "part[1].csv").expect("found"), ["part[1].csv"]);
    }
}
