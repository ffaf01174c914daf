//! What an operation sees while it runs, in this process.

use std::fs;

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
