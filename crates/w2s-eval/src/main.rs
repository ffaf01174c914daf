//! The `w2s-eval` stage binary.

use std::process::ExitCode;

use w2s_eval::operation::{
    ChoicesOperation, LikelihoodOperation, PredictOperation, ReportOperation, RespondOperation,
    ScoreOperation,
};
use w2s_stage::Stage;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    w2s_stage::main(
        Stage::new(
            "eval",
            "Predictions on the test split, scores of answers, and the report",
        )
        .operation::<PredictOperation>()
        .operation::<RespondOperation>()
        .operation::<ScoreOperation>()
        .operation::<ChoicesOperation>()
        .operation::<LikelihoodOperation>()
        .operation::<ReportOperation>()
        .device_check(|name| Ok(w2s_lm::device(name).map(|_| ())?)),
    )
}
