//! The bytes of record files, and the only place that names bincode.
//!
//! A file is a header of 32 bytes and then the records: the magic `w2s\0`, the kind in 16 bytes padded with zeros, the
//! format number as u32 and the number of records as u64, both little-endian. Nothing in a file is believed before it is
//! checked: a claimed length can ask for no more memory than a small multiple of the file's own size.

use std::path::Path;

use crate::error::StoreError;
use crate::files;
use crate::record::Record;

const MAGIC: &[u8; 4] = b"w2s\0";
const KIND_BYTES: usize = 16;
const HEADER_BYTES: usize = 4 + KIND_BYTES + 4 + 8;

/// Fixed-width integers, so that bincode's limit counts the same bytes as the file has.
macro_rules! config {
    () => {
        bincode::config::standard().with_fixed_int_encoding()
    };
}

/// Why bytes could not be read or records not be written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CodecError {
    /// The layout is no longer read.
    #[error("made by an older w2s: format {found}, this one reads {supported}")]
    TooOld {
        /// The number in the file.
        found: u32,
        /// The number this version reads.
        supported: u32,
    },
    /// The layout is not known yet.
    #[error("needs a newer w2s: format {found}, this one reads {supported}")]
    TooNew {
        /// The number in the file.
        found: u32,
        /// The number this version reads.
        supported: u32,
    },
    /// The records are of another kind.
    #[error("it holds {found}, not {wanted}")]
    WrongKind {
        /// The word in the file.
        found: String,
        /// The word that was expected.
        wanted: String,
    },
    /// The bytes do not follow the format.
    #[error("{0}")]
    Corrupt(String),
    /// A record breaks a promise of its type.
    #[error("row {row}: {reason}")]
    Invalid {
        /// Index of the record.
        row: usize,
        /// The broken promise.
        reason: String,
    },
}

impl CodecError {
    /// The same error with the file it happened in.
    fn at(self, path: &Path) -> StoreError {
        let path = path.to_owned();
        match self {
            Self::TooOld { found, supported } => StoreError::TooOld {
                path,
                found,
                supported,
            },
            Self::TooNew { found, supported } => StoreError::TooNew {
                path,
                found,
                supported,
            },
            Self::Invalid { row, reason } => StoreError::InvalidRecord { path, row, reason },
            other => StoreError::Corrupt {
                path,
                reason: other.to_string(),
            },
        }
    }
}

/// The bytes of a file that holds `records`.
pub fn encode<T: Record>(records: &[T]) -> Result<Vec<u8>, CodecError> {
    let mut bytes = Vec::with_capacity(HEADER_BYTES + size_of_val(records));
    bytes.extend_from_slice(MAGIC);
    let mut kind = [0; KIND_BYTES];
    let name = T::KIND.name().as_bytes();
    kind[..name.len()].copy_from_slice(name);
    bytes.extend_from_slice(&kind);
    bytes.extend_from_slice(&T::FORMAT.to_le_bytes());
    bytes.extend_from_slice(&(records.len() as u64).to_le_bytes());
    for (row, record) in records.iter().enumerate() {
        record
            .validate()
            .map_err(|reason| CodecError::Invalid { row, reason })?;
        bincode::serde::encode_into_std_write(record, &mut bytes, config!()).map_err(|error| {
            CodecError::Invalid {
                row,
                reason: error.to_string(),
            }
        })?;
    }
    Ok(bytes)
}

/// The records in `bytes`.
pub fn decode<T: Record>(bytes: &[u8]) -> Result<Vec<T>, CodecError> {
    let corrupt = |reason: String| CodecError::Corrupt(reason);
    if bytes.len() < HEADER_BYTES {
        return Err(corrupt(format!(
            "it has {} bytes, fewer than its header of {HEADER_BYTES}",
            bytes.len()
        )));
    }
    let (header, payload) = bytes.split_at(HEADER_BYTES);
    if &header[..4] != MAGIC {
        return Err(corrupt(
            "it does not begin like a record file of w2s".to_owned(),
        ));
    }
    let kind = &header[4..4 + KIND_BYTES];
    let kind = &kind[..kind
        .iter()
        .position(|byte| *byte == 0)
        .unwrap_or(KIND_BYTES)];
    if kind != T::KIND.name().as_bytes() {
        return Err(CodecError::WrongKind {
            found: String::from_utf8_lossy(kind).into_owned(),
            wanted: T::KIND.to_string(),
        });
    }
    let (format, count) = header[4 + KIND_BYTES..].split_at(4);
    let format = format
        .iter()
        .rev()
        .fold(0u32, |value, byte| value << 8 | u32::from(*byte));
    let count = count
        .iter()
        .rev()
        .fold(0u64, |value, byte| value << 8 | u64::from(*byte));
    if format < T::FORMAT {
        return Err(CodecError::TooOld {
            found: format,
            supported: T::FORMAT,
        });
    }
    if format > T::FORMAT {
        return Err(CodecError::TooNew {
            found: format,
            supported: T::FORMAT,
        });
    }
    // No record takes less than one byte, so a larger count is a lie and must not size an allocation.
    if count > payload.len() as u64 {
        return Err(corrupt(format!(
            "it claims {count} records in {} bytes",
            payload.len()
        )));
    }

    let mut records = Vec::new();
    let mut rest = payload;
    for row in 0..count as usize {
        let (record, used): (T, usize) = decode_one(rest)
            .map_err(|reason| corrupt(format!("record {row} of {count}: {reason}")))?;
        record
            .validate()
            .map_err(|reason| corrupt(format!("record {row} of {count}: {reason}")))?;
        rest = &rest[used..];
        records.push(record);
    }
    if !rest.is_empty() {
        return Err(corrupt(format!(
            "{} bytes follow its {count} records",
            rest.len()
        )));
    }
    Ok(records)
}

/// Decodes the record at the start of `bytes`, never allocating more than 16 times what is left of the file (or 64 KiB).
fn decode_one<T: Record>(bytes: &[u8]) -> Result<(T, usize), String> {
    // bincode takes its limit as a constant, so the file's size chooses one of a few.
    macro_rules! within {
        ($($limit:literal),*) => {
            $(if bytes.len() <= $limit {
                return bincode::serde::decode_from_slice(bytes, config!().with_limit::<$limit>())
                    .map_err(|error| error.to_string());
            })*
        };
    }
    within!(
        0x1_0000,
        0x10_0000,
        0x100_0000,
        0x1000_0000,
        0x1_0000_0000,
        0x10_0000_0000
    );
    Err("a file of more than 64 GiB is not read".to_owned())
}

/// Writes `records` to `path` and flushes them to the disk. A reader never sees half of the file.
pub fn write<T: Record>(path: &Path, records: &[T]) -> Result<(), StoreError> {
    files::write_atomic(path, &encode(records).map_err(|error| error.at(path))?)
}

/// Reads the records of the file `path`.
pub fn read<T: Record>(path: &Path) -> Result<Vec<T>, StoreError> {
    let bytes = std::fs::read(path).map_err(StoreError::io("read", path))?;
    decode(&bytes).map_err(|error| match error {
        // A row that breaks its promise was refused when it was written, so on reading it means damage.
        CodecError::Invalid { row, reason } => {
            CodecError::Corrupt(format!("record {row}: {reason}")).at(path)
        }
        CodecError::WrongKind { found, .. } => StoreError::WrongKind {
            name: path.display().to_string(),
            found,
            wanted: T::KIND,
        },
        other => other.at(path),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Document, Example, Label, Prediction, Split};
    use crate::reference::Kind;
    use proptest::prelude::*;
    use serde::{Deserialize, Serialize};

    fn labels() -> Vec<Label> {
        vec![
            Label {
                id: 7,
                probabilities: vec![0.25, 0.75],
            },
            Label {
                id: 8,
                probabilities: vec![1.0, 0.0],
            },
        ]
    }

    #[test]
    fn each_record_survives_the_round_trip() {
        let documents = vec![Document {
            id: u64::MAX,
            text: "Nila vesu.".into(),
        }];
        assert_eq!(
            decode::<Document>(&encode(&documents).unwrap()).unwrap(),
            documents
        );
        let examples: Vec<Example> = Split::ALL
            .into_iter()
            .map(|split| Example {
                id: 1,
                split,
                group: 2,
                label: 3,
                text: "höchst ✓".into(),
            })
            .collect();
        assert_eq!(
            decode::<Example>(&encode(&examples).unwrap()).unwrap(),
            examples
        );
        assert_eq!(
            decode::<Label>(&encode(&labels()).unwrap()).unwrap(),
            labels()
        );
        let predictions = vec![Prediction {
            id: 1,
            group: 1,
            label: 1,
            probabilities: vec![0.5, 0.5],
        }];
        assert_eq!(
            decode::<Prediction>(&encode(&predictions).unwrap()).unwrap(),
            predictions
        );
        assert_eq!(decode::<Label>(&encode::<Label>(&[]).unwrap()).unwrap(), []);
    }

    #[test]
    fn the_layout_is_what_the_documentation_says() {
        let bytes = encode(&labels()[..1]).unwrap();
        let mut expected = b"w2s\0labels\0\0\0\0\0\0\0\0\0\0".to_vec();
        expected.extend_from_slice(&[1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0]);
        expected.extend_from_slice(&[7, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0]);
        expected.extend_from_slice(&0.25f32.to_le_bytes());
        expected.extend_from_slice(&0.75f32.to_le_bytes());
        assert_eq!(bytes, expected);
    }

    /// A label as some other version of w2s might know it.
    #[derive(Debug, Serialize, Deserialize)]
    struct LabelOf<const FORMAT: u32>(u64);

    impl<const N: u32> Record for LabelOf<N> {
        const KIND: Kind = Kind::Labels;
        const FORMAT: u32 = N;

        fn validate(&self) -> Result<(), String> {
            Ok(())
        }
    }

    #[test]
    fn a_format_number_has_three_answers() {
        let bytes = encode(&[LabelOf::<4>(1)]).unwrap();
        assert_eq!(decode::<LabelOf<4>>(&bytes).unwrap()[0].0, 1);
        assert_eq!(
            decode::<LabelOf<5>>(&bytes).unwrap_err(),
            CodecError::TooOld {
                found: 4,
                supported: 5
            }
        );
        assert_eq!(
            decode::<LabelOf<3>>(&bytes).unwrap_err(),
            CodecError::TooNew {
                found: 4,
                supported: 3
            }
        );
        let old = CodecError::TooOld {
            found: 4,
            supported: 5,
        }
        .at(Path::new("a/records.bin"));
        assert_eq!(
            old.to_string(),
            "a/records.bin was made by an older w2s: format 4, this one reads 5"
        );
        assert_eq!(old.hint().unwrap(), "run the step that made it again");
        let new = CodecError::TooNew {
            found: 4,
            supported: 3,
        }
        .at(Path::new("a/records.bin"));
        assert_eq!(
            new.to_string(),
            "a/records.bin needs a newer w2s: format 4, this one reads 3"
        );
    }

    #[test]
    fn lies_about_sizes_are_errors_and_not_allocations() {
        // A header that claims 10^12 records.
        let mut bytes = encode(&labels()).unwrap();
        bytes[24..32].copy_from_slice(&1_000_000_000_000u64.to_le_bytes());
        assert_eq!(
            decode::<Label>(&bytes).unwrap_err().to_string(),
            "it claims 1000000000000 records in 48 bytes"
        );
        // A text that claims 10^12 bytes: its length stands after the header and the id.
        let mut bytes = encode(&[Document {
            id: 0,
            text: "x".into(),
        }])
        .unwrap();
        bytes[40..48].copy_from_slice(&1_000_000_000_000u64.to_le_bytes());
        assert!(
            decode::<Document>(&bytes)
                .unwrap_err()
                .to_string()
                .starts_with("record 0 of 1: LimitExceeded")
        );
        // A row that claims 10^12 probabilities.
        let mut bytes = encode(&labels()).unwrap();
        bytes[40..48].copy_from_slice(&1_000_000_000_000u64.to_le_bytes());
        assert!(decode::<Label>(&bytes).is_err());
    }

    #[test]
    fn corrupt_bytes_say_where() {
        let bytes = encode(&labels()).unwrap();
        let message = |bytes: &[u8]| decode::<Label>(bytes).unwrap_err().to_string();
        assert_eq!(
            message(&bytes[..10]),
            "it has 10 bytes, fewer than its header of 32"
        );
        assert!(message(&bytes[..bytes.len() - 1]).starts_with("record 1 of 2: UnexpectedEnd"));
        assert_eq!(
            message(&[&bytes[..], b"x"].concat()),
            "1 bytes follow its 2 records"
        );
        assert_eq!(
            message(&[b'x'; 64]),
            "it does not begin like a record file of w2s"
        );
        assert_eq!(
            decode::<Document>(&bytes).unwrap_err().to_string(),
            "it holds labels, not corpus"
        );
        let mut broken = bytes.clone();
        broken[48..52].copy_from_slice(&f32::NAN.to_le_bytes());
        assert_eq!(
            message(&broken),
            "record 0 of 2: the probability of class 0 is NaN"
        );
    }

    #[test]
    fn a_row_that_breaks_its_promise_is_not_written() {
        let rows = [
            labels()[0].clone(),
            Label {
                id: 9,
                probabilities: vec![0.5],
            },
        ];
        assert_eq!(
            encode(&rows).unwrap_err().to_string(),
            "row 1: its probabilities sum to 0.5, not to 1"
        );
    }

    proptest! {
        #[test]
        fn any_examples_survive(rows in prop::collection::vec(
            (any::<u64>(), 0usize..3, any::<u64>(), any::<u32>(), "[a-z✓]\\PC{0,20}"), 0..20)
        ) {
            let rows: Vec<Example> = rows.into_iter()
                .map(|(id, split, group, label, text)| Example { id, split: Split::ALL[split], group, label, text })
                .collect();
            prop_assert_eq!(decode::<Example>(&encode(&rows).unwrap()).unwrap(), rows);
        }

        #[test]
        fn corrupt_bytes_never_panic(flips in prop::collection::vec((0usize..200, any::<u8>()), 1..8), cut in 0usize..200) {
            let rows: Vec<Example> = (0..3)
                .map(|id| Example { id, split: Split::Test, group: id, label: 1, text: "some words".into() })
                .collect();
            let mut bytes = encode(&rows).unwrap();
            for (at, value) in flips {
                let at = at % bytes.len();
                bytes[at] = value;
            }
            bytes.truncate(bytes.len().max(1) - cut % bytes.len().max(1));
            let _ = decode::<Example>(&bytes);
            let _ = decode::<Label>(&bytes);
        }

        #[test]
        fn noise_never_panics(noise in prop::collection::vec(any::<u8>(), 0..300)) {
            let mut bytes = encode::<Prediction>(&[]).unwrap();
            bytes[24] = 3;
            bytes.extend(noise);
            let _ = decode::<Prediction>(&bytes);
        }
    }
}
