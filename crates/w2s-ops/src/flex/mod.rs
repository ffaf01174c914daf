//! The CPU kernels: `f32`, multi-threaded, one pass over memory where the reference takes many.
//!
//! Results do not depend on how many threads run: work is cut into pieces of a fixed size, and sums over pieces are
//! taken in their order.

pub mod activation;
pub mod attention;
pub mod head;
pub mod matmul;
pub mod narrow;
pub mod norm;
pub mod optimizer;
pub mod rows;
mod simd;

use burn::backend::TensorMetadata;
use burn::backend::flex::FlexTensor;
use burn::tensor::{Shape, TensorData};
use rayon::prelude::*;

/// Values that one task works on at least; smaller tensors are not worth a second thread.
const TASK: usize = 1 << 14;

/// A contiguous view of a tensor; copies only what is strided.
struct Values(FlexTensor);

impl Values {
    fn of(tensor: &FlexTensor) -> Self {
        Self(tensor.to_contiguous())
    }
}

impl std::ops::Deref for Values {
    type Target = [f32];
    fn deref(&self) -> &[f32] {
        self.0.as_slice().expect("the tensor was made contiguous")
    }
}

/// Shadows tensors by their values, each as a plain slice: looking into the tensor at every access would cost more than
/// the arithmetic.
macro_rules! values {
    ($($name:ident),+) => {
        $(
            let $name = crate::flex::Values::of($name);
            let $name: &[f32] = &$name;
        )+
    };
}
use values;

fn dims2(tensor: &FlexTensor) -> [usize; 2] {
    let shape = tensor.shape();
    [shape[0], shape[1]]
}

fn tensor(values: Vec<f32>, shape: impl Into<Shape>) -> FlexTensor {
    FlexTensor::from_data(TensorData::new(values, shape))
}

/// A vector that `fill` writes in full.
///
/// Zeroing a fresh output first would be one more pass over memory, a tenth of a small product's time.
#[expect(clippy::uninit_vec, reason = "every kernel writes its whole output")]
fn filled(len: usize, fill: impl FnOnce(&mut [f32])) -> Vec<f32> {
    let mut values: Vec<f32> = Vec::with_capacity(len);
    // SAFETY: the capacity is there, any bits are a valid f32, and every caller writes each value before the vector
    // leaves this function; none reads before it writes.
    unsafe {
        values.set_len(len);
    }
    fill(&mut values);
    values
}

/// Runs `work(first_row, rows)` on blocks of rows of `out` in parallel.
fn by_rows(out: &mut [f32], width: usize, work: impl Fn(usize, &mut [f32]) + Sync) {
    if out.is_empty() {
        return;
    }
    let rows = TASK.div_ceil(width);
    out.par_chunks_mut(rows * width)
        .enumerate()
        .for_each(|(i, block)| {
            simd::dispatch(
                #[inline(always)]
                || work(i * rows, block),
            )
        });
}

/// The one value of a `[1]` tensor.
pub fn scalar(x: &FlexTensor) -> f32 {
    Values::of(x)[0]
}

/// `x * factor`, in place where nobody else holds `x`.
pub fn scaled(mut x: FlexTensor, factor: f32) -> FlexTensor {
    if factor == 1.0 {
        return x;
    }
    by_rows(
        x.storage_mut(),
        1,
        #[inline(always)]
        |_, block| {
            for v in block {
                *v *= factor;
            }
        },
    );
    x
}
