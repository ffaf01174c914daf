//! The `w2s-teacher` stage binary.

use std::process::ExitCode;
use w2s_stage::Stage;
use w2s_teacher::{Finetune, Judge, Label, Respond, Reward, TrainProbe};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    w2s_stage::main(
        Stage::new(
            "teacher",
            "The weak teacher: learns from gold labels, labels the transfer half, judges pairs, answers prompts",
        )
        .operation::<Finetune>()
        .operation::<TrainProbe>()
        .operation::<Reward>()
        .operation::<Label>()
        .operation::<Judge>()
        .operation::<Respond>()
        .device_check(|name| Ok(w2s_lm::device(name).map(|_| ())?)),
    )
}
