//! A user's own features: a matrix with one row for each row of the source, from a file of NumPy, safetensors or Parquet.

mod npy;
#[cfg(feature = "cli")]
mod operation;
mod parquet;
mod safetensors;

use std::fs::File;
use std::path::{Path, PathBuf};

#[cfg(feature = "cli")]
pub use operation::FeaturesOperation;

/// Why a file does not give a matrix.
#[derive(Debug, thiserror::Error)]
pub enum MatrixError {
    /// The file cannot be read.
    #[error("cannot read `{}`", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// It holds something else, or values that are no features.
    #[error("`{}` is not usable as a matrix of features: {problem}", path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// Several files of different widths.
    #[error("`{}` has {found} features a row, but `{}` has {first}", path.display(), first_path.display())]
    Widths {
        /// The first file.
        first_path: PathBuf,
        /// Its features.
        first: usize,
        /// A later one.
        path: PathBuf,
        /// Its features.
        found: usize,
    },
}

/// Numbers in rows of one width, all finite.
#[derive(Clone, Debug, PartialEq)]
pub struct Matrix {
    /// Features of a row.
    width: usize,
    /// Row by row.
    values: Vec<f32>,
}

impl Matrix {
    /// Reads files one below the other. `tensor` names the tensor of a safetensors file, or the column of lists of a Parquet
    /// file, where there are several.
    ///
    /// # Errors
    ///
    /// A file that is none of the formats, holds no matrix of floats, or has a value that is not finite; files of
    /// different widths.
    pub fn read(paths: &[PathBuf], tensor: Option<&str>) -> Result<Self, MatrixError> {
        let mut whole: Option<Self> = None;
        for path in paths {
            let part = Self::read_one(path, tensor)?;
            match &mut whole {
                None => whole = Some(part),
                Some(whole) if whole.width == part.width => whole.values.extend(part.values),
                Some(whole) => {
                    return Err(MatrixError::Widths {
                        first_path: paths[0].clone(),
                        first: whole.width,
                        path: path.clone(),
                        found: part.width,
                    });
                }
            }
        }
        Ok(whole.unwrap_or(Self {
            width: 1,
            values: Vec::new(),
        }))
    }

    fn read_one(path: &Path, tensor: Option<&str>) -> Result<Self, MatrixError> {
        let unusable = |problem: String| MatrixError::Unusable {
            path: path.into(),
            problem,
        };
        let io = |source| MatrixError::Io {
            path: path.into(),
            source,
        };
        let bytes = || std::fs::read(path).map_err(io);
        let extension = path.extension().and_then(|e| e.to_str()).unwrap_or("");
        let (width, values) = match extension {
            "npy" if tensor.is_some() => {
                Err("it holds one array without a name\nhint: leave --tensor out".to_owned())
            }
            "npy" => npy::read(&bytes()?),
            "safetensors" => safetensors::read(&bytes()?, tensor),
            "parquet" => parquet::read(File::open(path).map_err(io)?, tensor),
            _ => Err("its name ends in none of .npy, .safetensors, .parquet\n\
                 hint: in Python, `numpy.save(\"features.npy\", matrix)` writes one"
                .to_owned()),
        }
        .map_err(unusable)?;
        if width == 0 || values.is_empty() {
            let rows = values.len().checked_div(width).unwrap_or(0);
            return Err(unusable(format!("it is empty, {rows} rows of {width}")));
        }
        match values.iter().position(|value| !value.is_finite()) {
            None => Ok(Self { width, values }),
            Some(place) => Err(unusable(format!(
                "the value in row {}, column {} (both from 0) is {}",
                place / width,
                place % width,
                values[place]
            ))),
        }
    }

    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.values.len() / self.width
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Features of a row.
    pub fn width(&self) -> usize {
        self.width
    }

    /// A row, from 0; `None` behind the last one.
    pub fn row(&self, row: usize) -> Option<&[f32]> {
        self.values.chunks(self.width).nth(row)
    }
}

/// Width and values of a matrix of this shape, or why it is none.
fn shaped(shape: &[usize], values: Vec<f32>) -> Result<(usize, Vec<f32>), String> {
    match *shape {
        [_, width] => Ok((width, values)),
        _ => Err(format!(
            "its shape is {shape:?}, and a matrix has rows and columns\n\
             hint: in Python, `matrix.reshape(len(matrix), -1)` makes one row of each example"
        )),
    }
}

#[cfg(test)]
mod tests;
