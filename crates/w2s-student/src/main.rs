//! The `w2s-student` stage binary.

use std::process::ExitCode;
use w2s_stage::Stage;
use w2s_student::{Classify, ComputeFeatures, Encode, Prefer, Reference, Reward, Sft, TrainProbe};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    w2s_stage::main(
        Stage::new("student", "The strong student: learns from a weak teacher")
            .operation::<Classify>()
            .operation::<TrainProbe>()
            .operation::<Sft>()
            .operation::<Prefer>()
            .operation::<Reward>()
            .operation::<Reference>()
            .operation::<Encode>()
            .operation::<ComputeFeatures>()
            .device_check(|name| Ok(w2s_lm::device(name).map(|_| ())?)),
    )
}
