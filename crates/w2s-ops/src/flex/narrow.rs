//! `x wᵀ` for a few rows: what a step of generation multiplies.
//!
//! A general routine packs the weight first, which takes as long as multiplying it with few rows. Here `x` is transposed
//! and the weight is read once, as it lies in memory: the lanes of a vector are rows of `x`, each value of the weight is
//! multiplied with all of them, and nothing is summed across lanes. Every product is summed in one order whatever is
//! computed beside it, so a row's result does not depend on the others.

use super::attention::Shared;
use super::{dims2, filled, tensor, values};
use burn::backend::flex::FlexTensor;
use pulp::{Simd, WithSimd};
use rayon::prelude::*;

/// Rows up to which this is faster than the general routine.
pub const ROWS: usize = 64;

/// Rows of the weight that one task multiplies.
const STRIP: usize = 48;

/// Rows of `x` are filled up with zeros to a multiple of this, the lanes of the widest vector.
const LANES: usize = 16;

/// Columns of `x` that one task transposes.
const COLUMNS: usize = 128;

/// `x wᵀ`.
pub fn linear(x: &FlexTensor, weight: &FlexTensor) -> FlexTensor {
    let ([rows, input], [output, width]) = (dims2(x), dims2(weight));
    assert_eq!(input, width, "inner dimensions differ");
    values!(x, weight);
    let values = filled(rows * output, |out| {
        if rows == 0 || input == 0 {
            out.fill(0.0);
            return;
        }
        let columns = transposed(x, rows, input);
        let out = Shared::new(out);
        weight
            .par_chunks(STRIP * input)
            .enumerate()
            .for_each(|(i, weight)| {
                pulp::Arch::new().dispatch(Strip {
                    columns: &columns,
                    rows,
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

/// The columns of `x` one after the other, each filled up to a multiple of [`LANES`].
fn transposed(x: &[f32], rows: usize, input: usize) -> Vec<f32> {
    let height = rows.next_multiple_of(LANES);
    let mut columns = vec![0f32; input * height];
    columns
        .par_chunks_mut(COLUMNS * height)
        .enumerate()
        .for_each(|(i, columns)| {
            for (row, x) in x.chunks_exact(input).enumerate() {
                let x = &x[i * COLUMNS..];
                for (column, &x) in columns.chunks_exact_mut(height).zip(x) {
                    column[row] = x;
                }
            }
        });
    columns
}

/// Asks for a cache line that will be read soon. The rows of a weight are too short for the processor to see it coming.
#[inline(always)]
fn prefetch(address: *const f32) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a hint that reads nothing, whatever the address.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(address.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = address;
}

/// All rows times some rows of the weight.
struct Strip<'a> {
    /// `[input, rows]`, rows filled up.
    columns: &'a [f32],
    rows: usize,
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
        let count = self.weight.len() / self.input;
        let mut column = 0;
        // As many sums as registers hold, 32 of the widest vectors and 16 of others: two vectors of rows by so many rows of
        // the weight.
        if S::F32_LANES == LANES {
            while column + 12 <= count {
                self.rows::<S, 12>(simd, column);
                column += 12;
            }
        }
        while column + 6 <= count {
            self.rows::<S, 6>(simd, column);
            column += 6;
        }
        while column < count {
            self.rows::<S, 1>(simd, column);
            column += 1;
        }
    }
}

impl Strip<'_> {
    #[inline(always)]
    fn rows<S: Simd, const C: usize>(&self, simd: S, column: usize) {
        let vectors = self.rows.div_ceil(S::F32_LANES);
        let mut vector = 0;
        while vector + 2 <= vectors {
            self.tile::<S, 2, C>(simd, vector, column);
            vector += 2;
        }
        if vector < vectors {
            self.tile::<S, 1, C>(simd, vector, column);
        }
    }

    /// `V` vectors of rows by `C` rows of the weight.
    #[inline(always)]
    #[expect(
        clippy::needless_range_loop,
        reason = "indices run over several arrays"
    )]
    fn tile<S: Simd, const V: usize, const C: usize>(&self, simd: S, vector: usize, column: usize) {
        let height = self.rows.next_multiple_of(LANES) / S::F32_LANES;
        let mut weight: [&[f32]; C] = [&[]; C];
        for c in 0..C {
            weight[c] = &self.weight[(column + c) * self.input..][..self.input];
        }
        let mut sums = [[simd.splat_f32s(0.0); V]; C];
        let columns = S::as_simd_f32s(self.columns).0.chunks_exact(height);
        for (k, x) in columns.enumerate() {
            if k % LANES == 0 && vector == 0 {
                for c in 0..C {
                    prefetch(weight[c].as_ptr().wrapping_add(k + C * self.input));
                }
            }
            let mut lanes = [simd.splat_f32s(0.0); V];
            lanes.copy_from_slice(&x[vector..][..V]);
            for c in 0..C {
                // SAFETY: there are as many columns of `x` as values in a row of the weight.
                let w = simd.splat_f32s(unsafe { *weight[c].get_unchecked(k) });
                for v in 0..V {
                    sums[c][v] = simd.mul_add_e_f32s(w, lanes[v], sums[c][v]);
                }
            }
        }
        let mut values = [[0f32; 2 * LANES]; C];
        for c in 0..C {
            let lanes = S::as_mut_simd_f32s(&mut values[c]).0;
            lanes[..V].copy_from_slice(&sums[c]);
        }
        let first = vector * S::F32_LANES;
        for row in 0..(V * S::F32_LANES).min(self.rows - first) {
            let mut out = [0f32; C];
            for c in 0..C {
                out[c] = values[c][row];
            }
            let at = (first + row) * self.output + self.first + column;
            // SAFETY: the columns of this strip belong to this task.
            unsafe { self.out.put(at, self.output, &out, C) };
        }
    }
}
