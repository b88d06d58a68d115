"""Writes a workload's tables (Parquet) and its experiment file.

usage: tables.py WORKLOAD FOLDER, needs numpy and pyarrow
"""

import sys
from pathlib import Path

import numpy
import pyarrow
from pyarrow import parquet

from workloads import CLASSES, LEARNING_RATE, ROWS, WORKLOADS


def table(workload, task):
    random = numpy.random.default_rng(task)
    features = random.standard_normal((workload.features, ROWS), dtype=numpy.float32)
    columns = {f"x{i:04}": column for i, column in enumerate(features)}
    columns["label"] = random.integers(CLASSES, size=ROWS)
    return pyarrow.table(columns)


def experiment(name, workload):
    """V = 2, so that two workers have one microbatch each. Nothing is split off: all rows train, as the peer's do."""
    parts = [
        f"# The benchmark's workload {name!r}; written by scripts/bench/tables.py.",
        f'name = "bench-{name}"\n',
    ]
    for task in range(workload.tasks):
        parts.append(
            f'[dataset.table{task}]\npath = "table{task}.parquet"\nsplit = {{ validation = 0.0, test = 0.0 }}\n\n'
            f'[task.task{task}]\ndataset = "table{task}"\ntarget = "label"\nkind = "multiclass"\n'
        )
    parts.append(
        f'[model]\ntrunk = {{ kind = "mlp", hidden = {list(workload.trunk)}, activation = "relu" }}\nencoder = "none"\n\n'
        f"[train]\nsteps = {workload.steps}\nbatch_size = {workload.rows_per_task}\nmicrobatches = 2\n"
        f'optimizer = {{ kind = "adam", learning_rate = {LEARNING_RATE} }}\n\n'
        "[cluster]\nworkers = 2\nthreads = 1\n"
    )
    return "\n".join(parts)


def main():
    name, folder = sys.argv[1], Path(sys.argv[2])
    workload = WORKLOADS[name]
    folder.mkdir(parents=True, exist_ok=True)
    for task in range(workload.tasks):
        parquet.write_table(table(workload, task), folder / f"table{task}.parquet")
    # Written last: the file means that the tables are complete.
    (folder / "experiment.toml").write_text(experiment(name, workload))


if __name__ == "__main__":
    main()
