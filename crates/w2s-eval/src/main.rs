//! The `w2s-eval` stage binary.

use std::process::ExitCode;

use w2s_eval::compare::CompareOperation;
use w2s_eval::operation::{
    ChoicesOperation, LikelihoodOperation, PredictOperation, ReportOperation, RespondOperation,
    ScoreOperation,
};
use w2s_eval::theory::TheoryOperation;
use w2s_stage::Stage;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    w2s_stage::main(
        Stage::new(
            "eval",
            "Predictions and scores of answers, the theory of delta learning, and the reports",
        )
        .operation::<PredictOperation>()
        .operation::<RespondOperation>()
        .operation::<ScoreOperation>()
        .operation::<ChoicesOperation>()
        .operation::<LikelihoodOperation>()
        .operation::<ReportOperation>()
        .operation::<CompareOperation>()
        .operation::<TheoryOperation>()
        .device_check(|name| Ok(w2s_lm::device(name).map(|_| ())?)),
    )
}
