//! The sizes that pages of a Parquet file claim. A reader makes room for what the head of a page says before it looks at
//! the page, so a file of a kilobyte can ask for gigabytes; here the heads are read first, and nothing else.

use std::{
    fs::File,
    io::{self, BufReader, Read, Seek, SeekFrom, Take},
};

use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData};

/// The most bytes of a page, unpacked. Writers aim at one mebibyte.
const MOST_PAGE: i64 = 256 << 20;
/// How deep the structures in the head of a page may lie within each other; the format needs three.
const DEEPEST: usize = 8;

/// Refuses pages that are larger than any writer makes them, in the columns that are asked for or all of them.
pub(super) fn check(
    file: &File,
    metadata: &ParquetMetaData,
    columns: Option<&[&str]>,
) -> Result<(), String> {
    for group in metadata.row_groups() {
        for column in group.columns() {
            let path = column.column_path();
            let root = path.parts().first().map_or("", String::as_str);
            if columns.is_none_or(|columns| columns.contains(&root)) {
                check_chunk(file, column)
                    .map_err(|problem| format!("column `{}`: {problem}", path.string()))?;
            }
        }
    }
    Ok(())
}

fn check_chunk(file: &File, column: &ColumnChunkMetaData) -> Result<(), String> {
    let first = column
        .dictionary_page_offset()
        .unwrap_or(column.data_page_offset());
    let (Ok(first), Ok(bytes)) = (
        u64::try_from(first),
        u64::try_from(column.compressed_size()),
    ) else {
        return Err("its place is a negative number".into());
    };
    let held = file.metadata().map_err(|error| error.to_string())?.len();
    let end = first.saturating_add(bytes);
    if end > held {
        return Err(format!("it ends at byte {end}, and the file at {held}"));
    }
    let mut at = first;
    while at < end {
        let mut head = Head::at(file, at, end).map_err(|error| error.to_string())?;
        let (unpacked, packed) = head
            .sizes()
            .map_err(|error| format!("the page at byte {at} has no readable head: {error}"))?;
        if !(0..=MOST_PAGE).contains(&unpacked) {
            return Err(format!(
                "the page at byte {at} claims {unpacked} bytes; at most {} MiB are read",
                MOST_PAGE >> 20
            ));
        }
        let packed = u64::try_from(packed).map_err(|_| "a page has a negative size".to_owned())?;
        at = head.position(end).saturating_add(packed);
    }
    Ok(())
}

/// The head of a page, in Thrift's compact protocol.
struct Head(Take<BufReader<File>>);

impl Head {
    fn at(file: &File, at: u64, end: u64) -> io::Result<Self> {
        let mut file = file.try_clone()?;
        file.seek(SeekFrom::Start(at))?;
        Ok(Self(BufReader::with_capacity(1 << 10, file).take(end - at)))
    }

    /// Where the next byte is, in a column that ends at `end`.
    fn position(&self, end: u64) -> u64 {
        end - self.0.limit()
    }

    /// The sizes of the page, unpacked and as it lies there: its fields 2 and 3.
    fn sizes(&mut self) -> io::Result<(i64, i64)> {
        let (mut unpacked, mut packed) = (None, None);
        let mut last = 0;
        while let Some((field, kind)) = self.field(last)? {
            match (field, kind) {
                (2, 4..=6) => unpacked = Some(self.integer()?),
                (3, 4..=6) => packed = Some(self.integer()?),
                _ => self.skip(kind, 0)?,
            }
            last = field;
        }
        let missing = || io::Error::other("it does not say its size");
        Ok((unpacked.ok_or_else(missing)?, packed.ok_or_else(missing)?))
    }

    /// Number and type of the next field of a structure, or that there is none.
    fn field(&mut self, last: i64) -> io::Result<Option<(i64, u8)>> {
        let byte = self.byte()?;
        match (byte >> 4, byte & 15) {
            (_, 0) => Ok(None),
            (0, kind) => Ok(Some((self.integer()?, kind))),
            (step, kind) => Ok(Some((last.saturating_add(step.into()), kind))),
        }
    }

    fn skip(&mut self, kind: u8, depth: usize) -> io::Result<()> {
        if depth > DEEPEST {
            return Err(io::Error::other("it lies too deep"));
        }
        match kind {
            1 | 2 => Ok(()),
            3 => self.byte().map(|_| ()),
            4..=6 => self.varint().map(|_| ()),
            7 => self.skip_bytes(8),
            8 => {
                let length = self.varint()?;
                self.skip_bytes(length)
            }
            9 | 10 => {
                let head = self.byte()?;
                let length = match head >> 4 {
                    15 => self.varint()?,
                    short => short.into(),
                };
                (0..length).try_for_each(|_| match head & 15 {
                    1 | 2 => self.byte().map(|_| ()),
                    kind => self.skip(kind, depth + 1),
                })
            }
            12 => {
                let mut last = 0;
                while let Some((field, kind)) = self.field(last)? {
                    self.skip(kind, depth + 1)?;
                    last = field;
                }
                Ok(())
            }
            kind => Err(io::Error::other(format!("a field has the type {kind}"))),
        }
    }

    fn skip_bytes(&mut self, length: u64) -> io::Result<()> {
        let skipped = io::copy(&mut (&mut self.0).take(length), &mut io::sink())?;
        match skipped == length {
            true => Ok(()),
            false => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }

    fn integer(&mut self) -> io::Result<i64> {
        let zigzag = self.varint()?;
        Ok((zigzag >> 1) as i64 ^ -((zigzag & 1) as i64))
    }

    fn varint(&mut self) -> io::Result<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(io::Error::other("a number is too long"))
    }

    fn byte(&mut self) -> io::Result<u8> {
        let mut byte = [0];
        self.0.read_exact(&mut byte)?;
        Ok(byte[0])
    }
}
