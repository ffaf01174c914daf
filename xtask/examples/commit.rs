//! Commits the files of a folder as an artifact: what a stage of the tests, which is a shell script, cannot do itself.
//!
//! `commit STORE KIND/KEY STAGE OPERATION STEP FOLDER`

use std::error::Error;
use std::fs;
use std::time::{Duration, UNIX_EPOCH};

use w2s_artifact::{Provenance, Store};

fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [store, reference, stage, operation, step, folder] = &words[..] else {
        return Err("six words are needed".into());
    };
    let pending = Store::open(store)?
        .lock(&reference.parse()?)?
        .begin_anew()?;
    for file in fs::read_dir(folder)? {
        let file = file?;
        pending.write_file(&file.file_name().to_string_lossy(), &fs::read(file.path())?)?;
    }
    pending.commit(Provenance {
        stage: stage.clone(),
        operation: operation.clone(),
        operation_version: 1,
        step: Some(step.clone()),
        summary: serde_json::json!({"line": "1,200 rows"}),
        device: "flex".to_owned(),
        threads: 1,
        // 2026 begins.
        started: UNIX_EPOCH + Duration::from_secs(1_767_225_600),
        seconds: 1.5,
        ..Provenance::default()
    })?;
    Ok(())
}
