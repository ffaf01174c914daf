//! Rows by index, and their gradient.

use super::{TASK, by_rows, dims2, filled, tensor, values};
use burn::backend::flex::FlexTensor;
use rayon::prelude::*;

/// Copies the rows `rows` of `table`.
pub fn gather(table: &FlexTensor, rows: &[usize]) -> FlexTensor {
    let [height, width] = dims2(table);
    values!(table);
    if let Some(&bad) = rows.iter().find(|&&r| r >= height) {
        panic!("row {bad} of a table with {height} rows");
    }
    let out = filled(rows.len() * width, |out| {
        by_rows(
            out,
            width,
            #[inline(always)]
            |first, block| {
                for (i, out) in block.chunks_exact_mut(width).enumerate() {
                    let row = rows[first + i];
                    out.copy_from_slice(&table[row * width..][..width]);
                }
            },
        );
    });
    tensor(out, [rows.len(), width])
}

/// Adds each row of `dy` to row `rows[i]` of a zeroed `[height, width]` table.
pub fn scatter_add(dy: &FlexTensor, rows: &[usize], height: usize) -> FlexTensor {
    let [_, width] = dims2(dy);
    values!(dy);
    let mut order: Vec<usize> = (0..rows.len()).collect();
    // A stable sort keeps the order of additions, and so the rounding, the same for any number of threads.
    order.sort_by_key(|&i| rows[i]);
    let mut out = vec![0f32; height * width];
    let block = TASK.div_ceil(width.max(1)).max(height.div_ceil(64));
    out.par_chunks_mut((block * width).max(1))
        .enumerate()
        .for_each(|(b, chunk)| {
            let first = b * block;
            let start = order.partition_point(|&i| rows[i] < first);
            for &i in order[start..]
                .iter()
                .take_while(|&&i| rows[i] < first + block)
            {
                let row = &mut chunk[(rows[i] - first) * width..][..width];
                for (o, d) in row.iter_mut().zip(&dy[i * width..][..width]) {
                    *o += d;
                }
            }
        });
    tensor(out, [height, width])
}
