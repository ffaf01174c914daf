//! NumPy's `.npy`: a magic, a version, a header written as a Python dictionary, and the values.

use half::f16;

use super::shaped;

const MAGIC: &[u8] = b"\x93NUMPY";

/// Width and values, row by row.
pub(super) fn read(bytes: &[u8]) -> Result<(usize, Vec<f32>), String> {
    let cut_off = || "it ends before its header does".to_owned();
    let rest = bytes
        .strip_prefix(MAGIC)
        .ok_or("it does not begin as a .npy file does")?;
    // Version 1 counts the header in two bytes, 2 and 3 in four.
    let (size_bytes, rest) = match rest {
        [1, _, rest @ ..] => (2, rest),
        [2 | 3, _, rest @ ..] => (4, rest),
        [version, ..] => return Err(format!("its format version is {version}; 1 to 3 are read")),
        [] => return Err(cut_off()),
    };
    let (size, rest) = rest.split_at_checked(size_bytes).ok_or_else(cut_off)?;
    let size = size
        .iter()
        .rev()
        .fold(0, |size, byte| size << 8 | usize::from(*byte));
    let (header, data) = rest.split_at_checked(size).ok_or_else(cut_off)?;
    let header = String::from_utf8_lossy(header);

    if field(&header, "fortran_order")?.starts_with("True") {
        return Err("its columns lie one after the other (Fortran order)\n\
             hint: in Python, save `numpy.ascontiguousarray(matrix)`"
            .into());
    }
    let shape = shape(&header)?;
    let kind = field(&header, "descr")?;
    let kind: String = match kind.strip_prefix(['\'', '"']) {
        Some(kind) => kind.chars().take_while(|c| !"'\"".contains(*c)).collect(),
        None => kind.chars().take_while(|c| *c != '}').collect(),
    };
    let values = match kind.as_str() {
        "<f2" => floats(data, |b| f16::from_le_bytes(b).to_f32()),
        "<f4" => floats(data, f32::from_le_bytes),
        "<f8" => floats(data, |b| f64::from_le_bytes(b) as f32),
        ">f2" | ">f4" | ">f8" => {
            return Err(format!(
                "its values are big-endian (`{kind}`)\nhint: in Python, save `matrix.astype(\"float32\")`"
            ));
        }
        _ => {
            return Err(format!(
                "its values are of type `{kind}`, not floats of 16, 32 or 64 bits\n\
                 hint: in Python, save `matrix.astype(\"float32\")`"
            ));
        }
    };
    let bytes_of_one = usize::from(kind.as_bytes()[2] - b'0');
    let wanted = shape
        .iter()
        .try_fold(bytes_of_one, |product: usize, &size| {
            product.checked_mul(size)
        });
    if wanted != Some(data.len()) {
        return Err(format!(
            "its shape is {shape:?} of `{kind}`, but {} bytes follow the header",
            data.len()
        ));
    }
    shaped(&shape, values)
}

fn floats<const N: usize>(data: &[u8], float: impl Fn([u8; N]) -> f32) -> Vec<f32> {
    data.as_chunks()
        .0
        .iter()
        .map(|bytes| float(*bytes))
        .collect()
}

/// What follows a key of the header.
fn field<'a>(header: &'a str, key: &str) -> Result<&'a str, String> {
    let missing = || format!("its header has no `{key}`");
    let (_, rest) = header.split_once(&format!("'{key}'")).ok_or_else(missing)?;
    let rest = rest.trim_start().strip_prefix(':').ok_or_else(missing)?;
    Ok(rest.trim_start())
}

/// Sizes in parentheses, with a comma behind the only one.
fn shape(header: &str) -> Result<Vec<usize>, String> {
    let text = field(header, "shape")?;
    let wrong = || format!("its header has the shape `{}`", text.trim_end());
    let inner = text.strip_prefix('(').and_then(|t| t.split_once(')'));
    let (sizes, _) = inner.ok_or_else(wrong)?;
    let sizes = sizes.split(',').map(str::trim).filter(|s| !s.is_empty());
    sizes
        .map(|size| size.parse().map_err(|_| wrong()))
        .collect()
}
