//! Where the experiment's paths lead: the one place that turns a path of the experiment file into a
//! file of this machine.
//!
//! A relative path is relative to the experiment file's folder, on a worker elsewhere to its data
//! root. A worker reads only what lies below that root, whatever a coordinator asks for.

use std::path::{Component, Path, PathBuf};

use globset::GlobBuilder;

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
/// are understood too.
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
