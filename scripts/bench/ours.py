"""Our side of the benchmarks: the binary, the tables, one run."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent


def output(command, **options):
    done = subprocess.run([str(part) for part in command], stdout=subprocess.PIPE, text=True, **options)
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))}: exit code {done.returncode}")
    return done.stdout


def build():
    """The binary of the profile that tests and quick start use."""
    output(["cargo", "build", "--bin", "trunkline"], cwd=ROOT)
    metadata = output(["cargo", "metadata", "--format-version", "1", "--no-deps"], cwd=ROOT)
    return Path(json.loads(metadata)["target_directory"]) / "debug" / "trunkline"


def tables(name, python):
    folder = Path(os.environ.get("TRUNKLINE_CACHE", ROOT / ".cache")) / "bench" / name
    if not (folder / "experiment.toml").exists():
        output([python, HERE / "tables.py", name, folder])
    return folder / "experiment.toml"


def ours(binary, experiment, processes, more=()):
    with tempfile.TemporaryDirectory() as folder:
        command = [binary, "train", experiment, "--workers", processes, "--json", "--run-dir", Path(folder) / "run", *more]
        report = json.loads(output(command, stderr=subprocess.DEVNULL))
    memory = report["peak_rss_bytes"]
    return {
        "rows_per_second": report["rows_per_second"],
        "step_ms": report["step_ms_median"],
        "outside": report["outside_gradient_fraction"],
        "startup_seconds": report["startup_seconds"],
        "peaks": [memory["coordinator"], max(memory["workers"], default=0)],
        "parameters": report["parameters"],
    }
