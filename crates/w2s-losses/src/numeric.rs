//! Logarithms near their singularities, finite in value and gradient, and host copies of small tensors.

use std::f64::consts::LN_2;

use burn::tensor::{Tensor, TensorData, activation::softplus_with_threshold};

/// `-log σ(x)`, elementwise: `softplus(-x)`.
///
/// Finite for every finite `x`, and exact to the last digits at both ends: `x = -1000` gives 1000, `x = 50` gives
/// 1.9e-22 also in `f32`. Written as `-log(σ(x))` it would be infinite below about -88 in `f32`.
pub fn neg_log_sigmoid(x: Tensor<1>) -> Tensor<1> {
    // burn switches to the identity at 20 by default, which is 2e-9 off: too much for f64.
    softplus_with_threshold(x.neg(), 1.0, 60.0)
}

/// `log(1 - eˣ)` for `x < 0`, elementwise.
///
/// Two branches that meet at `-ln 2`, as in Mächler 2012: `log1p(-eˣ)` below, `log(-expm1(x))` above. At `x = 0` it is
/// minus infinity: clamp first.
pub fn log1mexp(x: Tensor<1>) -> Tensor<1> {
    let low = x.clone().lower_elem(-LN_2);
    let high = low.clone().bool_not();
    // Each branch sees a harmless value where the other one holds, or its gradient there would be 0 * inf.
    let below = x.clone().mask_fill(high, -1.0).exp().neg().log1p();
    // expm1(x) = 2 t / (1 - t) with t = tanh(x / 2), which keeps all digits of a small x.
    let t = x.mask_fill(low.clone(), -0.5).mul_scalar(0.5).tanh();
    let above = (t.clone() / t.sub_scalar(1.0)).mul_scalar(2.0).log();
    above.mask_where(low, below)
}

/// The values of a tensor in row-major order, in `f64`.
pub(crate) fn host<const D: usize>(tensor: &Tensor<D>) -> Vec<f64> {
    tensor
        .to_data()
        .convert::<f64>()
        .try_to_vec()
        .expect("data just converted to f64")
}

/// A tensor of the device and type of another one.
pub(crate) fn like<const D: usize, const E: usize>(
    values: Vec<f64>,
    shape: [usize; D],
    other: &Tensor<E>,
) -> Tensor<D> {
    let data = TensorData::new(values, shape);
    Tensor::from_data(data, (&other.device(), other.dtype()))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use burn::tensor::{DType, Device};

    /// An `f64` vector on the CPU.
    pub(crate) fn vector(values: &[f64]) -> Tensor<1> {
        let data = TensorData::new(values.to_vec(), [values.len()]);
        Tensor::from_data(data, (&Device::flex(), DType::F64))
    }

    /// An `f64` matrix of two columns on the CPU.
    pub(crate) fn matrix(rows: &[[f64; 2]]) -> Tensor<2> {
        let data = TensorData::new(rows.concat(), [rows.len(), 2]);
        Tensor::from_data(data, (&Device::flex(), DType::F64))
    }

    /// Values within 1e-9.
    #[track_caller]
    pub(crate) fn close<const D: usize>(got: Tensor<D>, expected: &[f64]) {
        let got = host(&got);
        assert_eq!(got.len(), expected.len());
        for (g, e) in got.iter().zip(expected) {
            assert!((g - e).abs() <= 1e-9, "{got:?} instead of {expected:?}");
        }
    }

    #[test]
    fn by_hand() {
        // -log σ(0) = ln 2; -log σ(-1000) = 1000 + log(1 + e^-1000) = 1000.
        close(neg_log_sigmoid(vector(&[0.0, -1000.0])), &[LN_2, 1000.0]);
        // log(1 - 1/2) = -ln 2, log(1 - 1/4) = ln 3 - 2 ln 2, log(1 - 3/4) = -2 ln 2.
        let x = [0.5f64.ln(), 0.25f64.ln(), 0.75f64.ln()];
        close(
            log1mexp(vector(&x)),
            &[-LN_2, 3f64.ln() - 2.0 * LN_2, -2.0 * LN_2],
        );
    }
}
