//! The operations as a stage runs them: same flags same bytes, keys that change when they must, and messages for bad input.
#![cfg(feature = "cli")]

use std::{
    collections::HashSet,
    fs,
    path::{Path, PathBuf},
};

use clap::Parser;
use w2s_artifact::{Artifact, Document, Example, Prompt, Response, Split, summary::SplitSummary};
use w2s_data::{AnswersOperation, Corpus, QuestionsOperation, TaskOperation};
use w2s_stage::{Operation, RunOptions};

#[derive(Parser)]
struct Line<T: clap::Args> {
    #[command(flatten)]
    operation: T,
}

fn parse<T: clap::Args>(flags: &[&str]) -> Result<T, clap::Error> {
    Ok(Line::try_parse_from([&["w2s-data"], flags].concat())?.operation)
}

fn run<T: Operation>(store: &Path, flags: &[&str]) -> anyhow::Result<Artifact> {
    Ok(w2s_stage::run("data", &parse::<T>(flags)?, &RunOptions::new(store))?.artifact)
}

fn key<T: Operation>(store: &Path, flags: &[&str]) -> String {
    let operation = parse::<T>(flags).unwrap();
    w2s_stage::plan("data", &operation, &RunOptions::new(store))
        .unwrap()
        .reference
        .to_string()
}

/// The causes of a failure, one a line, without the folder.
fn failure<T: Operation>(folder: &Path, flags: &[&str]) -> String {
    let error = run::<T>(&folder.join("store"), flags).unwrap_err();
    let text: Vec<_> = error.chain().map(ToString::to_string).collect();
    text.join("\n")
        .replace(&format!("{}/", folder.display()), "")
}

fn fixture(name: &str) -> String {
    let path: PathBuf = [env!("CARGO_MANIFEST_DIR"), "../../data/fixtures", name]
        .iter()
        .collect();
    path.display().to_string()
}

const SMALL: [&str; 8] = [
    "--world",
    "reviews",
    "--gold-rows",
    "100",
    "--transfer-rows",
    "150",
    "--test-rows",
    "80",
];

#[test]
fn a_corpus_holds_documents_and_their_tokenizer() {
    let folder = tempfile::tempdir().unwrap();
    let flags = ["--world", "reviews", "--documents", "400"];
    let artifact = run::<Corpus>(folder.path(), &flags).unwrap();
    let documents: Vec<Document> = artifact.records().unwrap();
    assert_eq!(documents.len(), 400);
    assert_eq!(artifact.manifest.summary["tokenizer"], "word");
    assert!(
        artifact.file("tokenizer.json").is_file()
            && artifact.file("tokenizer_config.json").is_file()
    );
    // Elsewhere, later, the same flags give the same bytes.
    let other = tempfile::tempdir().unwrap();
    let again = run::<Corpus>(other.path(), &flags).unwrap();
    assert_eq!(again.reference, artifact.reference);
    assert_eq!(
        serde_json::to_value(&again.manifest.files).unwrap(),
        serde_json::to_value(&artifact.manifest.files).unwrap()
    );
}

#[test]
fn own_text_makes_a_corpus() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("own.csv");
    fs::write(
        &path,
        "id,body\n1,A first text.\n2, \n3,A first text.\n4,Another one.\n",
    )
    .unwrap();
    let path = path.display().to_string();
    let flags = ["--source", &path, "--text", "body", "--vocabulary", "300"];
    let artifact = run::<Corpus>(&folder.path().join("store"), &flags).unwrap();
    let texts: Vec<_> = artifact
        .records::<Document>()
        .unwrap()
        .into_iter()
        .map(|document| document.text)
        .collect();
    assert_eq!(texts, ["A first text.", "Another one."]);
    let summary = &artifact.manifest.summary;
    assert_eq!(
        (
            &summary["dropped"]["empty"],
            &summary["dropped"]["duplicate"]
        ),
        (&1.into(), &1.into())
    );
    assert_eq!(summary["tokenizer"], "bpe");
    let flags = [
        "--source",
        &path,
        "--text",
        "{id}) {body}",
        "--vocabulary",
        "300",
    ];
    let artifact = run::<Corpus>(&folder.path().join("store"), &flags).unwrap();
    let documents: Vec<Document> = artifact.records().unwrap();
    let texts: Vec<_> = documents
        .iter()
        .map(|document| document.text.as_str())
        .collect();
    assert_eq!(
        texts,
        [
            "1) A first text.",
            "2)",
            "3) A first text.",
            "4) Another one."
        ]
    );
    assert_eq!(
        failure::<Corpus>(folder.path(), &["--source", &path, "--text", "{body"]),
        "--text \"{body\" has a brace without its end"
    );
    assert_eq!(
        failure::<Corpus>(folder.path(), &["--source", &path]),
        "own.csv: no column `text`; there are `id`, `body`"
    );
}

#[test]
fn a_world_task_keeps_its_test_rows_over_seeds() {
    let folder = tempfile::tempdir().unwrap();
    let rows = |seed: &str, split: Split| -> Vec<(u64, u32, String)> {
        let artifact =
            run::<TaskOperation>(folder.path(), &[&SMALL[..], &["--seed", seed]].concat()).unwrap();
        let rows: Vec<Example> = artifact.records().unwrap();
        rows.into_iter()
            .filter(|row| row.split == split)
            .map(|row| (row.id, row.label, row.text))
            .collect()
    };
    assert_eq!(rows("0", Split::Test), rows("1", Split::Test));
    assert_eq!(rows("0", Split::Test).len(), 80);
    assert_eq!(rows("0", Split::Gold).len(), 100);
    assert_ne!(rows("0", Split::Gold), rows("1", Split::Gold));
    let texts = |split| {
        rows("0", split)
            .into_iter()
            .map(|(_, _, text)| text)
            .collect::<HashSet<_>>()
    };
    assert!(texts(Split::Gold).is_disjoint(&texts(Split::Transfer)));
    assert!(texts(Split::Test).is_disjoint(&texts(Split::Transfer)));
}

#[test]
fn a_summary_holds_plan_classes_and_landmarks() {
    let folder = tempfile::tempdir().unwrap();
    let flags = [&SMALL[..], &["--label-noise", "0.2"]].concat();
    let artifact = run::<TaskOperation>(folder.path(), &flags).unwrap();
    let summary = &artifact.manifest.summary;
    assert_eq!(summary["task"], "reviews");
    assert_eq!(
        summary["classes"],
        serde_json::json!(["negative", "positive"])
    );
    assert_eq!(summary["rows"], 330);
    assert_eq!(
        summary["plan"]["splits"]["test"]["per_class"],
        serde_json::json!([40, 40])
    );
    assert_eq!(summary["readers"]["complete"], 1.0);
    let plan = artifact.summary::<SplitSummary>().unwrap().plan;
    assert!((5..40).contains(&plan.noisy_labels), "{plan:?}");
    assert_eq!(plan.source_rows, 20_080);
}

#[test]
fn keys_change_with_what_shapes_the_rows_and_only_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let sst2 = fixture("sst2.tsv");
    let of = |flags: &[&str]| key::<TaskOperation>(folder.path(), flags);
    let plain = of(&["--task", "sst2", "--source", &sst2]);
    assert_eq!(
        plain,
        of(&["--task", "sst2", "--source", &sst2, "--seed", "0"])
    );
    // Knobs of a world that is not made.
    assert_eq!(
        plain,
        of(&["--task", "sst2", "--source", &sst2, "--negation", "0.5"])
    );
    assert_ne!(
        plain,
        of(&["--task", "sst2", "--source", &sst2, "--seed", "1"])
    );
    assert_ne!(
        plain,
        of(&["--task", "sst2", "--source", &fixture("sst2.parquet")])
    );
    assert_ne!(
        of(&SMALL),
        of(&[&SMALL[..], &["--rare-share", "0.6"]].concat())
    );
    let copy = folder.path().join("sst2.toml");
    let description: PathBuf = [env!("CARGO_MANIFEST_DIR"), "../../data/tasks/sst2.toml"]
        .iter()
        .collect();
    let description = fs::read_to_string(description).unwrap();
    fs::write(&copy, &description).unwrap();
    let copy = copy.display().to_string();
    let own = of(&["--task", &copy, "--source", &sst2]);
    fs::write(&copy, description + "\n# changed\n").unwrap();
    assert_ne!(own, of(&["--task", &copy, "--source", &sst2]));
}

#[test]
fn a_file_with_its_own_test_file_and_rows_divided_elsewhere() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, rows: &[(&str, u32)]| {
        let lines: Vec<_> = rows
            .iter()
            .map(|(text, label)| format!("{text} \t{label}\n"))
            .collect();
        fs::write(
            folder.path().join(name),
            format!("sentence\tlabel\n{}", lines.concat()),
        )
        .unwrap();
        folder.path().join(name).display().to_string()
    };
    let store = folder.path().join("store");
    let texts = |flags: &[&str]| {
        let artifact =
            run::<TaskOperation>(&store, &[&["--task", "sst2"], flags].concat()).unwrap();
        let rows: Vec<Example> = artifact.records().unwrap();
        rows.into_iter()
            .map(|row| (row.split, row.label, row.text))
            .collect::<Vec<_>>()
    };
    let (a, b) = (
        write("a.tsv", &[("a1", 1), ("a0", 0)]),
        write("b.tsv", &[("b0", 0), ("b1", 1)]),
    );
    let c = write("c.tsv", &[("c1", 1), ("c0", 0), ("c2", 0)]);
    let row = |split, label, text: &str| (split, label, text.to_string());
    assert_eq!(
        texts(&[
            "--gold-source",
            &a,
            "--transfer-source",
            &b,
            "--test-source",
            &c
        ]),
        [
            row(Split::Gold, 1, "a1"),
            row(Split::Gold, 0, "a0"),
            row(Split::Transfer, 0, "b0"),
            row(Split::Transfer, 1, "b1"),
            row(Split::Test, 1, "c1"),
            row(Split::Test, 0, "c0"),
            row(Split::Test, 0, "c2"),
        ]
    );
    let cut = texts(&["--source", &fixture("sst2.tsv"), "--test-source", &c]);
    assert_eq!(cut.iter().filter(|row| row.0 == Split::Test).count(), 2);
    assert!(
        cut.iter()
            .filter(|row| row.0 == Split::Test)
            .all(|row| row.2.starts_with('c'))
    );
}

#[test]
fn bad_input_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, content: &str| {
        fs::write(folder.path().join(name), content).unwrap();
        folder.path().join(name).display().to_string()
    };
    let task = |flags: &[&str]| failure::<TaskOperation>(folder.path(), flags);
    let file = write(
        "bad.jsonl",
        "{\"sentence\": \"fine\", \"label\": 1}\n{\"sentence\": \"bad, \"label\": 0}\n",
    );
    assert_eq!(
        task(&["--task", "sst2", "--source", &file]),
        "bad.jsonl:2: malformed JSON at character 21: expected `,` or `}`"
    );
    let file = write("columns.csv", "text,label\na,1\n");
    assert_eq!(
        task(&["--task", "sst2", "--source", &file]),
        "columns.csv: no column `sentence`; there are `text`, `label`"
    );
    let file = write("label.csv", "sentence,label\na,1\nb,2\n");
    assert_eq!(
        task(&["--task", "sst2", "--source", &file]),
        "label.csv:3: column `label` has the label `2`, known are `0`, `1`"
    );
    let file = write("one.csv", "sentence,label\na,1\nb,1\nc,1\n");
    assert_eq!(
        task(&["--task", "sst2", "--source", &file]),
        "split `test` has only the class `positive` in its 3 rows; the task has `negative`, `positive`"
    );
    let file = write("short.csv", "sentence,label\na,1\nb,0\n");
    assert_eq!(
        task(&["--task", "sst2", "--source", &file, "--min-words", "3"]),
        "split `test` is empty: 2 rows read, 2 filtered"
    );
    let unknown = task(&["--task", "sts2", "--source", &file]);
    assert!(
        unknown.starts_with("no task `sts2`; there are `ag_news`, `amazon_polarity`, "),
        "{unknown}"
    );
    assert_eq!(
        task(&["--task", "sst2"]),
        "the task `sst2` has no rows to read"
    );
    assert_eq!(
        task(&["--task", "sst2", "--source", "none.csv"]),
        "--source cannot be read\ncannot read none.csv\nNo such file or directory (os error 2)"
    );
    assert_eq!(
        task(&["--world", "reviews", "--gold-rows", "30000"]),
        "split `gold` needs 30000 rows and 20000 are usable (negative 10000, positive 10000)"
    );
    assert_eq!(
        task(&["--world", "reviews", "--negation", "2"]),
        "--negation 2: a share between 0 and 1 is needed"
    );
    assert!(parse::<TaskOperation>(&[]).is_err());
    assert!(parse::<TaskOperation>(&["--task", "sst2", "--world", "reviews"]).is_err());
    assert!(parse::<TaskOperation>(&["--task", "sst2", "--gold-source", &file]).is_err());
    assert!(parse::<Corpus>(&[]).is_err());
}

#[test]
fn a_world_asks_and_answers() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path();
    let questions = |part: &str| {
        let flags = ["--world", "sections", "--part", part, "--rows", "150"];
        run::<QuestionsOperation>(store, &flags).unwrap()
    };
    let (train, validation, test) = (
        questions("train"),
        questions("validation"),
        questions("test"),
    );
    assert_eq!(validation.manifest.summary["part"], "validation");
    let prompts: Vec<Prompt> = train.records().unwrap();
    let texts = |prompts: &[Prompt]| -> HashSet<String> {
        let text = |prompt: &Prompt| prompt.messages[0].content.clone();
        prompts.iter().map(text).collect()
    };
    assert_eq!(texts(&prompts).len(), 150);
    let [validation, test] = [validation, test].map(|part| texts(&part.records().unwrap()));
    assert!(texts(&prompts).is_disjoint(&validation) && texts(&prompts).is_disjoint(&test));
    assert!(validation.len() == 150 && validation.is_disjoint(&test));
    assert!(prompts.iter().all(|prompt| prompt.answer.is_none()));

    let train = train.reference.to_string();
    let answers = |flags: &[&str]| {
        let world = ["--world", "sections", "--prompts", &train];
        let artifact = run::<AnswersOperation>(store, &[&world, flags].concat()).unwrap();
        artifact.records::<Response>().unwrap()
    };
    for (sections, seed) in [("3", "0"), ("2", "1")] {
        let responses = answers(&["--sections", sections, "--seed", seed]);
        assert_eq!(responses.len(), 150);
        for response in &responses {
            let headers = response.text.matches("**").count() / 2;
            assert_eq!(headers.to_string(), sections);
            assert!(response.text.starts_with("**") && response.finished);
        }
    }
    // Tied pairs: as many sections, other text.
    let [first, second] =
        ["0", "1"].map(|seed| answers(&["--sections", "3", "--seed", seed, "--samples", "2"]));
    assert_eq!((first[1].prompt, first[1].sample), (prompts[0].id, 1));
    for (a, b) in first.iter().zip(&second) {
        assert_ne!(a.text, b.text);
    }
    assert!(first.chunks(2).all(|pair| pair[0].text != pair[1].text));
    assert_eq!(first[0].model, "world/sections");
}

#[test]
fn a_right_answer_stands_among_the_choices() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path();
    let glossary = ["--world", "glossary", "--careless", "0.5"];
    let flags = ["--part", "test", "--rows", "400", "--choices", "4"];
    let artifact = run::<QuestionsOperation>(store, &[&glossary[..], &flags].concat()).unwrap();
    let prompts: Vec<Prompt> = artifact.records().unwrap();
    let mut places = [0; 4];
    for prompt in &prompts {
        let gold = prompt.gold.unwrap() as usize;
        assert_eq!(prompt.answer.as_ref(), Some(&prompt.choices[gold]));
        assert_eq!(prompt.choices.iter().collect::<HashSet<_>>().len(), 4);
        places[gold] += 1;
    }
    assert!(places.iter().all(|&place| place > 60), "{places:?}");

    let asked = artifact.reference.to_string();
    let flags = ["--prompts", &asked, "--samples", "5"];
    let answers = run::<AnswersOperation>(store, &[&glossary[..], &flags].concat()).unwrap();
    let responses: Vec<Response> = answers.records().unwrap();
    let right = responses.iter().filter(|response| {
        let answer = prompts[response.prompt as usize].answer.as_ref().unwrap();
        response.text == format!(" {answer}")
    });
    let share = right.count() as f64 / 2000.0;
    assert!((share - 0.5).abs() < 0.05, "{share}");
    assert_eq!(answers.manifest.summary["right"], share);
}

#[test]
fn a_corpus_of_questions_can_be_read_back() {
    let folder = tempfile::tempdir().unwrap();
    for world in ["sections", "glossary"] {
        let flags = ["--world", world, "--documents", "300"];
        let artifact = run::<Corpus>(folder.path(), &flags).unwrap();
        assert_eq!(artifact.records::<Document>().unwrap().len(), 300);
        assert_eq!(artifact.manifest.summary["tokenizer"], "lossless");
    }
}

#[test]
fn worlds_refuse_what_they_cannot_do() {
    let folder = tempfile::tempdir().unwrap();
    let questions = |flags: &[&str]| {
        failure::<QuestionsOperation>(folder.path(), &[&["--part", "train"], flags].concat())
    };
    assert_eq!(
        questions(&["--world", "sections", "--negation", "0.5"]),
        "--negation 0.5 is a knob of the world `reviews`; this is `sections`"
    );
    assert_eq!(
        failure::<Corpus>(
            folder.path(),
            &["--world", "reviews", "--sentence-max", "7"]
        ),
        "--sentence-max 7 is a knob of the world `glossary`; this is `reviews`"
    );
    assert_eq!(
        failure::<TaskOperation>(folder.path(), &["--world", "sections"]),
        "the world `sections` has questions and no classes to tell apart"
    );
    assert_eq!(
        questions(&["--world", "reviews"]),
        "the world `reviews` asks no questions"
    );
    assert_eq!(questions(&[]), "no world is named");
    assert_eq!(
        questions(&["--world", "sections", "--choices", "4"]),
        "--choices 4: no answer of the world `sections` is the right one"
    );
    assert_eq!(
        questions(&["--world", "glossary", "--choices", "9"]),
        "--choices 9: between 2 and 8 are possible, or 0 for open questions"
    );
    let small = ["--world", "sections", "--topics", "10", "--rows", "90"];
    let message = questions(&small);
    let found = message
        .strip_prefix("--rows 90: this part of the world `sections` has ")
        .and_then(|rest| rest.strip_suffix(" questions"))
        .unwrap_or_else(|| panic!("{message}"));
    assert!((10..40).contains(&found.parse::<usize>().unwrap()));

    let flags = ["--world", "glossary", "--part", "test", "--rows", "5"];
    let asked = run::<QuestionsOperation>(&folder.path().join("store"), &flags).unwrap();
    let asked = asked.reference.to_string();
    let answers = |flags: &[&str]| {
        failure::<AnswersOperation>(folder.path(), &[&["--prompts", &asked], flags].concat())
    };
    assert_eq!(
        answers(&["--world", "glossary", "--world-seed", "1"]),
        "prompt 0 is no question of this world `glossary`"
    );
    assert_eq!(
        answers(&["--world", "glossary", "--sections", "3"]),
        "--sections 3: the world `glossary` writes no sections"
    );
    for flag in ["--sections", "--samples"] {
        let told = answers(&["--world", "sections", flag, "0"]);
        assert!(told.contains("0 is not in 1..="), "{told}");
    }
}

#[test]
fn knobs_of_other_worlds_are_not_in_the_key() {
    let folder = tempfile::tempdir().unwrap();
    let operation = parse::<Corpus>(&["--world", "sections", "--documents", "10"]).unwrap();
    let world = serde_json::to_value(&operation).unwrap()["world"].clone();
    assert_eq!(
        world,
        serde_json::json!({
            "world": "sections", "world_seed": 0, "topics": 100, "topic_words": 5, "detail_words": 100, "headers": 24,
            "sections_mean": 4.0, "sections_spread": 2.0, "sections_max": 12,
        })
    );
    let of =
        |flags: &[&str]| key::<Corpus>(folder.path(), &[&["--world", "sections"], flags].concat());
    assert_eq!(of(&[]), of(&["--zipf", "1"]));
    assert_ne!(of(&[]), of(&["--headers", "25"]));
}

/// Another number is another world or another split under the same flags: raise the version of the operation, and make new
/// ones.
#[test]
fn records_are_fixed_for_ever() {
    let folder = tempfile::tempdir().unwrap();
    let hash = |artifact: Artifact| {
        let file = artifact
            .manifest
            .files
            .iter()
            .find(|file| file.name == "records.bin");
        file.unwrap().blake3[..16].to_string()
    };
    for (world, expected) in [
        ("reviews", "1bdb7488da81178b"),
        ("sections", "b9737ff3f6d0fbb7"),
        ("glossary", "7cc0e04f26fd8a7b"),
    ] {
        let flags = ["--world", world, "--documents", "200"];
        assert_eq!(
            hash(run::<Corpus>(folder.path(), &flags).unwrap()),
            expected,
            "{world}"
        );
    }
    let flags = [&SMALL[..], &["--seed", "3", "--label-noise", "0.1"]].concat();
    assert_eq!(
        hash(run::<TaskOperation>(folder.path(), &flags).unwrap()),
        "2ffcee704d76f264"
    );
    for (task, file, expected) in [
        ("sciq", "sciq.jsonl", "385af1063a52c8e8"),
        ("sst2", "sst2.parquet", "8c7e966b9e79cfe7"),
    ] {
        let flags = ["--task", task, "--source", &fixture(file)];
        assert_eq!(
            hash(run::<TaskOperation>(folder.path(), &flags).unwrap()),
            expected,
            "{task}"
        );
    }
}

#[test]
fn single_words_are_a_task() {
    let folder = tempfile::tempdir().unwrap();
    let words = |flags: &[&str]| {
        let world = ["--world", "reviews", "--unit", "words"];
        run::<TaskOperation>(folder.path(), &[&world, flags].concat()).unwrap()
    };
    let artifact = words(&[]);
    let summary: SplitSummary = artifact.summary().unwrap();
    let per_class = |summary: &SplitSummary| {
        let splits = &summary.plan.splits;
        [&splits.test, &splits.transfer, &splits.gold].map(|count| count.per_class.clone())
    };
    assert_eq!(per_class(&summary), [[150, 150], [120, 120], [30, 30]]);
    assert_eq!((summary.task.as_str(), summary.readers.len()), ("words", 0));
    let rows: Vec<Example> = artifact.records().unwrap();
    let texts: HashSet<_> = rows.iter().map(|row| row.text.as_str()).collect();
    assert_eq!(texts.len(), 600);
    assert!(
        texts
            .iter()
            .all(|text| text.chars().all(|c| c.is_ascii_lowercase()))
    );
    let world = w2s_worlds::ReviewsWorld::default().build(0).unwrap();
    assert!(
        rows.iter()
            .all(|row| world.words(row.label == 1).contains(&row.text))
    );
    let small = words(&[
        "--words-per-polarity",
        "20",
        "--test-rows",
        "10",
        "--transfer-rows",
        "20",
    ]);
    assert_eq!(
        per_class(&small.summary().unwrap()),
        [[5, 5], [10, 10], [2, 2]]
    );
    assert!(parse::<TaskOperation>(&["--task", "sst2", "--unit", "words"]).is_err());
}

#[test]
fn rows_without_a_text_have_their_numbers() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, content: &str| {
        fs::write(folder.path().join(name), content).unwrap();
        folder.path().join(name).display().to_string()
    };
    let task = write(
        "task.toml",
        r#"
            name = "mine"
            about = "rows of a matrix"
            [label]
            column = "class"
            classes = ["no", "yes"]
            values = { 0 = "no", 1 = "yes" }
            unlabelled = ["?"]
            [origin]
            url = ""
            licence = ""
            citation = ""
        "#,
    );
    let labels = |number: usize, first: &str| {
        let labels = (1..number).map(|row| format!("{}\n", row % 2));
        format!("class\n{first}\n{}", labels.collect::<String>())
    };
    let (pool, test) = (
        write("pool.csv", &labels(21, "?")),
        write("test.csv", &labels(8, "0")),
    );
    let flags = ["--task", &task, "--source", &pool, "--test-source", &test];
    let store = folder.path().join("store");
    let rows: Vec<Example> = run::<TaskOperation>(&store, &flags)
        .unwrap()
        .records()
        .unwrap();
    assert_eq!(rows.len(), 28);
    for row in &rows {
        assert_eq!(row.text, format!("row {}", row.id));
        assert_eq!(row.split == Split::Test, row.id >= 21);
        let record = if row.id < 21 { row.id } else { row.id - 21 };
        assert_eq!(u64::from(row.label), record % 2);
    }
    assert_eq!(
        failure::<TaskOperation>(folder.path(), &[&flags[..], &["--min-words", "2"]].concat()),
        "--min-words: the rows of the task `mine` have no text"
    );
}

#[test]
fn seeds_are_no_part_of_what_is_divided_already() {
    let file = fixture("sst2.tsv");
    let of = |flags: &[&str]| {
        let divided = [
            "--gold-source",
            &file,
            "--transfer-source",
            &file,
            "--test-source",
            &file,
        ];
        let operation =
            parse::<TaskOperation>(&[&["--task", "sst2"][..], &divided, flags].concat()).unwrap();
        serde_json::to_value(&operation).unwrap()
    };
    assert_eq!(of(&["--seed", "1", "--test-seed", "2"]), of(&[]));
    assert!(of(&[]).get("seed").is_none());
    assert_ne!(of(&["--min-words", "3"]), of(&[]));
    assert_ne!(of(&["--shared-run", "3"]), of(&[]));
}

#[test]
fn sizes_of_a_world_task_move_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let ids = |flags: &[&str]| {
        let usual = ["--world", "reviews", "--seed", "5"];
        let artifact = run::<TaskOperation>(folder.path(), &[&usual, flags].concat()).unwrap();
        let rows: Vec<Example> = artifact.records().unwrap();
        Split::ALL.map(|split| {
            let of = rows.iter().filter(|row| row.split == split);
            of.map(|row| (row.id, row.text.clone()))
                .collect::<HashSet<_>>()
        })
    };
    let flags = |gold, transfer, test| {
        [
            "--gold-rows",
            gold,
            "--transfer-rows",
            transfer,
            "--test-rows",
            test,
        ]
    };
    let usual = ids(&flags("200", "1000", "100"));
    for (changed, other) in [
        (0, flags("1000", "1000", "100")),
        (1, flags("200", "3000", "100")),
        (2, flags("200", "1000", "2100")),
    ] {
        let other = ids(&other);
        for split in 0..3 {
            assert!(usual[split].is_subset(&other[split]));
            assert_eq!(usual[split].len() < other[split].len(), split == changed);
        }
    }
}
