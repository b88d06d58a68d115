//! What a worker of a large table needs: `cargo run -p datasets --example memory [ROWS] [FORMAT]`.
//!
//! Writes a table (Parquet by default; or csv) of so many rows and ten columns, prepares it with
//! `order = "file"` and four microbatches, and then loads 4, 2 and 1 of the four partitions, each
//! in a process of its own, as 1, 2 and 4 workers would. Prints the peak of each process's resident
//! memory and the bytes of its encoded rows.
#![allow(clippy::print_stdout, clippy::disallowed_methods)]

use std::error::Error;
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Instant;

use datasets::{Plan, SplitName, Store};
use polars::prelude::*;

const COLUMNS: usize = 10;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [command, folder, partitions] = arguments.as_slice()
        && command == "load"
    {
        return load(Path::new(folder), partitions.parse()?);
    }
    let rows: usize = arguments.first().map_or(Ok(5_000_000), |rows| rows.parse())?;
    let format = arguments.get(1).map_or("parquet", String::as_str);
    let folder = tempfile::tempdir()?;
    let file = folder.path().join(format!("table.{format}"));
    write(&file, rows)?;
    println!("{rows} rows, {COLUMNS} columns, {} MiB as {format}", std::fs::metadata(&file)?.len() >> 20);
    let experiment = folder.path().join("experiment.toml");
    let text = format!(
        "name = \"memory\"\n[dataset.t]\npath = \"table.{format}\"\norder = \"file\"\n\
         [task.y]\ndataset = \"t\"\ntarget = \"y\"\nkind = \"regression\"\n"
    );
    std::fs::write(&experiment, text)?;
    let start = Instant::now();
    let prepared = datasets::prepare(&experiment::load(&experiment, &[], &experiment::UncheckedModel)?)?;
    let plan = serde_json::to_vec(&*prepared.plan)?;
    println!(
        "prepared in {:.1} s, the plan has {} bytes, peak {} MiB",
        start.elapsed().as_secs_f64(),
        plan.len(),
        peak()? >> 10
    );
    std::fs::write(folder.path().join("plan.json"), plan)?;
    for partitions in [4u32, 2, 1] {
        let status = Command::new(std::env::current_exe()?)
            .arg("load")
            .arg(folder.path())
            .arg(partitions.to_string())
            .status()?;
        if !status.success() {
            return Err("loading failed".into());
        }
    }
    Ok(())
}

/// A worker that holds the first partitions, draws batches and evaluates two chunks.
fn load(folder: &Path, partitions: u32) -> Result<(), Box<dyn Error>> {
    let plan: Plan = serde_json::from_slice(&std::fs::read(folder.join("plan.json"))?)?;
    let start = Instant::now();
    let store = Store::open(Arc::new(plan), folder)?;
    store.load_partitions(0, 0..partitions)?;
    let seconds = start.elapsed().as_secs_f64();
    let bytes = store.resident_bytes();
    for step in 0..100 {
        (0..partitions).try_for_each(|v| store.batch(0, step, v).map(|_| ()))?;
    }
    store.chunk(0, SplitName::Test, 0)?;
    println!(
        "{partitions} of 4 partitions: loaded in {seconds:.1} s, rows take {} MiB, peak {} MiB",
        bytes >> 20,
        peak()? >> 10
    );
    Ok(())
}

/// The peak of this process's resident memory in KiB.
fn peak() -> Result<u64, Box<dyn Error>> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).ok_or("no VmHWM")?;
    Ok(line.split_whitespace().nth(1).ok_or("no number")?.parse()?)
}

/// Writes the table in row groups, or pieces, of 100,000 rows.
fn write(path: &Path, rows: usize) -> Result<(), Box<dyn Error>> {
    let value = |row: usize, column: usize| {
        let bits = (row as u64)
            .wrapping_mul(0x9E37_79B9_7F4A_7C15)
            .wrapping_add(column as u64)
            .wrapping_mul(0xBF58_476D_1CE4_E5B9);
        (bits >> 40) as f64 / 16_777_216.0
    };
    if path.extension().is_some_and(|e| e == "csv") {
        let mut file = std::io::BufWriter::new(File::create(path)?);
        let names: Vec<String> = (0..COLUMNS).map(|c| format!("x{c}")).collect();
        writeln!(file, "{},y", names.join(","))?;
        for row in 0..rows {
            (0..COLUMNS).try_for_each(|c| write!(file, "{:.6},", value(row, c)))?;
            writeln!(file, "{:.6}", value(row, COLUMNS))?;
        }
        return Ok(file.flush()?);
    }
    let name = |c: usize| if c == COLUMNS { "y".to_owned() } else { format!("x{c}") };
    let column =
        |c: usize| Series::new(name(c).into(), (0..rows).map(|row| value(row, c) as f32).collect::<Vec<_>>()).into();
    let mut frame = DataFrame::new(rows, (0..=COLUMNS).map(column).collect())?;
    ParquetWriter::new(File::create(path)?).with_row_group_size(Some(100_000)).finish(&mut frame)?;
    Ok(())
}
