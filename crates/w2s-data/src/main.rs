//! The `w2s-data` stage binary: corpora to pretrain on, examples and preference pairs to learn from, and any artifact's rows
//! as Parquet or as the tokens of a model.

use std::process::ExitCode;

use w2s_data::{
    AnswersOperation, Contrast, Corpus, Deal, Export, FeaturesOperation, Inspect, Mix, Pairs,
    Preferences, Prompts, QuestionsOperation, Relabel, ResponsesOperation, Select, TaskOperation,
};
use w2s_stage::Stage;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let stage = Stage::new(
        "data",
        "Makes corpora to pretrain on, and examples and preference pairs to learn from",
    );
    let stage = stage
        .operation::<Corpus>()
        .operation::<TaskOperation>()
        .operation::<FeaturesOperation>();
    let stage = stage
        .operation::<Prompts>()
        .operation::<QuestionsOperation>()
        .operation::<AnswersOperation>()
        .operation::<Preferences>()
        .operation::<Pairs>();
    let stage = stage
        .operation::<ResponsesOperation>()
        .operation::<Select>()
        .operation::<Contrast>();
    let stage = stage
        .operation::<Deal>()
        .operation::<Relabel>()
        .operation::<Mix>();
    w2s_stage::main(stage.command::<Export>().command::<Inspect>())
}
