//! Files of every format are made here, byte by byte where it matters, and read back.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use arrow_array::types::{Float32Type, Float64Type};
use arrow_array::{
    ArrayRef, FixedSizeListArray, Float32Array, Float64Array, Int64Array, ListArray, RecordBatch,
};
use half::f16;
use parquet::arrow::ArrowWriter;
use safetensors::tensor::{Dtype, TensorView};

use super::Matrix;

/// Two rows of three.
const VALUES: [f32; 6] = [0.5, -1.0, 2.0, 3.5, 0.0, -0.25];

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.path().join(name);
        fs::write(&path, bytes).unwrap();
        path
    }

    /// What reading a file answers, without the folder.
    fn problem(&self, path: PathBuf, tensor: Option<&str>) -> String {
        let error = Matrix::read(&[path], tensor).unwrap_err().to_string();
        error.replace(&format!("{}/", self.0.path().display()), "")
    }

    fn parquet(&self, columns: Vec<(&str, ArrayRef)>) -> PathBuf {
        let batch = RecordBatch::try_from_iter(columns).unwrap();
        let mut bytes = Vec::new();
        let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), None).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
        self.write("x.parquet", bytes)
    }
}

/// As NumPy writes it: the header padded with spaces to a multiple of 64 bytes, ended by a line break.
fn npy(version: u8, descr: &str, fortran: bool, shape: &str, data: &[u8]) -> Vec<u8> {
    let order = if fortran { "True" } else { "False" };
    let mut header =
        format!("{{'descr': '{descr}', 'fortran_order': {order}, 'shape': {shape}, }}");
    let size_bytes = if version == 1 { 2 } else { 4 };
    while (8 + size_bytes + header.len() + 1) % 64 != 0 {
        header.push(' ');
    }
    header.push('\n');
    let mut bytes = b"\x93NUMPY".to_vec();
    bytes.extend([version, 0]);
    bytes.extend(&(header.len() as u32).to_le_bytes()[..size_bytes]);
    bytes.extend(header.bytes());
    bytes.extend(data);
    bytes
}

fn expected() -> Matrix {
    Matrix {
        width: 3,
        values: VALUES.to_vec(),
    }
}

fn little<const N: usize>(bytes: impl Fn(f32) -> [u8; N]) -> Vec<u8> {
    VALUES.iter().flat_map(|value| bytes(*value)).collect()
}

#[test]
fn every_version_and_width_of_npy() {
    let folder = Folder::new();
    let single = little(f32::to_le_bytes);
    for (version, descr, data) in [
        (1, "<f4", single.clone()),
        (2, "<f4", single.clone()),
        (3, "<f8", little(|v| f64::from(v).to_le_bytes())),
        (1, "<f2", little(|v| f16::from_f32(v).to_le_bytes())),
    ] {
        let path = folder.write("x.npy", npy(version, descr, false, "(2, 3)", &data));
        assert_eq!(
            Matrix::read(&[path], None).unwrap(),
            expected(),
            "{version} {descr}"
        );
    }
    let path = folder.write("x.npy", npy(1, "<f4", false, "(2, 3)", &single));
    let twice = Matrix::read(&[path.clone(), path], None).unwrap();
    assert_eq!((twice.len(), twice.width()), (4, 3));
    assert_eq!(twice.row(3), Some(&VALUES[3..]));
    assert_eq!(twice.row(4), None);
}

#[test]
fn what_is_wrong_with_an_npy_is_said() {
    let folder = Folder::new();
    let data = little(f32::to_le_bytes);
    let problem = |bytes: Vec<u8>| folder.problem(folder.write("x.npy", bytes), None);
    let prefix = "`x.npy` is not usable as a matrix of features: ";
    for (bytes, expected) in [
        (
            npy(1, "<f4", true, "(2, 3)", &data),
            "its columns lie one after the other (Fortran order)",
        ),
        (
            npy(1, ">f4", false, "(2, 3)", &data),
            "its values are big-endian (`>f4`)",
        ),
        (
            npy(1, "<i8", false, "(2, 3)", &data),
            "its values are of type `<i8`, not floats",
        ),
        (
            npy(1, "<f4", false, "(6,)", &data),
            "its shape is [6], and a matrix has rows and columns",
        ),
        (
            npy(1, "<f4", false, "(1, 2, 3)", &data),
            "its shape is [1, 2, 3], and a matrix",
        ),
        (
            npy(1, "<f4", false, "(4, 3)", &data),
            "its shape is [4, 3] of `<f4`, but 24 bytes follow",
        ),
        (
            npy(1, "<f4", false, "(0, 3)", &[]),
            "it is empty, 0 rows of 3",
        ),
        (
            npy(9, "<f4", false, "(2, 3)", &data),
            "its format version is 9; 1 to 3 are read",
        ),
        (
            b"\x93NUMPY\x01\x00\xff\xff{".to_vec(),
            "it ends before its header does",
        ),
        (
            b"PK\x03\x04".to_vec(),
            "it does not begin as a .npy file does",
        ),
    ] {
        let found = problem(bytes);
        assert!(found.starts_with(&format!("{prefix}{expected}")), "{found}");
    }
    let mut holed = VALUES;
    holed[4] = f32::NAN;
    let data: Vec<u8> = holed.iter().flat_map(|v| v.to_le_bytes()).collect();
    assert_eq!(
        problem(npy(1, "<f4", false, "(2, 3)", &data)),
        format!("{prefix}the value in row 1, column 1 (both from 0) is NaN")
    );
    let found = folder.problem(folder.write("x.npz", "PK"), None);
    assert!(
        found.contains("ends in none of .npy, .safetensors, .parquet"),
        "{found}"
    );
    let wide = folder.write(
        "y.npy",
        npy(1, "<f4", false, "(3, 2)", &little(f32::to_le_bytes)),
    );
    let narrow = folder.write(
        "x.npy",
        npy(1, "<f4", false, "(2, 3)", &little(f32::to_le_bytes)),
    );
    let error = Matrix::read(&[narrow, wide], None).unwrap_err().to_string();
    assert!(
        error.contains("y.npy` has 2 features a row, but"),
        "{error}"
    );
}

#[test]
fn a_tensor_of_safetensors() {
    let folder = Folder::new();
    let data = little(f32::to_le_bytes);
    let view = |shape: &[usize]| TensorView::new(Dtype::F32, shape.to_vec(), &data).unwrap();
    let file = |tensors: Vec<(&str, TensorView)>| {
        folder.write(
            "x.safetensors",
            safetensors::serialize(tensors, None).unwrap(),
        )
    };
    let one = file(vec![("z", view(&[2, 3]))]);
    assert_eq!(Matrix::read(&[one], None).unwrap(), expected());
    let two = || file(vec![("z", view(&[2, 3])), ("flat", view(&[6]))]);
    assert_eq!(Matrix::read(&[two()], Some("z")).unwrap(), expected());
    let prefix = "`x.safetensors` is not usable as a matrix of features: ";
    assert_eq!(
        folder.problem(two(), None),
        format!("{prefix}it has 2 tensors: flat, z\nhint: name one with `--tensor NAME`")
    );
    assert_eq!(
        folder.problem(two(), Some("y")),
        format!("{prefix}it has no tensor `y`; there are flat, z")
    );
    assert!(
        folder
            .problem(two(), Some("flat"))
            .contains("its shape is [6]")
    );
    let whole = TensorView::new(Dtype::I32, vec![2, 3], &data).unwrap();
    assert_eq!(
        folder.problem(file(vec![("z", whole)]), None),
        format!("{prefix}its tensor `z` is of type I32, not of floats")
    );
}

#[test]
fn columns_or_lists_of_parquet() {
    let folder = Folder::new();
    let column = |j: usize| -> ArrayRef {
        let values = [f64::from(VALUES[j]), f64::from(VALUES[3 + j])];
        Arc::new(Float64Array::from(values.to_vec()))
    };
    let columns = || vec![("a", column(0)), ("b", column(1)), ("c", column(2))];
    let read = |path, tensor| Matrix::read(&[path], tensor).unwrap();
    assert_eq!(read(folder.parquet(columns()), None), expected());

    let rows = || {
        VALUES
            .chunks(3)
            .map(|row| Some(row.iter().copied().map(Some).collect::<Vec<_>>()))
    };
    let fixed = FixedSizeListArray::from_iter_primitive::<Float32Type, _, _>(rows(), 3);
    assert_eq!(
        read(folder.parquet(vec![("x", Arc::new(fixed))]), None),
        expected()
    );
    let ids = || -> ArrayRef { Arc::new(Int64Array::from(vec![1, 2])) };
    let list =
        || -> ArrayRef { Arc::new(ListArray::from_iter_primitive::<Float32Type, _, _>(rows())) };
    let both = || folder.parquet(vec![("id", ids()), ("x", list())]);
    assert_eq!(read(both(), Some("x")), expected());

    let prefix = "`x.parquet` is not usable as a matrix of features: ";
    assert!(folder.problem(both(), None).starts_with(&format!(
        "{prefix}column `id` is of type Int64, not of floats\nhint: name the column"
    )));
    assert_eq!(
        folder.problem(both(), Some("y")),
        format!("{prefix}it has no column `y`; there are id, x")
    );
    let mixed = || folder.parquet(vec![("x", list()), ("y", column(0))]);
    assert!(
        folder
            .problem(mixed(), None)
            .contains("column `x` holds lists, and there are 2 columns")
    );
    let uneven = ListArray::from_iter_primitive::<Float64Type, _, _>(vec![
        Some(vec![Some(1.0), Some(2.0)]),
        Some(vec![Some(1.0)]),
    ]);
    assert_eq!(
        folder.problem(folder.parquet(vec![("x", Arc::new(uneven))]), None),
        format!("{prefix}column `x` has 2 values in row 0, but 1 in row 1")
    );
    let holed = Float32Array::from(vec![Some(1.0), None]);
    assert_eq!(
        folder.problem(folder.parquet(vec![("x", Arc::new(holed))]), None),
        format!("{prefix}column `x` has no value in row 1")
    );
    assert!(
        folder
            .problem(folder.write("x.parquet", "no parquet at all"), None)
            .starts_with(prefix)
    );
}
