//! pass@k.

/// The probability that one of `k` samples is right, if `right` of `samples` were: `1 - C(n - c, k) / C(n, k)`, without bias.
/// With `k` equal to `samples` it is 1 if any is right. `None` where `k` samples cannot be drawn.
///
/// ```
/// use w2s_answers::pass_at_k;
///
/// assert_eq!(pass_at_k(10, 3, 10), Some(1.0));
/// assert_eq!(pass_at_k(10, 3, 11), None);
/// ```
pub fn pass_at_k(samples: usize, right: usize, k: usize) -> Option<f64> {
    if k == 0 || k > samples || right > samples {
        return None;
    }
    let wrong = samples - right;
    if wrong < k {
        return Some(1.0);
    }
    // C(n - c, k) / C(n, k) is the product of (1 - k / i) over i from n - c + 1 to n.
    let none_right: f64 = (wrong + 1..=samples)
        .map(|i| 1.0 - k as f64 / i as f64)
        .product();
    Some(1.0 - none_right)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn k_samples_must_be_there() {
        for (samples, right, k) in [(3, 1, 0), (3, 1, 4), (3, 4, 1), (0, 0, 1)] {
            assert_eq!(pass_at_k(samples, right, k), None);
        }
        assert_eq!(pass_at_k(4, 1, 1), Some(0.25));
    }
}
