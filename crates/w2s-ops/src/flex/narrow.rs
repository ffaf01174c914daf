//! `x wᵀ` for a few rows: what a step of generation multiplies.
//!
//! A general routine packs the weight first, which takes as long as multiplying it with few rows. Here tiles of dot
//! products run along the rows of both, as they lie in memory, and the weight is read once. Every product is summed in
//! one order whatever is computed beside it, so a row's result does not depend on the others.

use super::attention::Shared;
use super::{dims2, filled, tensor, values};
use burn::backend::flex::FlexTensor;
use pulp::{Simd, WithSimd};
use rayon::prelude::*;

/// Rows up to which this is faster than the general routine.
pub const ROWS: usize = 64;

/// Rows of the weight that one task multiplies.
const STRIP: usize = 48;

/// `x wᵀ`.
pub fn linear(x: &FlexTensor, weight: &FlexTensor) -> FlexTensor {
    let ([rows, input], [output, width]) = (dims2(x), dims2(weight));
    assert_eq!(input, width, "inner dimensions differ");
    values!(x, weight);
    let values = filled(rows * output, |out| {
        if input == 0 {
            out.fill(0.0);
            return;
        }
        let out = Shared::new(out);
        weight
            .par_chunks(STRIP * input)
            .enumerate()
            .for_each(|(i, weight)| {
                pulp::Arch::new().dispatch(Strip {
                    x,
                    weight,
                    input,
                    output,
                    first: i * STRIP,
                    out: &out,
                });
            });
    });
    tensor(values, [rows, output])
}

/// All rows times some rows of the weight.
struct Strip<'a> {
    x: &'a [f32],
    weight: &'a [f32],
    input: usize,
    output: usize,
    /// The column of the output that the first of these rows of the weight makes.
    first: usize,
    out: &'a Shared,
}

impl WithSimd for Strip<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let columns = self.weight.len() / self.input;
        let mut column = 0;
        while column + 6 <= columns {
            self.columns::<S, 6>(simd, column);
            column += 6;
        }
        while column < columns {
            self.columns::<S, 1>(simd, column);
            column += 1;
        }
    }
}

impl Strip<'_> {
    #[inline(always)]
    fn columns<S: Simd, const C: usize>(&self, simd: S, column: usize) {
        let rows = self.x.len() / self.input;
        let mut row = 0;
        while row + 4 <= rows {
            self.tile::<S, 4, C>(simd, row, column);
            row += 4;
        }
        while row < rows {
            self.tile::<S, 1, C>(simd, row, column);
            row += 1;
        }
    }

    /// `R` rows by `C` rows of the weight: as many sums as registers hold.
    #[inline(always)]
    #[expect(
        clippy::needless_range_loop,
        reason = "indices run over several arrays"
    )]
    fn tile<S: Simd, const R: usize, const C: usize>(&self, simd: S, row: usize, column: usize) {
        let input = self.input;
        let steps = input / S::F32_LANES;
        let mut x: [&[S::f32s]; R] = [&[]; R];
        for i in 0..R {
            x[i] = &S::as_simd_f32s(&self.x[(row + i) * input..][..input]).0[..steps];
        }
        let mut w: [&[S::f32s]; C] = [&[]; C];
        for j in 0..C {
            w[j] = &S::as_simd_f32s(&self.weight[(column + j) * input..][..input]).0[..steps];
        }
        let mut sums = [[simd.splat_f32s(0.0); C]; R];
        for step in 0..steps {
            for i in 0..R {
                let a = x[i][step];
                for j in 0..C {
                    sums[i][j] = simd.mul_add_e_f32s(a, w[j][step], sums[i][j]);
                }
            }
        }
        let rest = steps * S::F32_LANES;
        for i in 0..R {
            let mut out = [0f32; C];
            for j in 0..C {
                out[j] = simd.reduce_sum_f32s(sums[i][j]);
                for at in rest..input {
                    let (a, b) = (
                        self.x[(row + i) * input + at],
                        self.weight[(column + j) * input + at],
                    );
                    out[j] += a * b;
                }
            }
            let at = (row + i) * self.output + self.first + column;
            // SAFETY: the columns of this strip belong to this task.
            unsafe { self.out.put(at, self.output, &out, C) };
        }
    }
}
