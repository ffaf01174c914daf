//! The `w2s-eval` stage binary.

use std::process::ExitCode;

use w2s_eval::operation::{
    ChoicesOperation, LikelihoodOperation, MarginsOperation, PredictOperation, RespondOperation,
    ScoreOperation, TheoryOperation,
};
use w2s_stage::Stage;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    w2s_stage::main(
        Stage::new(
            "eval",
            "Predictions and scores of answers, and the theory of delta learning",
        )
        .operation::<PredictOperation>()
        .operation::<RespondOperation>()
        .operation::<ScoreOperation>()
        .operation::<ChoicesOperation>()
        .operation::<LikelihoodOperation>()
        .operation::<MarginsOperation>()
        .operation::<TheoryOperation>()
        .device_check(|name| Ok(w2s_lm::device(name).map(|_| ())?)),
    )
}
