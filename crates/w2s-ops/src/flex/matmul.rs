//! Matrix products in any combination of layouts, without a copy: through `faer` where the left factor's rows are
//! contiguous and the output is not very wide, through `gemm` elsewhere. Each is the faster one there, see
//! `docs/performance.md`.

use super::{dims2, filled, tensor, values};
use burn::backend::flex::FlexTensor;
use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};
use gemm::Parallelism;

/// Multiply-adds below which one thread is faster than two.
const PARALLEL_FROM: usize = 1 << 20;

/// Columns of the output from which `gemm` is the faster routine for every layout: those of a large vocabulary.
const WIDE: usize = 1 << 14;

/// A matrix in a slice, by its strides.
#[derive(Clone, Copy)]
pub struct Matrix<'a> {
    values: &'a [f32],
    rows: usize,
    columns: usize,
    row_stride: usize,
    column_stride: usize,
}

impl<'a> Matrix<'a> {
    /// `rows` rows of `columns` values, each row `stride` values after the one before.
    pub fn strided(values: &'a [f32], rows: usize, columns: usize, stride: usize) -> Self {
        assert!(rows == 0 || columns == 0 || (rows - 1) * stride + columns <= values.len());
        Self {
            values,
            rows,
            columns,
            row_stride: stride,
            column_stride: 1,
        }
    }

    /// Rows one after the other.
    pub fn new(values: &'a [f32], rows: usize, columns: usize) -> Self {
        Self::strided(values, rows, columns, columns)
    }

    /// The transpose of this matrix.
    pub fn t(self) -> Self {
        Self {
            rows: self.columns,
            columns: self.rows,
            row_stride: self.column_stride,
            column_stride: self.row_stride,
            ..self
        }
    }
}

/// Whether a product replaces or adds to what stands in its output.
#[derive(Clone, Copy, PartialEq)]
pub enum Into {
    Replace,
    Add,
}

/// `out (+)= scale * a b`, rows of `out` being `stride` apart.
pub fn product(
    out: &mut [f32],
    stride: usize,
    into: Into,
    scale: f32,
    a: Matrix,
    b: Matrix,
    parallel: bool,
) {
    let (m, n, k) = (a.rows, b.columns, a.columns);
    assert_eq!(k, b.rows, "inner dimensions differ");
    if m == 0 || n == 0 {
        return;
    }
    assert!((m - 1) * stride + n <= out.len());
    let large = parallel && m * n * k >= PARALLEL_FROM;
    let threads = rayon::current_num_threads();
    if large && a.column_stride == 1 && n < WIDE {
        let accum = match into {
            Into::Replace => Accum::Replace,
            Into::Add => Accum::Add,
        };
        // SAFETY: `Matrix` and the assertion above keep every address inside its slice, and `out` is borrowed mutably, so
        // it overlaps neither input.
        let (a, b, out) = unsafe {
            (
                MatRef::from_raw_parts(a.values.as_ptr(), m, k, a.row_stride as isize, 1),
                MatRef::from_raw_parts(
                    b.values.as_ptr(),
                    k,
                    n,
                    b.row_stride as isize,
                    b.column_stride as isize,
                ),
                MatMut::from_raw_parts_mut(out.as_mut_ptr(), m, n, stride as isize, 1),
            )
        };
        matmul(out, accum, a, b, scale, Par::rayon(threads));
        return;
    }
    let parallelism = match large {
        true => Parallelism::Rayon(threads),
        false => Parallelism::None,
    };
    // SAFETY: as above. With `Replace` the output is not read.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            out.as_mut_ptr(),
            1,
            stride as isize,
            into == Into::Add,
            a.values.as_ptr(),
            a.column_stride as isize,
            a.row_stride as isize,
            b.values.as_ptr(),
            b.column_stride as isize,
            b.row_stride as isize,
            1.0,
            scale,
            false,
            false,
            false,
            parallelism,
        );
    }
}

fn full(a: Matrix, b: Matrix) -> FlexTensor {
    let (m, n) = (a.rows, b.columns);
    let values = filled(m * n, |out| {
        if a.columns == 0 {
            out.fill(0.0);
        }
        product(out, n, Into::Replace, 1.0, a, b, true);
    });
    tensor(values, [m, n])
}

/// `x wᵀ`.
pub fn linear(x: &FlexTensor, weight: &FlexTensor) -> FlexTensor {
    let ([tokens, input], [output, _]) = (dims2(x), dims2(weight));
    values!(x, weight);
    full(
        Matrix::new(x, tokens, input),
        Matrix::new(weight, output, input).t(),
    )
}

/// `dy w`.
pub fn linear_backward_x(dy: &FlexTensor, weight: &FlexTensor) -> FlexTensor {
    let ([tokens, output], [_, input]) = (dims2(dy), dims2(weight));
    values!(dy, weight);
    full(
        Matrix::new(dy, tokens, output),
        Matrix::new(weight, output, input),
    )
}

/// `dyᵀ x`.
pub fn linear_backward_weight(dy: &FlexTensor, x: &FlexTensor) -> FlexTensor {
    let ([tokens, output], [_, input]) = (dims2(dy), dims2(x));
    values!(dy, x);
    full(
        Matrix::new(dy, tokens, output).t(),
        Matrix::new(x, tokens, input),
    )
}
