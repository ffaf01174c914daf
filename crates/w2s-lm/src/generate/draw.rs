//! How an id is drawn from logits.

use super::Sampling;
use rand::Rng;
use rand_chacha::ChaCha8Rng;

/// Draws an id by its logit.
pub(super) fn sample(logits: &[f32], sampling: &Sampling, rng: &mut ChaCha8Rng) -> u32 {
    // The uniform draw comes from bits, so that no library's sampling is part of the result.
    let uniform = (rng.next_u64() >> 11) as f64 / (1u64 << 53) as f64;
    let top = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let temperature = f64::from(sampling.temperature);
    let weight = |id: u32| (f64::from(logits[id as usize] - top) / temperature).exp();
    let count = logits.len();
    let limit = sampling.top_k.unwrap_or(count).min(count);
    let ids = match sampling.top_p {
        Some(p) if p < 1.0 => nucleus(logits, limit, f64::from(p), weight),
        _ if limit == count => (0..count as u32).collect(),
        _ => best(logits, limit),
    };
    let weights: Vec<f64> = ids.iter().map(|&id| weight(id)).collect();
    let mut left = uniform * weights.iter().sum::<f64>();
    for (&id, weight) in ids.iter().zip(&weights) {
        left -= weight;
        if left < 0.0 {
            return id;
        }
    }
    // Rounding may leave a trace of the sum.
    ids[ids.len() - 1]
}

/// The `count` ids with the largest logits, the largest first, the lowest id first of equal ones.
fn best(logits: &[f32], count: usize) -> Vec<u32> {
    let order = |a: &u32, b: &u32| {
        let (x, y) = (logits[*a as usize], logits[*b as usize]);
        y.total_cmp(&x).then(a.cmp(b))
    };
    let mut ids: Vec<u32> = (0..logits.len() as u32).collect();
    if count < ids.len() {
        ids.select_nth_unstable_by(count - 1, order);
        ids.truncate(count);
    }
    ids.sort_unstable_by(order);
    ids
}

/// The fewest of the `limit` best ids that hold `p` of their weight, the best first.
fn nucleus(logits: &[f32], limit: usize, p: f64, weight: impl Fn(u32) -> f64) -> Vec<u32> {
    let total: f64 = if limit < logits.len() {
        best(logits, limit).into_iter().map(&weight).sum()
    } else {
        (0..limit as u32).map(&weight).sum()
    };
    // Mostly a few are enough, and sorting all of a vocabulary is slow.
    let mut count = limit.min(64);
    loop {
        let mut ids = best(logits, count);
        let sums = ids.iter().scan(0.0, |sum, &id| {
            *sum += weight(id);
            Some(*sum)
        });
        let enough = sums.take_while(|sum| *sum < p * total).count() + 1;
        if enough <= count || count == limit {
            ids.truncate(enough);
            return ids;
        }
        count = limit.min(16 * count);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOGITS: [f32; 5] = [0.0, 2.0, 1.0, 2.0, -1.0];

    #[test]
    fn the_best_come_in_order_and_ties_by_id() {
        assert_eq!(best(&LOGITS, 3), [1, 3, 2]);
        assert_eq!(best(&LOGITS, 5), [1, 3, 2, 0, 4]);
    }

    #[test]
    fn a_nucleus_is_the_fewest_that_suffice() {
        // e^0, e^0, e^-1, e^-2, e^-3 add up to 2.553: 0.39, 0.78, 0.93, 0.98, 1.
        let weight = |id: u32| f64::from(LOGITS[id as usize] - 2.0).exp();
        for (p, expected) in [(0.3, 1), (0.4, 2), (0.9, 3), (0.95, 4), (0.999, 5)] {
            assert_eq!(nucleus(&LOGITS, 5, p, weight).len(), expected, "{p}");
        }
        assert_eq!(nucleus(&LOGITS, 5, 0.9, weight), [1, 3, 2]);
        // Of the two best alone, one holds half.
        assert_eq!(nucleus(&LOGITS, 2, 0.5, weight), [1]);
    }
}
