"""The benchmark's workloads, in one place for both sides.

Every task has its own table: 20,000 rows of standard normal features and one of ten classes. A step
draws the same number of rows from each table, runs them through one trunk and a linear head for
each task, and updates all parameters with Adam.
"""

from dataclasses import dataclass

ROWS = 20_000
CLASSES = 10
LEARNING_RATE = 1e-3


@dataclass(frozen=True)
class Workload:
    features: int
    trunk: tuple
    tasks: int
    rows_per_task: int
    steps: int  # long enough to time: a few seconds

    @property
    def rows_per_step(self):
        return self.tasks * self.rows_per_task


WORKLOADS = {
    "small": Workload(features=64, trunk=(128, 128), tasks=3, rows_per_task=64, steps=3000),
    "mid": Workload(features=256, trunk=(512, 512, 512), tasks=4, rows_per_task=256, steps=200),
    "wide": Workload(features=512, trunk=(1024, 1024, 1024), tasks=4, rows_per_task=256, steps=60),
}
