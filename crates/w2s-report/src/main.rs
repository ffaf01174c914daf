//! The `w2s-report` stage binary.

use std::process::ExitCode;

use w2s_report::Build;
use w2s_stage::Stage;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    w2s_stage::main(Stage::new("report", "Items to tables, charts and findings").operation::<Build>())
}
