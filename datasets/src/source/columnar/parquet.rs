//! Parquet files.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Cursor;
use std::path::Path;
use std::sync::Arc;

use base64::Engine;
use polars::polars_utils::mmap::MMapSemaphore;
use polars::prelude::{PolarsResult, Series};
use polars_arrow::array::Array;
use polars_arrow::datatypes::{ArrowDataType, Field, Metadata};
use polars_buffer::Buffer;
use polars_parquet::parquet::page::CompressedPage;
use polars_parquet::read::schema::{parquet_to_arrow_schema, read_schema_from_metadata};
use polars_parquet::read::{
    BasicDecompressor, ColumnChunkMetadata, FileMetadata, Filter, PageReader, ParquetType, PrimitiveLogicalType,
    RowGroupMetadata, column_iter_to_arrays, n_columns, read_metadata,
};
use rayon::prelude::*;

use super::schema::Schema;
use super::{Physical, Visit, check_size, guarded, series, types};

/// The key under which writers keep the Arrow schema.
const ARROW_SCHEMA: &str = "ARROW:schema";

/// A file with its schema.
pub(super) struct File {
    bytes: Buffer<u8>,
    metadata: Arc<FileMetadata>,
    /// By column: its name, what it is, and whether its lists hold bytes.
    pub columns: Vec<(String, (Physical, bool))>,
    fields: BTreeMap<String, Field>,
}

impl File {
    pub fn open(path: &Path) -> Result<Self, String> {
        let file = std::fs::File::open(path).map_err(|e| e.to_string())?;
        let bytes = guarded(|| MMapSemaphore::new_from_file(&file)).map(Buffer::from_owner)?;
        if !bytes.starts_with(b"PAR1") {
            return Err("it does not begin with `PAR1`".to_owned());
        }
        let metadata = guarded(|| read_metadata(&mut Cursor::new(bytes.as_slice())))?;
        let (columns, fields) = columns(&metadata)?;
        Ok(Self { bytes, metadata: Arc::new(metadata), columns, fields })
    }

    /// Rows of each row group.
    pub fn groups(&self) -> Vec<u64> {
        self.metadata.row_groups.iter().map(|group| group.num_rows() as u64).collect()
    }

    /// Some of the columns.
    pub fn select(self, wanted: &[&str]) -> Result<Columns, String> {
        let field = |name: &&str| self.fields.get(*name).cloned().ok_or_else(|| format!("no column `{name}`"));
        let fields = wanted.iter().map(field).collect::<Result<Vec<_>, _>>()?;
        Ok(Columns { bytes: self.bytes, metadata: self.metadata, fields, checked: BTreeSet::new() })
    }
}

type Described = (Vec<(String, (Physical, bool))>, BTreeMap<String, Field>);

/// What the columns are, and those that can be read.
fn columns(metadata: &FileMetadata) -> Result<Described, String> {
    let own = guarded(|| Ok(parquet_to_arrow_schema(metadata.schema().fields())))?;
    let entries = metadata.key_value_metadata().iter().flatten();
    let arrow = entries.filter(|entry| entry.key == ARROW_SCHEMA).find_map(|entry| entry.value.as_deref());
    let (mut blocked, mut arrow) = match arrow {
        Some(encoded) => arrow_schema(encoded)?,
        None => (BTreeMap::new(), BTreeMap::new()),
    };
    let (mut columns, mut fields) = (Vec::new(), BTreeMap::new());
    for parquet in metadata.schema().fields() {
        let name = parquet.name().to_owned();
        let field = arrow.remove(&name).or_else(|| own.get(&name).map(|own| half(own, parquet).unwrap_or(own.clone())));
        let physical = match (blocked.remove(&name), &field) {
            (Some(what), _) => Physical::Other(what),
            (None, None) => Physical::Other("nothing".to_owned()),
            (None, Some(field)) => types::physical(&field.dtype),
        };
        let holds_bytes = field.as_ref().is_some_and(|field| types::holds_bytes(&field.dtype));
        if let Some(field) = field
            && !matches!(physical, Physical::Other(_))
        {
            fields.insert(name.clone(), field);
        }
        columns.push((name, (physical, holds_bytes)));
    }
    Ok((columns, fields))
}

/// The field of a column of numbers in half precision, or of lists of such numbers, in a file
/// without an Arrow schema.
fn half(field: &Field, parquet: &ParquetType) -> Option<Field> {
    let mut leaf = parquet;
    while let ParquetType::GroupType { fields, .. } = leaf {
        let [only] = fields.as_slice() else { return None };
        leaf = only;
    }
    let ParquetType::PrimitiveType(primitive) = leaf else { return None };
    if primitive.logical_type != Some(PrimitiveLogicalType::Float16) {
        return None;
    }
    let data_type = match &field.dtype {
        ArrowDataType::FixedSizeBinary(2) => ArrowDataType::Float16,
        ArrowDataType::LargeList(inner) if inner.dtype == ArrowDataType::FixedSizeBinary(2) => {
            let inner = Field::new(inner.name.clone(), ArrowDataType::Float16, inner.is_nullable);
            ArrowDataType::LargeList(Box::new(inner))
        }
        _ => return None,
    };
    Some(Field::new(field.name.clone(), data_type, field.is_nullable))
}

type ArrowColumns = (BTreeMap<String, String>, BTreeMap<String, Field>);

/// The columns of an Arrow schema that polars can't parse, with what they hold; and the others.
fn arrow_schema(encoded: &str) -> Result<ArrowColumns, String> {
    let wrong = |what: String| format!("its Arrow schema can't be read: {what}");
    let engine = base64::engine::general_purpose::STANDARD;
    let message = engine.decode(encoded).map_err(|e| wrong(e.to_string()))?;
    let message = match message.get(..4) {
        Some([0xff, 0xff, 0xff, 0xff]) => message.get(8..).unwrap_or_default(),
        _ => &message,
    };
    let schema = Schema::of_message(message, false).map_err(wrong)?;
    let blocked =
        schema.columns.iter().filter_map(|(name, place)| Some((name.clone(), place.as_ref().err()?.clone()))).collect();
    // What polars makes of a schema that it reads itself: strings and lists of one layout.
    let encoded = engine.encode(super::schema::message(schema.kept));
    let mut entries = Metadata::from([(ARROW_SCHEMA.into(), encoded.into())]);
    let arrow = guarded(|| read_schema_from_metadata(&mut entries)).map_err(wrong)?.unwrap_or_default();
    Ok((blocked, arrow.iter().map(|(name, field)| (name.to_string(), field.clone())).collect()))
}

/// Some columns of a file.
pub(crate) struct Columns {
    bytes: Buffer<u8>,
    metadata: Arc<FileMetadata>,
    fields: Vec<Field>,
    /// Row groups whose pages were looked at.
    checked: BTreeSet<usize>,
}

impl Columns {
    pub fn each(&mut self, first: u64, rows: u64, visit: &mut Visit<'_>) -> Result<(), String> {
        let metadata = Arc::clone(&self.metadata);
        let mut group_start = 0;
        for (number, group) in metadata.row_groups.iter().enumerate() {
            let group_end = group_start + group.num_rows() as u64;
            let (start, end) = (first.max(group_start), (first + rows).min(group_end));
            if start < end {
                if self.checked.insert(number) {
                    self.fields.iter().try_for_each(|field| self.check(group, field))?;
                }
                let range = (start - group_start) as usize..(end - group_start) as usize;
                let read = |field: &Field| {
                    let arrays = guarded(|| self.arrays(group, field, Filter::Range(range.clone())))?;
                    series(field, arrays)
                };
                let columns = self.fields.par_iter().map(read).collect::<Result<Vec<Series>, String>>()?;
                columns.iter().enumerate().try_for_each(|(number, series)| visit(number, series))?;
            }
            group_start = group_end;
        }
        Ok(())
    }

    /// The bytes of the chunks of a column in a row group.
    fn chunks<'a>(
        &self,
        group: &'a RowGroupMetadata,
        field: &Field,
    ) -> Result<Vec<(&'a ColumnChunkMetadata, Buffer<u8>)>, String> {
        let chunks = group.columns_under_root_iter(&field.name).ok_or_else(|| format!("no column `{}`", field.name))?;
        let damaged = || format!("column `{}`: its bytes are not in the file: it is cut off, or damaged", field.name);
        chunks
            .map(|chunk| {
                let range = guarded(|| Ok(chunk.byte_range())).map_err(|_| damaged())?;
                if range.end > self.bytes.len() as u64 || range.start > range.end {
                    return Err(damaged());
                }
                Ok((chunk, self.bytes.clone().sliced(range.start as usize..range.end as usize)))
            })
            .collect()
    }

    /// Looks at the headers of a column's pages, before any is decompressed.
    fn check(&self, group: &RowGroupMetadata, field: &Field) -> Result<(), String> {
        let chunks = self.chunks(group, field)?;
        if n_columns(&field.dtype) != chunks.len() {
            return Err(format!("column `{}` has {} parts: the file is damaged", field.name, chunks.len()));
        }
        let (mut bytes, mut values) = (0u64, 0u64);
        for (chunk, data) in chunks {
            let pages = PageReader::new(Cursor::new(data), chunk, Vec::new(), usize::MAX);
            guarded(|| {
                for page in pages {
                    if let CompressedPage::Data(page) = page? {
                        bytes = bytes.saturating_add(page.uncompressed_size() as u64);
                        values = values.saturating_add(page.num_values() as u64);
                    }
                }
                Ok(())
            })
            .map_err(|reason| format!("column `{}`: {reason}", field.name))?;
        }
        let nested = matches!(field.dtype, ArrowDataType::LargeList(_) | ArrowDataType::FixedSizeList(..));
        let decoded = if nested { bytes.max(values.saturating_mul(8)) } else { bytes };
        check_size(decoded, self.bytes.len() as u64, &format!("column `{}`", field.name))
    }

    fn arrays(&self, group: &RowGroupMetadata, field: &Field, rows: Filter) -> PolarsResult<Vec<Box<dyn Array>>> {
        let chunks =
            self.chunks(group, field).map_err(|reason| polars::prelude::polars_err!(ComputeError: "{reason}"))?;
        let (mut pages, mut types) = (Vec::new(), Vec::new());
        for (chunk, data) in chunks {
            pages.push(BasicDecompressor::new(
                PageReader::new(Cursor::new(data), chunk, Vec::new(), usize::MAX),
                Vec::new(),
            ));
            types.push(&chunk.descriptor().descriptor.primitive_type);
        }
        Ok(column_iter_to_arrays(pages, types, field.clone(), Some(rows))?.0)
    }
}
