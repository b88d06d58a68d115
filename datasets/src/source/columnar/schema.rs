//! Arrow schemas as files have them, in the flatbuffers of Arrow IPC.
//!
//! polars can't parse some types and stops the program at others, whether their columns are used or
//! not. So such a column is taken out of the schema before polars sees it. In an IPC file its
//! buffers stay in every record batch; there, columns that no one reads stand for it, with as many
//! buffers.

use polars::prelude::ArrowSchema;
use polars_arrow::datatypes::Metadata;
use polars_arrow::io::ipc::IpcSchema;
use polars_arrow::io::ipc::format::ipc;
use polars_arrow::io::ipc::format::ipc::planus::{Builder, ReadAsRoot};
use polars_arrow::io::ipc::read::deserialize_schema;

use super::{Guarded, guarded};

/// The deepest nesting of a type.
const DEPTH_MAX: usize = 64;

/// A schema without what polars can't parse.
pub(crate) struct Schema {
    /// By column of the file: its place in `arrow`, or what it holds instead, for people.
    pub columns: Vec<(String, Result<usize, String>)>,
    pub arrow: ArrowSchema,
    pub ipc: IpcSchema,
    /// The fields that are left, as the file has them.
    pub kept: Vec<ipc::Field>,
}

impl Schema {
    /// The schema of a flatbuffers message. `in_batches` says whether its columns' buffers stand in
    /// record batches.
    pub fn of_message(message: &[u8], in_batches: bool) -> Result<Self, String> {
        let message = ipc::MessageRef::read_as_root(message).map_err(|e| e.to_string())?;
        match message.header().map_err(|e| e.to_string())? {
            Some(ipc::MessageHeaderRef::Schema(schema)) => Self::new(schema, in_batches),
            _ => Err("the schema is missing".to_owned()),
        }
    }

    /// The schema of a flatbuffers table.
    pub fn new(schema: ipc::SchemaRef<'_>, in_batches: bool) -> Result<Self, String> {
        let fields = schema.fields().map_err(|e| e.to_string())?.ok_or("the schema has no fields")?;
        if schema.endianness().map_err(|e| e.to_string())? == ipc::Endianness::Big {
            return Err("its numbers are big-endian; write it on a little-endian machine".to_owned());
        }
        let (mut columns, mut kept) = (Vec::new(), Vec::new());
        for field in fields {
            let field = field.map_err(|e| e.to_string())?;
            check_depth(&field, 0)?;
            let field = ipc::Field::try_from(field).map_err(|e| format!("a column has an unknown type ({e})"))?;
            let name = field.name.clone().unwrap_or_default();
            match blocked(&field) {
                None => {
                    columns.push((name, Ok(kept.len())));
                    kept.push(field);
                }
                Some(what) => {
                    columns.push((name, Err(what)));
                    if in_batches {
                        stand_ins(&field, &mut kept);
                    }
                }
            }
        }
        let (arrow, ipc, _) = parse(kept.clone())?;
        if arrow.len() != kept.len() {
            return Err(match twice(&columns) {
                Some(name) => format!("two columns are named `{name}`"),
                None => "two columns have one name".to_owned(),
            });
        }
        Ok(Self { columns, arrow, ipc, kept })
    }
}

/// A name that two columns have.
pub(crate) fn twice<T>(columns: &[(String, T)]) -> Option<&str> {
    let mut seen = std::collections::HashSet::new();
    columns.iter().map(|(name, _)| name.as_str()).find(|name| !seen.insert(*name))
}

fn check_depth(field: &ipc::FieldRef<'_>, depth: usize) -> Result<(), String> {
    if depth > DEPTH_MAX {
        return Err(format!("a column's type is nested more than {DEPTH_MAX} deep"));
    }
    for child in field.children().map_err(|e| e.to_string())?.into_iter().flatten() {
        check_depth(&child.map_err(|e| e.to_string())?, depth + 1)?;
    }
    Ok(())
}

/// A flatbuffers message with a schema of these fields.
pub(crate) fn message(fields: Vec<ipc::Field>) -> Vec<u8> {
    let schema = ipc::Schema { fields: Some(fields), ..Default::default() };
    let header = Some(ipc::MessageHeader::Schema(Box::new(schema)));
    let message = ipc::Message { version: ipc::MetadataVersion::V5, header, ..Default::default() };
    Builder::new().finish(&message, None).to_vec()
}

fn parse(fields: Vec<ipc::Field>) -> Guarded<(ArrowSchema, IpcSchema, Option<Metadata>)> {
    let message = message(fields);
    guarded(|| deserialize_schema(&message))
}

/// What a column holds, if polars can't parse its type or stops at it.
fn blocked(field: &ipc::Field) -> Option<String> {
    let extension = field.custom_metadata.iter().flatten().find(|entry| {
        entry.key.as_deref() == Some("ARROW:extension:name")
            && entry.value.as_deref().is_some_and(|name| !name.is_empty())
    });
    if let Some(name) = extension.and_then(|entry| entry.value.as_deref()) {
        return Some(format!("extension type `{name}`"));
    }
    let own = match &field.type_ {
        None => Some("no type"),
        Some(ipc::Type::RunEndEncoded(_)) => Some("run-end encoded values"),
        Some(ipc::Type::ListView(_) | ipc::Type::LargeListView(_)) => Some("list_view"),
        Some(ipc::Type::Union(_)) => Some("union"),
        Some(_) => None,
    };
    if let Some(what) = own {
        return Some(what.to_owned());
    }
    let inside = field.children.iter().flatten().find_map(blocked);
    if let Some(inside) = inside {
        return Some(format!("{} with {inside} in it", outer(field)));
    }
    parse(vec![field.clone()]).err().map(|_| "an unknown type".to_owned())
}

fn outer(field: &ipc::Field) -> &'static str {
    match &field.type_ {
        Some(ipc::Type::Struct(_)) => "struct",
        Some(ipc::Type::Map(_)) => "map",
        _ => "list",
    }
}

/// Adds columns with the nodes and buffers of `field` in a record batch.
fn stand_ins(field: &ipc::Field, columns: &mut Vec<ipc::Field>) {
    use ipc::Type;

    let no_buffer = || Type::Null(Box::default());
    let one_buffer = || Type::Struct(Box::default());
    let two_buffers = || Type::Bool(Box::default());
    let three_buffers = || Type::LargeUtf8(Box::default());
    let type_ = match &field.type_ {
        _ if field.dictionary.is_some() => two_buffers(),
        Some(Type::Null(_) | Type::RunEndEncoded(_)) => no_buffer(),
        Some(Type::Struct(_) | Type::FixedSizeList(_)) => one_buffer(),
        Some(Type::Union(union)) if union.mode == ipc::UnionMode::Sparse => one_buffer(),
        Some(
            Type::Utf8(_)
            | Type::LargeUtf8(_)
            | Type::Binary(_)
            | Type::LargeBinary(_)
            | Type::ListView(_)
            | Type::LargeListView(_),
        ) => three_buffers(),
        Some(Type::Utf8View(_) | Type::BinaryView(_)) => Type::BinaryView(Box::default()),
        _ => two_buffers(),
    };
    // No file has such a name: it would be two columns.
    let name = Some(format!("\u{0}{}", columns.len()));
    columns.push(ipc::Field {
        name,
        nullable: true,
        type_: Some(type_),
        children: Some(Vec::new()),
        ..Default::default()
    });
    if field.dictionary.is_none() {
        field.children.iter().flatten().for_each(|child| stand_ins(child, columns));
    }
}
