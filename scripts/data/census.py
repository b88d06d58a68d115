"""Adds the column `never_married` (1 for a person who never was) to the table of the census.

    pip install pyarrow
    python3 scripts/data/census.py FROM.parquet datasets/data/census_income.parquet

FROM.parquet has the columns of UCI's Adult, among them `marital_status`.
"""

import sys

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq


def main():
    source, target = sys.argv[1:]
    table = pq.read_table(source)
    never = pc.equal(table["marital_status"], "Never-married").cast(pa.int8())
    pq.write_table(table.append_column("never_married", never), target, compression="zstd", compression_level=19)


main()
