"""Adds the column `odd` (1 for an odd digit) to a table of digits.

    pip install pyarrow
    python3 scripts/data/mnist.py FROM.parquet datasets/data/mnist_10k.parquet

FROM.parquet has the columns `image` (a list of 784 bytes) and `digit`.
"""

import sys

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq


def main():
    source, target = sys.argv[1:]
    table = pq.read_table(source)
    odd = pc.bit_wise_and(table["digit"], 1).cast(pa.int8())
    pq.write_table(table.append_column("odd", odd), target, compression="zstd", compression_level=19)


main()
