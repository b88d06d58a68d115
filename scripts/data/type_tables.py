"""Writes datasets/tests/types: one table with a column of each Arrow type that another program may write.

Needs pyarrow and pandas (any recent version). Usage: python scripts/data/type_tables.py
"""

import decimal
import pathlib
import uuid

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.ipc as ipc
import pyarrow.parquet as pq

ROWS = 40
FOLDER = pathlib.Path(__file__).parents[2] / "datasets" / "tests" / "types"
rows = range(ROWS)


def extension(type_, storage):
    return pa.ExtensionArray.from_storage(type_, storage)


READ = {
    "x": pa.array([i / 8 for i in rows]),
    "half": pa.array(np.array([i / 8 for i in rows], dtype=np.float16)),
    "halves": pa.array([np.array([i / 8, 1], dtype=np.float16) for i in rows], pa.list_(pa.float16())),
    "half_pairs": pa.FixedSizeListArray.from_arrays(pa.array(np.arange(2 * ROWS, dtype=np.float16)), 2),
    "berlin": pa.array([1_600_000_000_000 + i for i in rows], pa.timestamp("ms", "Europe/Berlin")),
    "word": pa.array([f"w{i % 3}" for i in rows]).dictionary_encode(),
    "code": pa.array([i % 3 for i in rows]).dictionary_encode(),
    "view": pa.array([f"w{i % 3}" for i in rows], pa.string_view()),
    "decimal": pa.array([decimal.Decimal(i) / 8 for i in rows], pa.decimal128(38, 3)),
    "nothing": pa.nulls(ROWS),
    "y": pa.array([i % 2 for i in rows]),
}
IN_BOTH = {
    "uuid": pa.array([uuid.UUID(int=i).bytes for i in rows], pa.uuid()),
    "fixed": pa.array([bytes([i, 1, 2]) for i in rows], pa.binary(3)),
    "binary": pa.array([b"b"] * ROWS),
    "tensor": extension(
        pa.fixed_shape_tensor(pa.float32(), [2, 2]),
        pa.FixedSizeListArray.from_arrays(pa.array(np.arange(4 * ROWS, dtype=np.float32)), 4),
    ),
    "list_view": pa.array([[i] for i in rows], pa.list_view(pa.int64())),
    "large_list_view": pa.array([[i] for i in rows], pa.large_list_view(pa.int64())),
    "json": extension(pa.json_(), pa.array(["{}"] * ROWS)),
    "bool8": extension(pa.bool8(), pa.array([i % 2 for i in rows], pa.int8())),
    "period": pa.array(pd.period_range("2020-01", periods=ROWS, freq="M")),
    "wide_decimal": pa.array([decimal.Decimal(i) for i in rows], pa.decimal256(60, 2)),
    "map": pa.array([[("a", i)] for i in rows], pa.map_(pa.string(), pa.int64())),
    "struct": pa.array([{"a": i, "b": "b"} for i in rows]),
    "lists": pa.array([[[i]] for i in rows]),
    "texts": pa.array([["a"] for i in rows]),
}
IN_IPC = {
    "interval": pa.array([(1, i, 0) for i in rows], pa.month_day_nano_interval()),
    "run_ends": pa.RunEndEncodedArray.from_arrays(pa.array([20, ROWS], pa.int32()), pa.array([1, 2])),
    "dense_union": pa.UnionArray.from_dense(
        pa.array([0] * ROWS, pa.int8()), pa.array(rows, pa.int32()), [pa.array(rows), pa.array(["a"] * ROWS)]
    ),
    "sparse_union": pa.UnionArray.from_sparse(
        pa.array([0] * ROWS, pa.int8()), [pa.array(rows), pa.array(["a"] * ROWS)]
    ),
    "dictionary": pa.DictionaryArray.from_arrays(
        pa.array([i % 2 for i in rows], pa.int8()), pa.array([{"a": 1}, {"a": 2}])
    ),
}

# What can't be read stands before what is read, so that its buffers have to be skipped.
both = pa.table({**IN_BOTH, **READ})
every = pa.table({**IN_BOTH, **IN_IPC, **READ})
FOLDER.mkdir(exist_ok=True)
pq.write_table(both, FOLDER / "types.parquet", compression="zstd")
pq.write_table(both, FOLDER / "types_without_schema.parquet", compression="zstd", store_schema=False)
with ipc.new_file(FOLDER / "types.arrow", every.schema, options=ipc.IpcWriteOptions(compression="lz4")) as file:
    file.write_table(every, max_chunksize=16)
with ipc.new_stream(FOLDER / "types_stream.arrow", every.schema) as stream:
    stream.write_table(every, max_chunksize=16)
