//! What an operation sees while it runs, in this process.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};
use w2s_artifact::{Document, Kind};
use w2s_stage::{ArtifactArg, Inputs, Operation, RunOptions, Step};

/// Makes a corpus of one document.
#[derive(clap::Args, serde::Serialize)]
struct Write {}

impl Operation for Write {
    const NAME: &'static str = "write";
    const VERSION: u32 = 1;
    const KIND: Kind = Kind::Corpus;
    const ABOUT: &'static str = "Writes a document";

    fn inputs(&self, _: &mut Inputs) {}

    fn run(&self, step: &Step) -> anyhow::Result<Value> {
        step.write_records(&[Document {
            id: 0,
            text: "one".into(),
        }])?;
        Ok(json!({}))
    }
}

/// Opens its input, changes the files, and opens it again.
#[derive(clap::Args, serde::Serialize)]
struct Reread {
    /// What to read
    #[arg(long)]
    #[serde(skip)]
    corpus: ArtifactArg,
}

impl Operation for Reread {
    const NAME: &'static str = "reread";
    const VERSION: u32 = 1;
    const KIND: Kind = Kind::Corpus;
    const ABOUT: &'static str = "Opens its input twice";

    fn inputs(&self, inputs: &mut Inputs) {
        inputs.artifact("corpus", &self.corpus).of(Kind::Corpus);
    }

    fn run(&self, step: &Step) -> anyhow::Result<Value> {
        let first = step.artifact("corpus")?;
        let documents: Vec<Document> = first.records()?;
        let records = first.file("records.bin");
        let whole = fs::read(&records)?;
        fs::write(&records, "other")?;
        let again = step.artifact("corpus");
        fs::write(&records, whole)?;
        assert_eq!(again?.reference, first.reference);
        step.write_records(&documents)?;
        Ok(json!({}))
    }
}

#[test]
fn an_input_is_hashed_once_however_often_it_is_opened() {
    let folder = tempfile::tempdir().unwrap();
    let options = RunOptions::new(folder.path());
    let corpus = w2s_stage::run("toy", &Write {}, &options).unwrap().artifact;
    let reread = Reread {
        corpus: corpus.reference.into(),
    };
    w2s_stage::run("toy", &reread, &options).unwrap();
}

/// Reads a file or a folder of files, and perhaps has it changed meanwhile.
#[derive(clap::Args, serde::Serialize)]
struct Read {
    /// What to read
    #[arg(long)]
    #[serde(skip)]
    source: PathBuf,
    /// Who writes to it meanwhile
    #[arg(skip)]
    #[serde(skip)]
    meanwhile: Option<fn(&Path)>,
}

impl Operation for Read {
    const NAME: &'static str = "read";
    const VERSION: u32 = 1;
    const KIND: Kind = Kind::Corpus;
    const ABOUT: &'static str = "Reads a file";

    fn inputs(&self, inputs: &mut Inputs) {
        inputs.file("source", &self.source);
    }

    fn run(&self, step: &Step) -> anyhow::Result<Value> {
        let meanwhile = self.meanwhile.unwrap_or(|_| ());
        meanwhile(&self.source);
        step.write_records(&[Document {
            id: 0,
            text: "read".into(),
        }])?;
        Ok(json!({}))
    }
}

/// What a run says while `meanwhile` happens to a file and to a folder of parts, and whether the same run then succeeds.
fn run_while(meanwhile: fn(&Path), large: bool) -> String {
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("rows");
    fs::create_dir(&source).unwrap();
    let text = "a row\n".repeat(if large { 400_000 } else { 1 });
    fs::write(source.join("part-0.csv"), text).unwrap();
    let options = RunOptions::new(folder.path().join("store"));
    let read = |meanwhile| Read {
        source: source.clone(),
        meanwhile,
    };
    let error = w2s_stage::run("toy", &read(Some(meanwhile)), &options)
        .unwrap_err()
        .to_string();
    let store = w2s_artifact::Store::open(&options.store).unwrap();
    assert!(store.list().unwrap().is_empty(), "nothing is kept");
    let again = w2s_stage::run("toy", &read(None), &options).unwrap();
    assert!(!again.cached);
    assert!(w2s_stage::run("toy", &read(None), &options).unwrap().cached);
    error.replace(&source.display().to_string(), "ROWS")
}

#[test]
fn nothing_is_kept_of_a_file_that_changed_while_it_was_read() {
    let expected = "--source ROWS was changed while the step waited or read it";
    let edited = |rows: &Path| fs::write(rows.join("part-0.csv"), "other").unwrap();
    let added = |rows: &Path| fs::write(rows.join("part-1.csv"), "more").unwrap();
    let put_back = |rows: &Path| {
        let path = rows.join("part-0.csv");
        let before = fs::read(&path).unwrap();
        fs::write(&path, "other").unwrap();
        std::thread::sleep(Duration::from_millis(20));
        fs::write(&path, before).unwrap();
    };
    for large in [false, true] {
        for meanwhile in [edited as fn(&Path), added, put_back] {
            let error = run_while(meanwhile, large);
            assert!(error.starts_with(expected), "{error}");
        }
    }
}

#[cfg(unix)]
#[test]
fn a_pipe_is_no_input() {
    let folder = tempfile::tempdir().unwrap();
    let read = Read {
        source: "/dev/null".into(),
        meanwhile: None,
    };
    let error = w2s_stage::run("toy", &read, &RunOptions::new(folder.path())).unwrap_err();
    assert!(
        format!("{error:#}").ends_with("/dev/null is neither a regular file nor a folder"),
        "{error:#}"
    );
}

#[test]
fn a_file_that_changes_while_the_step_waits_for_its_lock_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("rows.csv");
    fs::write(&source, "one").unwrap();
    let options = RunOptions::new(folder.path().join("store"));
    let read = Read {
        source: source.clone(),
        meanwhile: None,
    };
    let planned = w2s_stage::plan("toy", &read, &options).unwrap().reference;
    let store = w2s_artifact::Store::open(&options.store).unwrap();
    let lock = store.lock(&planned).unwrap();
    let waiting = std::thread::spawn(move || w2s_stage::run("toy", &read, &options));
    std::thread::sleep(Duration::from_millis(200));
    fs::write(&source, "two").unwrap();
    drop(lock);
    let error = waiting.join().unwrap().unwrap_err().to_string();
    assert!(
        error.contains("was changed while the step waited"),
        "{error}"
    );
    assert!(!store.contains(&planned));
}
