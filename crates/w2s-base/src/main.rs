//! The `w2s-base` stage binary.

use std::process::ExitCode;
use w2s_base::{Import, Init, Pretrain};
use w2s_stage::Stage;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    w2s_stage::main(
        Stage::new("base", "Base models: pretrained here, or imported")
            .operation::<Pretrain>()
            .operation::<Import>()
            .operation::<Init>()
            .device_check(|name| Ok(w2s_lm::device(name).map(|_| ())?)),
    )
}
