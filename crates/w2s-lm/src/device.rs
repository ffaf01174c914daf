//! Devices by name: `flex`, `cuda:0`, `vulkan`, `metal`, `wgpu`.

use crate::LmError;
use burn::tensor::Device;

const NAMES: [&str; 5] = ["flex", "cuda", "vulkan", "metal", "wgpu"];

/// The device that a name stands for: a backend, and for GPUs an optional index after a colon.
pub fn device(name: &str) -> Result<Device, LmError> {
    let (backend, index) = match name.split_once(':') {
        None => (name, None),
        Some((backend, index)) => {
            let number = index.parse::<usize>().map_err(|_| {
                LmError::Device(format!("device `{name}` has no number after the colon"))
            })?;
            (backend, Some(number))
        }
    };
    match backend {
        "flex" if index.is_none() => Ok(Device::flex()),
        "flex" => Err(LmError::Device(format!(
            "device `{name}`: `flex` is the CPU and takes no index\nhint: set the number of threads with --threads"
        ))),
        #[cfg(feature = "cuda")]
        "cuda" => Ok(Device::cuda(index.unwrap_or(0))),
        #[cfg(feature = "vulkan")]
        "vulkan" => Ok(Device::vulkan(kind(index))),
        #[cfg(feature = "metal")]
        "metal" => Ok(Device::metal(kind(index))),
        #[cfg(feature = "wgpu")]
        "wgpu" => Ok(Device::wgpu(kind(index))),
        known if NAMES.contains(&known) => Err(LmError::Device(format!(
            "device `{name}` needs the cargo feature `{known}`, which this build does not have\n\
             hint: `cargo xtask pipeline --features {known} --device {name}`, or build the stages with \
             `cargo build --release --features {known}`"
        ))),
        _ => Err(LmError::Device(format!(
            "unknown device `{name}`; there are {}",
            NAMES.join(", ")
        ))),
    }
}

#[cfg(any(feature = "vulkan", feature = "metal", feature = "wgpu"))]
fn kind(index: Option<usize>) -> burn::tensor::DeviceKind {
    match index {
        None => burn::tensor::DeviceKind::DefaultDevice,
        Some(index) => burn::tensor::DeviceKind::DiscreteGpu(index),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        assert!(device("flex").is_ok());
        let message = |name: &str| device(name).unwrap_err().to_string();
        assert_eq!(
            message("gpu"),
            "unknown device `gpu`; there are flex, cuda, vulkan, metal, wgpu"
        );
        assert_eq!(
            message("cuda:x"),
            "device `cuda:x` has no number after the colon"
        );
    }

    #[test]
    #[cfg(not(feature = "cuda"))]
    fn a_device_that_is_not_compiled_in_says_what_to_type() {
        assert_eq!(
            device("cuda:0").unwrap_err().to_string(),
            "device `cuda:0` needs the cargo feature `cuda`, which this build does not have\n\
             hint: `cargo xtask pipeline --features cuda --device cuda:0`, or build the stages with \
             `cargo build --release --features cuda`"
        );
    }
}
