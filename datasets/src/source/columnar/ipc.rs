//! Arrow IPC: files, which have a footer, and streams, which are the same messages without it.

use std::collections::BTreeMap;
use std::io::{BufReader, Cursor, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::Arc;

use polars::prelude::Series;
use polars_arrow::array::Array;
use polars_arrow::io::ipc::format::ipc;
use polars_arrow::io::ipc::format::ipc::planus::{Builder, ReadAsRoot};
use polars_arrow::io::ipc::read::{Dictionaries, FileMetadata, read_batch, read_dictionary_block};

use super::schema::Schema;
use super::{Physical, Visit, check_size, guarded, series, types};

/// What a file begins with, and the end of it.
const MAGIC: &[u8] = b"ARROW1";
/// What stands before the length of a message; old writers leave it out.
const CONTINUATION: [u8; 4] = [0xff; 4];
/// The most bytes of a footer or of a message without its body.
const HEAD_BYTES_MAX: u64 = 1 << 28;

/// Where a message is.
#[derive(Debug, Clone, Copy)]
struct Place {
    offset: u64,
    /// Bytes of the message with its length.
    head: u64,
    body: u64,
}

/// A part of the rows.
struct Batch {
    place: Place,
    rows: u64,
}

/// A file with its schema.
pub(super) struct File {
    reader: BufReader<std::fs::File>,
    bytes: u64,
    schema: Schema,
    batches: Vec<Batch>,
    /// Dictionaries of the columns that can be read, by where they are.
    dictionaries: Vec<(i64, Place)>,
    /// Whether a dictionary holds for the batches behind it only.
    is_stream: bool,
    /// By column: its name, what it is, and whether its lists hold bytes.
    pub columns: Vec<(String, (Physical, bool))>,
}

impl File {
    pub fn open(path: &Path) -> Result<Self, String> {
        let file = std::fs::File::open(path).map_err(|e| e.to_string())?;
        let bytes = file.metadata().map_err(|e| e.to_string())?.len();
        let mut reader = BufReader::new(file);
        let mut first = Vec::new();
        reader.by_ref().take(8).read_to_end(&mut first).map_err(|e| e.to_string())?;
        if first.starts_with(b"FEA1") {
            return Err("it is Feather of version 1: write it again as version 2, or as Parquet".to_owned());
        }
        let is_stream = !first.starts_with(MAGIC);
        let messages = if is_stream { stream(&mut reader, bytes)? } else { footer(&mut reader, bytes)? };
        let Messages { schema, batches, dictionaries } = messages;
        let mut file = Self {
            reader,
            bytes,
            columns: columns(&schema),
            schema,
            batches: Vec::new(),
            dictionaries: Vec::new(),
            is_stream,
        };
        for place in batches {
            let head = file.head(place)?;
            let rows = match header(&head)? {
                ipc::MessageHeaderRef::RecordBatch(batch) => batch.length().map_err(|e| e.to_string())?,
                _ => return Err("a record batch is not where the footer says".to_owned()),
            };
            let rows = u64::try_from(rows).map_err(|_| "a record batch has less than no rows".to_owned())?;
            file.batches.push(Batch { place, rows });
        }
        let mut known = BTreeMap::new();
        dictionaries_of(&file.schema.ipc.fields, &mut known);
        for place in dictionaries {
            let head = file.head(place)?;
            let ipc::MessageHeaderRef::DictionaryBatch(batch) = header(&head)? else {
                return Err("a dictionary is not where the footer says".to_owned());
            };
            let id = batch.id().map_err(|e| e.to_string())?;
            if known.contains_key(&id) {
                if batch.is_delta().map_err(|e| e.to_string())? {
                    return Err("a dictionary comes in parts (deltas): write the file without them".to_owned());
                }
                file.dictionaries.push((id, place));
            }
        }
        Ok(file)
    }

    pub fn rows(&self) -> u64 {
        self.batches.iter().fold(0, |rows, batch| rows.saturating_add(batch.rows))
    }

    fn head(&mut self, place: Place) -> Result<Vec<u8>, String> {
        self.reader.seek(SeekFrom::Start(place.offset)).map_err(|e| e.to_string())?;
        Ok(message(&mut self.reader, self.bytes)?.map(|(head, _)| head).unwrap_or_default())
    }

    /// Some of the columns.
    pub fn select(self, wanted: &[&str]) -> Result<Columns, String> {
        let place = |name: &&str| {
            let found = self.schema.columns.iter().find(|(column, _)| column == name);
            found.and_then(|(_, place)| place.clone().ok()).ok_or_else(|| format!("no column `{name}`"))
        };
        let wanted = wanted.iter().map(place).collect::<Result<Vec<_>, _>>()?;
        let mut places = wanted.clone();
        places.sort_unstable();
        places.dedup();
        let of_place = |place: &usize| places.binary_search(place).expect("it is among them");
        let wanted = wanted.iter().map(of_place).collect();
        let metadata = FileMetadata {
            schema: Arc::new(self.schema.arrow),
            custom_schema_metadata: None,
            custom_metadata: None,
            ipc_schema: self.schema.ipc,
            blocks: self.batches.iter().map(|batch| batch.place.block()).collect(),
            dictionaries: None,
            size: self.bytes,
        };
        Ok(Columns {
            reader: self.reader,
            metadata,
            batches: self.batches,
            dictionaries: self.dictionaries,
            is_stream: self.is_stream,
            places,
            wanted,
            loaded: Loaded::default(),
            last: None,
        })
    }
}

impl Place {
    fn block(self) -> ipc::Block {
        // Places lie within the file, so they fit.
        ipc::Block { offset: self.offset as i64, meta_data_length: self.head as i32, body_length: self.body as i64 }
    }
}

fn columns(schema: &Schema) -> Vec<(String, (Physical, bool))> {
    let described = |(name, place): &(String, Result<usize, String>)| {
        let what = match place {
            Err(what) => (Physical::Other(what.clone()), false),
            Ok(place) => {
                let (_, field) = schema.arrow.get_at_index(*place).expect("the schema has it");
                (types::physical(&field.dtype), types::holds_bytes(&field.dtype))
            }
        };
        (name.clone(), what)
    };
    schema.columns.iter().map(described).collect()
}

/// The ids of the dictionaries of fields.
fn dictionaries_of(fields: &[polars_arrow::io::ipc::IpcField], ids: &mut BTreeMap<i64, ()>) {
    for field in fields {
        ids.extend(field.dictionary_id.map(|id| (id, ())));
        dictionaries_of(&field.fields, ids);
    }
}

/// A file's schema, and where its other messages are.
struct Messages {
    schema: Schema,
    batches: Vec<Place>,
    dictionaries: Vec<Place>,
}

/// What the footer of a file says.
fn footer(reader: &mut (impl Read + Seek), bytes: u64) -> Result<Messages, String> {
    let cut_off = || "its end is missing: it is cut off, or was not closed".to_owned();
    let end = MAGIC.len() as u64 + 4;
    if bytes < 2 * end {
        return Err(cut_off());
    }
    let mut last = [0; 10];
    reader.seek(SeekFrom::Start(bytes - end)).and_then(|_| reader.read_exact(&mut last)).map_err(|e| e.to_string())?;
    let length = u64::from(u32::from_le_bytes([last[0], last[1], last[2], last[3]]));
    if last[4..] != *MAGIC || length > HEAD_BYTES_MAX || length > bytes - end {
        return Err(cut_off());
    }
    let mut footer = vec![0; length as usize];
    reader
        .seek(SeekFrom::Start(bytes - end - length))
        .and_then(|_| reader.read_exact(&mut footer))
        .map_err(|e| e.to_string())?;
    let damaged = |e: &dyn std::fmt::Display| format!("its footer is damaged: {e}");
    let footer = ipc::FooterRef::read_as_root(&footer).map_err(|e| damaged(&e))?;
    let schema = footer.schema().map_err(|e| damaged(&e))?.ok_or("its footer has no schema")?;
    let places = |blocks: Option<ipc::planus::Vector<'_, ipc::BlockRef<'_>>>| {
        let place = |block: ipc::BlockRef<'_>| {
            let block = ipc::Block::from(block);
            let part = |length: i64| u64::try_from(length).map_err(|_| "its footer is damaged".to_owned());
            let place = Place {
                offset: part(block.offset)?,
                head: part(block.meta_data_length.into())?,
                body: part(block.body_length)?,
            };
            let end = place.offset.saturating_add(place.head).saturating_add(place.body);
            if end > bytes { Err("a part of it lies behind its end: it is damaged".to_owned()) } else { Ok(place) }
        };
        blocks.into_iter().flatten().map(place).collect::<Result<Vec<_>, String>>()
    };
    Ok(Messages {
        schema: Schema::new(schema, true)?,
        batches: places(footer.record_batches().map_err(|e| damaged(&e))?)?,
        dictionaries: places(footer.dictionaries().map_err(|e| damaged(&e))?)?,
    })
}

/// The messages of a stream.
fn stream(reader: &mut (impl Read + Seek), bytes: u64) -> Result<Messages, String> {
    let (mut schema, mut batches, mut dictionaries) = (None, Vec::new(), Vec::new());
    let mut offset = 0;
    loop {
        reader.seek(SeekFrom::Start(offset)).map_err(|e| e.to_string())?;
        let Some((head, length)) = message(reader, bytes)? else { break };
        let message = ipc::MessageRef::read_as_root(&head).map_err(|_| "not Arrow IPC".to_owned())?;
        let body = message.body_length().map_err(|e| e.to_string())?;
        let body = u64::try_from(body).map_err(|_| "a message is damaged".to_owned())?;
        let place = Place { offset, head: length, body };
        if offset.saturating_add(length).saturating_add(body) > bytes {
            return Err("its last message is cut off".to_owned());
        }
        match header(&head)? {
            ipc::MessageHeaderRef::Schema(found) if schema.is_none() => schema = Some(Schema::new(found, true)?),
            ipc::MessageHeaderRef::RecordBatch(_) => batches.push(place),
            ipc::MessageHeaderRef::DictionaryBatch(_) => dictionaries.push(place),
            _ => return Err("a message is of an unknown kind".to_owned()),
        }
        offset += length + body;
    }
    let schema =
        schema.ok_or("not Arrow IPC: it does not begin with `ARROW1`, as files do, or with a schema, as streams do")?;
    Ok(Messages { schema, batches, dictionaries })
}

/// The next message without its body, and its bytes with its length; `None` at the end.
fn message(reader: &mut impl Read, bytes: u64) -> Result<Option<(Vec<u8>, u64)>, String> {
    let mut word = [0; 4];
    let mut before = 4;
    if reader.read_exact(&mut word).is_err() {
        return Ok(None);
    }
    if word == CONTINUATION {
        before = 8;
        reader.read_exact(&mut word).map_err(|_| "it is cut off".to_owned())?;
    }
    let length = u64::from(u32::from_le_bytes(word));
    if length == 0 {
        return Ok(None);
    }
    if length > HEAD_BYTES_MAX || length > bytes {
        return Err("not Arrow IPC, or damaged".to_owned());
    }
    let mut head = vec![0; length as usize];
    reader.read_exact(&mut head).map_err(|_| "it is cut off".to_owned())?;
    Ok(Some((head, before + length)))
}

fn header(head: &[u8]) -> Result<ipc::MessageHeaderRef<'_>, String> {
    let message = ipc::MessageRef::read_as_root(head).map_err(|e| e.to_string())?;
    message.header().map_err(|e| e.to_string())?.ok_or_else(|| "a message has no header".to_owned())
}

/// Dictionaries that are in memory, by where they came from.
#[derive(Default)]
struct Loaded {
    places: BTreeMap<i64, u64>,
    dictionaries: Dictionaries,
}

/// Some columns of a file.
pub(crate) struct Columns {
    reader: BufReader<std::fs::File>,
    metadata: FileMetadata,
    batches: Vec<Batch>,
    dictionaries: Vec<(i64, Place)>,
    is_stream: bool,
    /// The columns that are read, by their places in the schema, ascending.
    places: Vec<usize>,
    /// By wanted column: its number among `places`.
    wanted: Vec<usize>,
    loaded: Loaded,
    /// The last batch that was read: it may reach into the next block.
    last: Option<(usize, Vec<Series>)>,
}

impl Columns {
    pub fn each(&mut self, first: u64, rows: u64, visit: &mut Visit<'_>) -> Result<(), String> {
        let mut batch_start = 0;
        for number in 0..self.batches.len() {
            let batch_end = batch_start + self.batches[number].rows;
            let (start, end) = (first.max(batch_start), (first + rows).min(batch_end));
            if start < end {
                let columns = match self.last.take() {
                    Some((last, columns)) if last == number => columns,
                    _ => self.batch(number)?,
                };
                for (wanted, place) in self.wanted.iter().enumerate() {
                    let part = columns[*place].slice((start - batch_start) as i64, (end - start) as usize);
                    visit(wanted, &part)?;
                }
                self.last = Some((number, columns));
            }
            batch_start = batch_end;
        }
        Ok(())
    }

    /// The columns of a record batch.
    fn batch(&mut self, number: usize) -> Result<Vec<Series>, String> {
        let place = self.batches[number].place;
        let patched = self.check(place)?;
        self.load_dictionaries(place)?;
        let Self { reader, metadata, loaded, places, .. } = self;
        let batch = match patched {
            None => guarded(|| {
                let (mut head, mut body) = (Vec::new(), Vec::new());
                let (known, checked) = (&loaded.dictionaries, Default::default());
                read_batch(reader, known, metadata, Some(places), None, number, false, &mut head, &mut body, checked)
            })?,
            Some((bytes, block)) => guarded(|| {
                metadata.blocks[number] = block;
                let (mut head, mut body) = (Vec::new(), Vec::new());
                let (known, checked, mut reader) = (&loaded.dictionaries, Default::default(), Cursor::new(bytes));
                read_batch(
                    &mut reader,
                    known,
                    metadata,
                    Some(places),
                    None,
                    number,
                    true,
                    &mut head,
                    &mut body,
                    checked,
                )
            })?,
        };
        let (schema, arrays) = batch.into_schema_and_arrays();
        let column = |(field, array): (_, Box<dyn Array>)| series(field, vec![array]);
        schema.iter_values().zip(arrays).map(column).collect()
    }

    /// Reads the dictionaries that hold for a batch.
    fn load_dictionaries(&mut self, batch: Place) -> Result<(), String> {
        let mut newest: BTreeMap<i64, Place> = BTreeMap::new();
        for (id, place) in &self.dictionaries {
            if !self.is_stream || place.offset < batch.offset {
                newest.insert(*id, *place);
            }
        }
        // Dictionaries in the file's order: one may use another.
        let mut newest: Vec<(i64, Place)> = newest.into_iter().collect();
        newest.sort_by_key(|(_, place)| place.offset);
        for (id, place) in newest {
            if self.loaded.places.get(&id) == Some(&place.offset) {
                continue;
            }
            let patched = self.check(place)?;
            let Self { reader, metadata, loaded, .. } = self;
            let known = &mut loaded.dictionaries;
            guarded(|| {
                let (mut head, mut body, checked) = (Vec::new(), Vec::new(), Default::default());
                match patched {
                    None => {
                        let block = place.block();
                        read_dictionary_block(reader, metadata, &block, false, known, &mut head, &mut body, checked)
                    }
                    Some((bytes, block)) => {
                        let mut reader = Cursor::new(bytes);
                        read_dictionary_block(&mut reader, metadata, &block, true, known, &mut head, &mut body, checked)
                    }
                }
            })?;
            self.loaded.places.insert(id, place.offset);
        }
        Ok(())
    }

    /// Looks at the lengths of compressed buffers, before any is decompressed. polars does not read
    /// an empty one: if there is any, gives the message and its body with others in their place.
    fn check(&mut self, place: Place) -> Result<Option<(Vec<u8>, ipc::Block)>, String> {
        self.reader.seek(SeekFrom::Start(place.offset)).map_err(|e| e.to_string())?;
        let head = message(&mut self.reader, self.metadata.size)?.map(|(head, _)| head).unwrap_or_default();
        let batch = match header(&head)? {
            ipc::MessageHeaderRef::RecordBatch(batch) => batch,
            ipc::MessageHeaderRef::DictionaryBatch(batch) => {
                batch.data().map_err(|e| e.to_string())?.ok_or("a dictionary has no data")?
            }
            _ => return Ok(None),
        };
        let is_compressed = batch.compression().map_err(|e| e.to_string())?.is_some();
        let (mut decoded, mut has_empty) = (0u64, false);
        for buffer in batch.buffers().map_err(|e| e.to_string())?.into_iter().flatten() {
            let buffer = ipc::Buffer::from(buffer);
            let (Ok(offset), Ok(length)) = (u64::try_from(buffer.offset), u64::try_from(buffer.length)) else {
                return Err("a buffer is damaged".to_owned());
            };
            if offset.saturating_add(length) > place.body {
                return Err("a buffer lies outside of its record batch: the file is damaged".to_owned());
            }
            if is_compressed && length >= 8 {
                let mut uncompressed = [0; 8];
                self.read_at(place.offset + place.head + offset, &mut uncompressed)?;
                // -1 says that the buffer is not compressed after all.
                decoded = decoded.saturating_add(u64::try_from(i64::from_le_bytes(uncompressed)).unwrap_or(length));
            }
            has_empty |= is_compressed && length == 0;
        }
        check_size(decoded, self.metadata.size, "a record batch")?;
        if has_empty { self.without_empty_buffers(place, &head).map(Some) } else { Ok(None) }
    }

    fn read_at(&mut self, at: u64, bytes: &mut [u8]) -> Result<(), String> {
        self.reader.seek(SeekFrom::Start(at)).and_then(|_| self.reader.read_exact(bytes)).map_err(|e| e.to_string())
    }

    /// A message with its body. In place of each empty buffer it has one that says that it has no
    /// bytes and is not compressed.
    fn without_empty_buffers(&mut self, place: Place, head: &[u8]) -> Result<(Vec<u8>, ipc::Block), String> {
        let message = ipc::MessageRef::read_as_root(head).map_err(|e| e.to_string())?;
        let mut message = ipc::Message::try_from(message).map_err(|e| e.to_string())?;
        let batch = match &mut message.header {
            Some(ipc::MessageHeader::RecordBatch(batch)) => Some(batch),
            Some(ipc::MessageHeader::DictionaryBatch(batch)) => batch.data.as_mut(),
            _ => None,
        };
        for buffer in batch.into_iter().flat_map(|batch| batch.buffers.iter_mut().flatten()) {
            if buffer.length == 0 {
                *buffer = ipc::Buffer { offset: place.body as i64, length: 8 };
            }
        }
        let head = Builder::new().finish(&message, None).to_vec();
        let mut bytes = CONTINUATION.to_vec();
        bytes.extend((head.len() as u32).to_le_bytes());
        bytes.extend(head);
        let block = ipc::Block { offset: 0, meta_data_length: bytes.len() as i32, body_length: place.body as i64 + 8 };
        let body = bytes.len();
        bytes.resize(body + place.body as usize, 0);
        self.read_at(place.offset + place.head, &mut bytes[body..])?;
        bytes.extend((-1i64).to_le_bytes());
        Ok((bytes, block))
    }
}
