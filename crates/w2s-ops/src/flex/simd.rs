//! Arithmetic that compilers turn into vector instructions: fixed lanes, no branches.

/// Runs `f` compiled for the widest vectors of this machine; `f` and all it calls must be inlined into it.
#[inline(always)]
pub fn dispatch<R>(f: impl FnOnce() -> R) -> R {
    pulp::Arch::new().dispatch(f)
}

const LANES: usize = 32;

/// `Σ f(a_i, b_i)` in a fixed order of lanes.
#[inline(always)]
pub fn sum2(a: &[f32], b: &[f32], f: impl Fn(f32, f32, f32) -> f32) -> f32 {
    let mut lanes = [0f32; LANES];
    let (mut blocks_a, mut blocks_b) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    for (x, y) in (&mut blocks_a).zip(&mut blocks_b) {
        for i in 0..LANES {
            lanes[i] = f(lanes[i], x[i], y[i]);
        }
    }
    let rest = blocks_a.remainder().iter().zip(blocks_b.remainder());
    for (i, (&x, &y)) in rest.enumerate() {
        lanes[i] = f(lanes[i], x, y);
    }
    fold(lanes, |a, b| a + b)
}

#[inline(always)]
fn fold(mut lanes: [f32; LANES], f: impl Fn(f32, f32) -> f32) -> f32 {
    let mut width = LANES / 2;
    while width > 0 {
        for i in 0..width {
            lanes[i] = f(lanes[i], lanes[i + width]);
        }
        width /= 2;
    }
    lanes[0]
}

/// `Σ a_i b_i`.
#[inline(always)]
pub fn dot(a: &[f32], b: &[f32]) -> f32 {
    sum2(
        a,
        b,
        #[inline(always)]
        |sum, x, y| x.mul_add(y, sum),
    )
}

/// `Σ a_i`.
#[inline(always)]
pub fn sum(a: &[f32]) -> f32 {
    sum2(
        a,
        a,
        #[inline(always)]
        |sum, x, _| sum + x,
    )
}

/// The largest value; minus infinity of an empty slice.
#[inline(always)]
pub fn max(a: &[f32]) -> f32 {
    let mut lanes = [f32::NEG_INFINITY; LANES];
    let mut blocks = a.chunks_exact(LANES);
    for x in &mut blocks {
        for i in 0..LANES {
            lanes[i] = if x[i] > lanes[i] { x[i] } else { lanes[i] };
        }
    }
    for (i, &x) in blocks.remainder().iter().enumerate() {
        lanes[i] = if x > lanes[i] { x } else { lanes[i] };
    }
    fold(
        lanes,
        #[inline(always)]
        |a, b| if b > a { b } else { a },
    )
}

/// `e^x` to about two units in the last place; 0 below -87, capped above 88. NaN stays NaN.
#[inline(always)]
pub fn exp(x: f32) -> f32 {
    // Rounding to an integer by adding 1.5 * 2^23, whose low bits then hold that integer.
    const ROUND: f32 = 12_582_912.0;
    const LN2_HIGH: f32 = 0.693_359_4;
    const LN2_LOW: f32 = -2.121_944_4e-4;
    let clamped = if x > 88.0 { 88.0 } else { x };
    let clamped = if clamped < -87.0 { -87.0 } else { clamped };
    let shifted = clamped.mul_add(std::f32::consts::LOG2_E, ROUND);
    let n = shifted - ROUND;
    let r = n.mul_add(-LN2_LOW, n.mul_add(-LN2_HIGH, clamped));
    // Minimax coefficients of Cephes' expf.
    let mut p = 1.987_569_1e-4f32;
    for c in [
        1.398_2e-3,
        8.333_452e-3,
        4.166_579_6e-2,
        1.666_666_5e-1,
        0.5,
    ] {
        p = p.mul_add(r, c);
    }
    let y = p.mul_add(r * r, r) + 1.0;
    let scaled = f32::from_bits(y.to_bits().wrapping_add(shifted.to_bits() << 23));
    if x < -87.0 { 0.0 } else { scaled }
}

/// `1 / (1 + e^-x)`.
#[inline(always)]
pub fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

/// Hyperbolic tangent.
#[inline(always)]
pub fn tanh(x: f32) -> f32 {
    2.0 * sigmoid(2.0 * x) - 1.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_is_close_over_its_range() {
        let worst = dispatch(|| {
            (-87_000..=88_000)
                .map(|i| i as f32 / 1000.0)
                .map(|x| {
                    let exact = f64::from(x).exp();
                    (f64::from(exp(x)) - exact).abs() / exact
                })
                .fold(0.0, f64::max)
        });
        assert!(worst < 3e-7, "worst relative error {worst}");
        assert_eq!(exp(-100.0), 0.0);
        assert_eq!(exp(f32::NEG_INFINITY), 0.0);
        assert_eq!(exp(0.0), 1.0);
        assert!(exp(f32::NAN).is_nan());
    }

    #[test]
    fn sums_cover_the_remainder() {
        for n in [0, 1, 31, 32, 33, 100] {
            let a: Vec<f32> = (0..n).map(|i| i as f32).collect();
            let expected: f32 = a.iter().sum();
            assert_eq!(sum(&a), expected);
            assert_eq!(dot(&a, &vec![2.0; n]), 2.0 * expected);
            assert_eq!(max(&a), a.last().copied().unwrap_or(f32::NEG_INFINITY));
        }
    }
}
