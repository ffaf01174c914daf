use std::sync::Arc;

use ::parquet::arrow::ArrowWriter;
use arrow_array::builder::{ListBuilder, StringBuilder, StructBuilder};
use arrow_array::types::{Int32Type, Int64Type};
use arrow_array::{
    ArrayRef, BinaryArray, BooleanArray, DictionaryArray, Float64Array, Int64Array, ListArray,
    RecordBatch, StringViewArray, StructArray, TimestampMillisecondArray,
};
use arrow_schema::{DataType, Field};
use serde_json::json;

use super::*;

fn write(name: &str, content: impl AsRef<[u8]>) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    fs::write(&path, content).unwrap();
    (folder, path)
}

fn values(path: &Path, columns: &[&str], options: ReadOptions) -> Vec<(u64, Vec<String>)> {
    let records = read(&[path.into()], columns, options).unwrap();
    records
        .into_iter()
        .map(|record| (record.place.number, record.values))
        .collect()
}

/// The message with the folder cut away, and its hint.
fn refused(path: &Path, columns: &[&str]) -> String {
    let error = read(&[path.into()], columns, ReadOptions::default()).unwrap_err();
    let folder = format!("{}/", path.parent().unwrap().display());
    error.to_string().replace(&folder, "")
}

#[test]
fn json_lines() {
    let text = "\u{feff}{\"text\": \"a\", \"label\": 1}\n\n{\"label\": true, \"text\": \"b \\u00e9\"}\r\n{\"text\":null,\"label\":2.5}";
    let (_folder, path) = write("rows.jsonl", text);
    let expected = [
        (1, vec!["1", "a"]),
        (3, vec!["true", "b é"]),
        (4, vec!["2.5", ""]),
    ];
    let found = values(&path, &["label", "text"], ReadOptions::default());
    assert_eq!(
        found,
        expected.map(|(line, v)| (line, v.into_iter().map(String::from).collect()))
    );
}

#[test]
fn bad_json_lines_are_named() {
    let (_folder, path) = write(
        "rows.jsonl",
        "{\"text\": \"a\", \"label\": 1}\n{\"text\": \"b\" \"label\": 0}\n",
    );
    assert_eq!(
        refused(&path, &["text"]),
        "rows.jsonl:2: malformed JSON at character 14: expected `,` or `}`"
    );
    let (_folder, path) = write(
        "rows.jsonl",
        "{\"text\": \"a\", \"label\": 1}\n{\"txt\": \"b\", \"label\": 0}\n",
    );
    assert_eq!(
        refused(&path, &["text"]),
        "rows.jsonl:2: no column `text`; there are `txt`, `label`"
    );
    let (_folder, path) = write("rows.jsonl", "[1, 2]\n");
    assert_eq!(
        refused(&path, &["text"]),
        "rows.jsonl: row 1: an object `{...}` is needed for each record, this one is a number"
    );
    let (_folder, path) = write("rows.jsonl", "{\"text\": [\"a\"]}\n");
    assert_eq!(
        refused(&path, &["text"]),
        "rows.jsonl:1: column `text` holds an array; text, a number or true/false is needed"
    );
    let (_folder, path) = write("rows.jsonl", b"{\"text\": \"a\"}\n{\"text\": \"\xff\"}\n");
    assert_eq!(
        refused(&path, &["text"]),
        "rows.jsonl:2: not UTF-8 text from byte 11 of the line on"
    );
    let (_folder, path) = write("rows.jsonl", "\n");
    assert_eq!(refused(&path, &["text"]), "rows.jsonl: no records");
}

#[test]
fn csv_fields_may_be_quoted() {
    let (_folder, path) = write("rows.csv", "text,label\n\"a, \"\"b\"\"\nc\",1\nd,0\n");
    let found = values(&path, &["text", "label"], ReadOptions::default());
    assert_eq!(
        found,
        [
            (2, vec!["a, \"b\"\nc".into(), "1".into()]),
            (4, vec!["d".into(), "0".into()])
        ]
    );
}

#[test]
fn tsv_fields_are_quoted_or_not_as_asked() {
    let (_folder, path) = write("rows.tsv", "text\tlabel\n\"a\" b \t1\n\"c\t0\n");
    let plain = ReadOptions {
        tsv_quoting: false,
        limit: None,
    };
    let found = values(&path, &["text", "label"], plain);
    assert_eq!(
        found,
        [
            (2, vec!["\"a\" b ".into(), "1".into()]),
            (3, vec!["\"c".into(), "0".into()])
        ]
    );
    assert_eq!(
        refused(&path, &["text"]),
        "rows.tsv:3: a quotation mark opens a field here and is never closed"
    );
}

#[test]
fn bad_delimited_rows_are_named() {
    let (_folder, path) = write("rows.csv", "text,label\na,1\nb\n");
    assert_eq!(
        refused(&path, &["text"]),
        "rows.csv:3: 1 fields, the header has 2"
    );
    assert_eq!(
        refused(&path, &["sentence"]),
        "rows.csv: no column `sentence`; there are `text`, `label`"
    );
    let (_folder, path) = write("rows.csv", b"text,label\na,1\n\xff,0\n");
    assert_eq!(
        refused(&path, &["text"]),
        "rows.csv:3: field 1 is not UTF-8 text"
    );
}

fn write_parquet(path: &Path) {
    let texts: ArrayRef = Arc::new(StringViewArray::from(vec![Some("a"), None, Some("c")]));
    let labels: ArrayRef = Arc::new(Int64Array::from(vec![0, 1, -1]));
    let truths: ArrayRef = Arc::new(BooleanArray::from(vec![true, false, true]));
    let kinds: ArrayRef = Arc::new(
        vec!["x", "y", "x"]
            .into_iter()
            .collect::<DictionaryArray<Int32Type>>(),
    );
    let lists: ArrayRef = Arc::new(ListArray::from_iter_primitive::<Int64Type, _, _>(vec![
        Some(
            vec![Some(1)]
        );
        3
    ]));
    let columns = [
        ("text", texts),
        ("label", labels),
        ("answer", truths),
        ("kind", kinds),
        ("list", lists),
    ];
    let batch =
        RecordBatch::try_from_iter_with_nullable(columns.map(|(name, array)| (name, array, true)))
            .unwrap();
    let mut writer =
        ArrowWriter::try_new(File::create(path).unwrap(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
}

#[test]
fn parquet() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("train-00000-of-00001.parquet");
    write_parquet(&path);
    // Not the order of the file: columns come as asked.
    let found = values(
        &path,
        &["answer", "kind", "text", "label"],
        ReadOptions::default(),
    );
    let row = |texts: [&str; 4]| texts.map(String::from).to_vec();
    let expected = [
        (1, row(["true", "x", "a", "0"])),
        (2, row(["false", "y", "", "1"])),
        (3, row(["true", "x", "c", "-1"])),
    ];
    assert_eq!(found, expected);
    assert_eq!(
        values(
            &path,
            &["label"],
            ReadOptions {
                limit: Some(2),
                ..Default::default()
            }
        )
        .len(),
        2
    );
    assert_eq!(
        refused(&path, &["sentence"]),
        "train-00000-of-00001.parquet: no column `sentence`; there are `text`, `label`, `answer`, `kind`, `list`"
    );
    let message = refused(&path, &["list"]);
    assert!(
        message.starts_with("train-00000-of-00001.parquet: row 1: column `list` holds an array"),
        "{message}"
    );
    fs::write(&path, "no parquet at all").unwrap();
    let message = refused(&path, &["text"]);
    assert!(
        message.starts_with("train-00000-of-00001.parquet: not a readable Parquet file: "),
        "{message}"
    );
}

#[test]
fn objects_keep_lists_and_structures() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rows.parquet");
    let mut turns = ListBuilder::new(StructBuilder::from_fields(
        vec![
            Field::new("role", DataType::Utf8, true),
            Field::new("content", DataType::Utf8, true),
        ],
        3,
    ));
    let mut turn = |role: &str, content: Option<&str>| {
        let builder = turns.values();
        builder
            .field_builder::<StringBuilder>(0)
            .unwrap()
            .append_value(role);
        builder
            .field_builder::<StringBuilder>(1)
            .unwrap()
            .append_option(content);
        builder.append(true);
    };
    turn("user", Some("why ?"));
    turn("assistant", None);
    turns.append(true);
    turns.append(false);
    let columns: [(&str, ArrayRef); 4] = [
        ("turns", Arc::new(turns.finish())),
        ("score", Arc::new(Float64Array::from(vec![0.5, f64::NAN]))),
        ("label", Arc::new(Int64Array::from(vec![Some(-2), None]))),
        (
            "image",
            Arc::new(BinaryArray::from(vec![b"x".as_slice(), b"y"])),
        ),
    ];
    let batch =
        RecordBatch::try_from_iter_with_nullable(columns.map(|(name, array)| (name, array, true)))
            .unwrap();
    let mut writer =
        ArrowWriter::try_new(File::create(&path).unwrap(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    let values = |path: &Path| -> Vec<Value> {
        let objects = read_objects(&[path.into()]).unwrap();
        objects
            .into_iter()
            .map(|object| Value::Object(object.values))
            .collect()
    };
    let expected = [
        json!({
            "turns": [{"role": "user", "content": "why ?"}, {"role": "assistant", "content": null}],
            "score": 0.5,
            "label": -2,
        }),
        json!({"turns": null, "score": null, "label": null}),
    ];
    assert_eq!(values(&path), expected);
    let lines = folder.path().join("rows.jsonl");
    fs::write(&lines, format!("{}\n\n{}\n", expected[0], expected[1])).unwrap();
    assert_eq!(values(&lines), expected);
    assert_eq!(
        read_objects(&[lines]).unwrap()[1].place.to_string(),
        folder.path().join("rows.jsonl:3").display().to_string()
    );
    let table = folder.path().join("rows.csv");
    fs::write(&table, "a, b\n1,\"x,y\"\n").unwrap();
    assert_eq!(values(&table), [json!({"a": "1", "b": "x,y"})]);
    let text = folder.path().join("rows.txt");
    fs::write(&text, "a line\n").unwrap();
    assert_eq!(values(&text), [json!({"text": "a line"})]);
}

#[test]
fn a_folder_is_read_in_sorted_order() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::create_dir(at("data")).unwrap();
    fs::write(at("data/train-00001-of-00002.jsonl"), "{\"text\":\"2\"}").unwrap();
    fs::write(at("data/train-00000-of-00002.jsonl"), "{\"text\":\"1\"}").unwrap();
    fs::write(at("validation.csv"), "text\n3\n").unwrap();
    for other in [
        "README.md",
        "dataset_infos.json",
        "licence.txt",
        ".hidden.csv",
    ] {
        fs::write(at(other), "not data").unwrap();
    }
    let texts = |limit| {
        let records = read(
            &[folder.path().into()],
            &["text"],
            ReadOptions {
                limit,
                ..Default::default()
            },
        )
        .unwrap();
        records
            .into_iter()
            .map(|mut record| record.values.remove(0))
            .collect::<Vec<_>>()
    };
    assert_eq!(texts(None), ["1", "2", "3"]);
    assert_eq!(texts(Some(2)), ["1", "2"]);
}

#[test]
fn what_cannot_be_read_is_named() {
    let (folder, path) = write("rows.xlsx", "");
    assert!(
        refused(&path, &["text"])
            .starts_with("rows.xlsx: files of the kind `.xlsx` cannot be read; known: .jsonl")
    );
    assert!(
        refused(&folder.path().join("none.csv"), &["text"]).starts_with("cannot read none.csv")
    );
    let message = read(&[folder.path().into()], &["text"], ReadOptions::default())
        .unwrap_err()
        .to_string();
    assert!(
        message.ends_with("the folder holds no .jsonl, .csv, .tsv or .parquet file"),
        "{message}"
    );
}

#[test]
fn plain_text_is_a_record_a_line() {
    let (_folder, path) = write("own.txt", "one line\n\nanother\n");
    let found = values(&path, &["text"], ReadOptions::default());
    assert_eq!(
        found,
        [(1, vec!["one line".into()]), (3, vec!["another".into()])]
    );
    assert_eq!(
        refused(&path, &["label"]),
        "own.txt: no column `label`; there are `text`"
    );
}

/// The objects of a file, without their places.
fn objects(path: &Path) -> Vec<Value> {
    let objects = read_objects(&[path.into()]).unwrap();
    objects
        .into_iter()
        .map(|object| Value::Object(object.values))
        .collect()
}

#[test]
fn a_json_document_is_its_records() {
    let rows = [json!({"text": "a", "n": 1}), json!({"text": "b", "n": 2})];
    let all = json!(rows);
    for content in [
        all.to_string(),
        serde_json::to_string_pretty(&all).unwrap(),
        format!("\u{feff}{all}\n"),
        json!({"version": 1, "data": rows}).to_string(),
        serde_json::to_string_pretty(&json!({"rows": rows})).unwrap(),
        format!("{}\n{}\n", rows[0], rows[1]),
        rows.iter()
            .map(|row| serde_json::to_string_pretty(row).unwrap())
            .collect::<Vec<_>>()
            .join("\n"),
    ] {
        for name in ["rows.json", "rows.jsonl"] {
            let (_folder, path) = write(name, &content);
            assert_eq!(objects(&path), rows, "{content}");
        }
    }
    // One conversation by itself is a record.
    let one = json!({"messages": [{"role": "user", "content": "a"}]});
    let (_folder, path) = write("one.jsonl", one.to_string());
    assert_eq!(objects(&path), [one]);
    let (_folder, path) = write("rows.json", all.to_string());
    let options = ReadOptions {
        limit: Some(1),
        ..Default::default()
    };
    assert_eq!(values(&path, &["text"], options), [(1, vec!["a".into()])]);
    let (_folder, path) = write("rows.json", "[\n {\"a\": 1},\n {\"a\" 2}\n]");
    assert_eq!(
        refused(&path, &["a"]),
        "rows.json:3: malformed JSON at character 7: expected `:`"
    );
}

#[test]
fn a_quotation_mark_that_is_never_closed_is_named() {
    let rows = |line: usize, quoted: &str| -> String {
        let row = |row: usize| {
            if row == line {
                format!("0,{quoted}\n")
            } else {
                format!("{},text {row}\n", row % 2)
            }
        };
        format!("label,text\n{}", (2..4000).map(row).collect::<String>())
    };
    for (name, delimiter) in [("rows.csv", ","), ("rows.tsv", "\t")] {
        for line in [2, 12, 3999] {
            let content = rows(line, "\"open").replace(',', delimiter);
            let (_folder, path) = write(name, content);
            let expected =
                format!("{name}:{line}: a quotation mark opens a field here and is never closed");
            assert_eq!(refused(&path, &["text"]), expected);
            assert_eq!(
                read_objects(&[path])
                    .unwrap_err()
                    .to_string()
                    .rsplit('/')
                    .next()
                    .unwrap(),
                expected
            );
        }
    }
    for closed in ["\"a \"\"b\"\"\"", "a \"b", "\"a\" b", "\"a\nb\""] {
        let (_folder, path) = write("rows.csv", format!("\u{feff}{}", rows(12, closed)));
        assert_eq!(
            values(&path, &["text"], ReadOptions::default()).len(),
            3998,
            "{closed}"
        );
    }
    let (_folder, path) = write("quoted.csv", "\u{feff}\"text\",\"label\"\na,1\n");
    assert_eq!(values(&path, &["text"], ReadOptions::default()).len(), 1);
}

#[test]
fn a_pointer_of_git_lfs_is_no_data() {
    for name in ["rows.parquet", "rows.jsonl", "rows.csv"] {
        let (_folder, path) = write(
            name,
            "version https://git-lfs.github.com/spec/v1\noid sha256:1234\nsize 5\n",
        );
        let error = read_objects(&[path]).unwrap_err();
        assert!(
            error
                .to_string()
                .ends_with("is a note of git-lfs about a file, and not the file"),
            "{error}"
        );
        assert_eq!(error.hint().unwrap(), "fetch the file with `git lfs pull`");
    }
}

#[test]
fn two_columns_of_one_name_are_refused() {
    let (folder, path) = write("rows.csv", "a,b,a\n1,2,3\n");
    assert_eq!(
        refused(&path, &["a"]),
        "rows.csv: two columns are called `a`"
    );
    assert!(read_objects(std::slice::from_ref(&path)).is_err());
    assert_eq!(values(&path, &["b"], ReadOptions::default()).len(), 1);
    let path = folder.path().join("rows.parquet");
    let one: ArrayRef = Arc::new(Int64Array::from(vec![1]));
    let batch =
        RecordBatch::try_from_iter([("a", one.clone()), ("a", one.clone()), ("b", one)]).unwrap();
    write_batch(&path, &batch);
    assert_eq!(
        refused(&path, &["a"]),
        "rows.parquet: two columns are called `a`"
    );
    assert!(read_objects(&[path]).is_err());
}

fn write_batch(path: &Path, batch: &RecordBatch) {
    let mut writer =
        ArrowWriter::try_new(File::create(path).unwrap(), batch.schema(), None).unwrap();
    writer.write(batch).unwrap();
    writer.close().unwrap();
}

#[test]
fn odd_parts_of_a_structure_are_left_out_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rows.parquet");
    let texts: ArrayRef = Arc::new(StringViewArray::from(vec!["a", "b"]));
    let times: ArrayRef =
        Arc::new(TimestampMillisecondArray::from(vec![Some(1_500), None]).with_timezone("UTC"));
    let bytes: ArrayRef = Arc::new(BinaryArray::from(vec![b"x".as_slice(), b"y"]));
    let field =
        |name: &str, array: &ArrayRef| Arc::new(Field::new(name, array.data_type().clone(), true));
    let turns = StructArray::from(vec![
        (field("content", &texts), texts.clone()),
        (field("sent", &times), times.clone()),
        (field("image", &bytes), bytes.clone()),
    ]);
    let turns: ArrayRef = Arc::new(turns);
    let batch = RecordBatch::try_from_iter_with_nullable([
        ("turn", turns, true),
        ("sent", times, true),
        ("image", bytes, true),
    ]);
    write_batch(&path, &batch.unwrap());
    assert_eq!(
        objects(&path),
        [
            json!({"turn": {"content": "a", "sent": "1970-01-01T00:00:01.500Z"}, "sent": "1970-01-01T00:00:01.500Z"}),
            json!({"turn": {"content": "b", "sent": null}, "sent": null}),
        ]
    );
    assert_eq!(
        refused(&path, &["image"]),
        "rows.parquet: row 1: column `image` holds values of the type Binary; text, a number or true/false is needed"
    );
}

#[test]
fn codecs_of_parquet_are_read() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/parquet");
    let rows = |codec: &str| {
        let path = fixtures.join(format!("{codec}.parquet"));
        values(&path, &["label", "text"], ReadOptions::default())
    };
    let gzip = rows("gzip");
    assert_eq!(gzip.len(), 40);
    for text in [
        "banu kirin hesk fabel zun fabel 8",
        "zun tal moru tal prina fabel 31",
    ] {
        assert!(gzip.iter().any(|(_, values)| values[1] == text), "{text}");
    }
    assert_eq!(rows("brotli"), gzip);
    assert_eq!(rows("lz4"), gzip);
}

#[test]
fn a_text_that_is_too_long_is_named() {
    let long = "x".repeat(MOST_TEXT + 1);
    let most = "x".repeat(MOST_TEXT);
    let rows = |text: &str| {
        format!("{{\"text\": \"a\", \"other\": 1}}\n{{\"text\": \"{text}\", \"other\": 1}}\n")
    };
    let (_folder, path) = write("rows.jsonl", rows(&long));
    assert_eq!(
        refused(&path, &["text"]),
        "rows.jsonl:2: the text of `text` is longer than 8 MiB, the most that is read"
    );
    // Nobody asked for it.
    assert_eq!(values(&path, &["other"], ReadOptions::default()).len(), 2);
    let (_folder, path) = write("rows.jsonl", rows(&most));
    assert_eq!(values(&path, &["text"], ReadOptions::default()).len(), 2);

    let (_folder, path) = write("rows.txt", format!("a line\n{long}\n"));
    assert_eq!(
        refused(&path, &["text"]),
        "rows.txt:2: a line is longer than 8 MiB, the most that is read"
    );
    let (_folder, path) = write("rows.txt", &most);
    assert_eq!(values(&path, &["text"], ReadOptions::default()).len(), 1);

    // An open quotation mark would swallow the rest of any file.
    let (_folder, path) = write("rows.csv", format!("text,label\n\"{long}\n{long}\",1\n"));
    let error = read(&[path], &["text"], ReadOptions::default()).unwrap_err();
    let source = std::error::Error::source(&error).unwrap().to_string();
    assert_eq!(
        source,
        "a field that reaches line 2 is longer than 8 MiB, the most that is read"
    );
}

#[test]
fn a_page_that_claims_gigabytes_is_refused() {
    let (folder, path) = write("rows.parquet", "");
    write_parquet(&path);
    assert!(read_objects(std::slice::from_ref(&path)).is_ok());
    let whole = fs::read(&path).unwrap();
    // The head of the first page, behind the file's mark: type, then size, as Thrift's compact protocol writes them.
    assert_eq!((whole[4], whole[6]), (0x15, 0x15), "{:?}", &whole[..16]);
    let end = 7 + whole[7..].iter().position(|byte| *byte < 0x80).unwrap() + 1;
    let footer = u32::from_le_bytes(whole[whole.len() - 8..][..4].try_into().unwrap());
    let footer = whole.len() - 8 - footer as usize;
    // 2^31 - 1 takes five bytes; as many fewer of the page leave the footer in its place.
    let claim = [0xfe, 0xff, 0xff, 0xff, 0x0f];
    let page = &whole[end..footer - (claim.len() - (end - 7))];
    let lie = [&whole[..7], &claim, page, &whole[footer..]].concat();
    let path = folder.path().join("lie.parquet");
    fs::write(&path, lie).unwrap();
    let error = read_objects(&[path]).unwrap_err().to_string();
    assert!(
        error.contains("the page at byte 4 claims 2147483647 bytes; at most 256 MiB are read"),
        "{error}"
    );
}
