"""The peer: multi-task training with PyTorch's DistributedDataParallel over gloo, one thread a
process.

usage: ddp_mtl.py WORKLOAD PROCESSES STEPS, prints one JSON object

The batch of a step is divided among the processes. Each process draws its own rows from every
task's table. It runs the trunk once for each task: the tables differ, so there is no shared forward
pass. It runs one backward pass through the sum of the losses, while DDP averages the gradients, and
updates with Adam. The clock starts after ten steps and a barrier, and stops at a barrier.
"""

import json
import os
import resource
import socket
import sys
import time

import torch
from torch import distributed, multiprocessing, nn
from torch.nn.functional import cross_entropy
from torch.nn.parallel import DistributedDataParallel

from workloads import CLASSES, LEARNING_RATE, ROWS, WORKLOADS

WARM_UP_STEPS = 10


class HardSharing(nn.Module):
    """One trunk, a linear head a task."""

    def __init__(self, workload):
        super().__init__()
        widths = (workload.features, *workload.trunk)
        hidden = [part for pair in zip(widths, widths[1:]) for part in (nn.Linear(*pair), nn.ReLU())]
        self.trunk = nn.Sequential(*hidden)
        self.heads = nn.ModuleList([nn.Linear(widths[-1], CLASSES) for _ in range(workload.tasks)])

    def forward(self, feeds):
        return [head(self.trunk(rows)) for head, rows in zip(self.heads, feeds)]


def train(rank, processes, name, steps, port):
    began = time.perf_counter()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    workload = WORKLOADS[name]
    if processes > 1:
        address = f"tcp://127.0.0.1:{port}"
        distributed.init_process_group("gloo", init_method=address, rank=rank, world_size=processes)
    model = HardSharing(workload)
    network = DistributedDataParallel(model) if processes > 1 else model
    optimizer = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE)
    tables = [torch.randn(ROWS, workload.features) for _ in range(workload.tasks)]
    labels = [torch.randint(CLASSES, (ROWS,)) for _ in range(workload.tasks)]
    share = workload.rows_per_task // processes

    def step():
        rows = torch.randint(ROWS, (share,))
        optimizer.zero_grad()
        outputs = network([table[rows] for table in tables])
        sum(cross_entropy(output, label[rows]) for output, label in zip(outputs, labels)).backward()
        optimizer.step()

    def wait_for_all():
        if processes > 1:
            distributed.barrier()

    step()
    startup_seconds = time.perf_counter() - began
    for _ in range(WARM_UP_STEPS - 1):
        step()
    wait_for_all()
    began = time.perf_counter()
    for _ in range(steps):
        step()
    wait_for_all()
    seconds = time.perf_counter() - began

    if rank == 0:
        report = {
            "rows_per_second": steps * workload.rows_per_step / seconds,
            "step_ms": 1e3 * seconds / steps,
            "startup_seconds": startup_seconds,
            "peak_rss_bytes": 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
            "parameters": sum(p.numel() for p in model.parameters()),
        }
        print(json.dumps(report), flush=True)
    if processes > 1:
        distributed.destroy_process_group()


def main():
    name, processes, steps = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    if processes == 1:
        train(0, 1, name, steps, port)
    else:
        multiprocessing.spawn(train, (processes, name, steps, port), nprocs=processes)


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
