//! The `w2s-eval` stage binary.

use std::process::ExitCode;

use w2s_eval::compare::CompareOperation;
use w2s_eval::operation::{PredictOperation, ReportOperation};
use w2s_eval::theory::TheoryOperation;
use w2s_stage::Stage;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    w2s_stage::main(
        Stage::new("eval", "Predictions on the test split, and the report")
            .operation::<PredictOperation>()
            .operation::<ReportOperation>()
            .operation::<TheoryOperation>()
            .operation::<CompareOperation>()
            .device_check(|name| Ok(w2s_lm::device(name).map(|_| ())?)),
    )
}
