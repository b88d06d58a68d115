//! Experiments on small tables that a test writes.
#![allow(dead_code, missing_docs)]

use std::path::{Path, PathBuf};

use datasets::{DataError, Prepared, Store};
use experiment::Loaded;

/// A folder with an experiment and its tables.
pub struct Case {
    folder: tempfile::TempDir,
}

impl Case {
    pub fn new(files: &[(&str, &str)]) -> Self {
        let case = Case { folder: tempfile::tempdir().expect("a folder") };
        for (name, text) in files {
            case.write(name, text.as_bytes());
        }
        case
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    pub fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        std::fs::write(&path, bytes).expect("written");
        path
    }

    /// Loads an experiment with these tables. It needs no name.
    pub fn load(&self, text: &str) -> Loaded {
        let path = self.write("experiment.toml", format!("name = \"test\"\n{text}").as_bytes());
        experiment::load(&path, &[], &experiment::UncheckedModel).unwrap_or_else(|e| panic!("{e}"))
    }

    pub fn prepare(&self, text: &str) -> Prepared {
        datasets::prepare(&self.load(text)).unwrap_or_else(|e| panic!("{e}"))
    }

    /// The message with which an experiment is refused.
    pub fn refused(&self, text: &str) -> String {
        self.refusal(text).to_string()
    }

    pub fn refusal(&self, text: &str) -> DataError {
        datasets::prepare(&self.load(text)).expect_err("the experiment is refused")
    }

    pub fn store(&self, prepared: &Prepared) -> Store {
        Store::open(prepared.plan.clone(), self.path()).unwrap_or_else(|e| panic!("{e}"))
    }
}

/// The folder of the real tables.
pub fn data() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("data")
}

/// `rows` rows of a CSV table: `id` counts from 0, `x` and `y` are numbers, `colour` is text,
/// `label` is one of three classes.
pub fn table(rows: usize) -> String {
    let mut text = "id,x,y,colour,label\n".to_owned();
    for i in 0..rows {
        let colour = ["red", "green", "blue"][i * 7 % 3];
        let label = ["a", "b", "c"][i % 3];
        text.push_str(&format!("{i},{},{},{colour},{label}\n", (i * 37 % 101) as f64 / 4.0, (i * i % 17) as f64 - 3.0));
    }
    text
}

/// An experiment on `t.csv` with one multiclass task; `more` goes into its dataset.
pub fn experiment(more: &str) -> String {
    format!(
        "[dataset.t]\npath = \"t.csv\"\n{more}\n[task.label]\ndataset = \"t\"\ntarget = \"label\"\nkind = \"multiclass\"\n"
    )
}
