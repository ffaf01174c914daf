use super::*;
use crate::split::Row;

const OWN: &str = r#"
    name = "own"
    about = "mails"
    text = "{subject}: {body}"
    group = ["thread"]
    [label]
    column = "spam"
    classes = ["ham", "spam"]
    values = { "no" = "ham", "yes" = "spam" }
    unlabelled = ["?"]
    [origin]
    url = "here"
    licence = "mine"
    citation = "none"
"#;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../data/fixtures")
        .join(name)
}

fn texts(rows: &[Row]) -> Vec<(u32, &str)> {
    rows.iter()
        .map(|row| (row.label, row.text.as_str()))
        .collect()
}

fn load(task: &Task, name: &str, content: &str) -> Result<Loaded, DataError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, content).unwrap();
    task.load(&[path], None, 0)
}

fn problem(text: &str) -> String {
    Task::parse(text, "own.toml").unwrap_err().to_string()
}

#[test]
fn rows_follow_the_description() {
    let task = Task::parse(OWN, "own").unwrap();
    let content =
        "thread,subject,body,spam\n1, Win ,now,yes\n1,Re,ok,no\n,Old,one,?\n,,,no\n2,Re,ok,no\n";
    let loaded = load(&task, "mails.csv", content).unwrap();
    assert_eq!(
        texts(&loaded.rows),
        [(1, "Win: now"), (0, "Re: ok"), (0, ""), (0, "Re: ok")]
    );
    assert_eq!(loaded.unlabelled, 1);
    let groups: Vec<_> = loaded.rows.iter().map(|row| &row.groups).collect();
    assert_eq!(groups[0], groups[1]);
    assert!(groups[2].is_empty());
    assert_ne!(groups[0], groups[3]);
    assert_eq!(
        loaded.rows.iter().map(|row| row.id).collect::<Vec<_>>(),
        [0, 1, 3, 4]
    );
}

#[test]
fn a_row_has_the_number_of_its_record() {
    let mut task = Task::parse(&OWN.replace("text = \"{subject}: {body}\"", ""), "own").unwrap();
    task.group.clear();
    let folder = tempfile::tempdir().unwrap();
    let paths = ["b.csv", "a.csv"].map(|name| folder.path().join(name));
    std::fs::write(&paths[0], "spam\nyes\n?\nno\n").unwrap();
    std::fs::write(&paths[1], "spam\nno\n").unwrap();
    let loaded = task.load(&paths, None, 10).unwrap();
    let rows: Vec<_> = loaded
        .rows
        .iter()
        .map(|row| (row.id, row.label, row.text.as_str()))
        .collect();
    assert_eq!(
        rows,
        [(10, 1, "row 10"), (12, 0, "row 12"), (13, 0, "row 13")]
    );
    assert_eq!((loaded.unlabelled, loaded.end), (1, 14));
}

#[test]
fn a_question_has_room_for_its_answers() {
    let mut task = Task::find("cosmos_qa").unwrap();
    task.choices.as_mut().unwrap().wrong = 2;
    let rows = "context,question,answer0,answer1,answer2,answer3,label\nc,q,a,a,b,b,0\nc,r,a,b,c,d,-1\nc,s,a,b,c,d,3\n";
    let loaded = load(&task, "rows.csv", rows).unwrap();
    let ids: Vec<_> = loaded.rows.iter().map(|row| (row.id, row.label)).collect();
    // The first question has one wrong answer only, the second no right one.
    assert_eq!(ids, [(0, 1), (1, 0), (6, 1), (7, 0), (8, 0)]);
    assert_eq!(loaded.end, 9);
}

#[test]
fn a_label_outside_the_mapping_is_named() {
    let task = Task::parse(OWN, "own").unwrap();
    let error = load(
        &task,
        "mails.csv",
        "thread,subject,body,spam\n1,a,b,yes\n1,a,b,maybe\n",
    )
    .unwrap_err();
    let message = error.to_string();
    assert!(
        message
            .ends_with("mails.csv:3: column `spam` has the label `maybe`, known are `no`, `yes`"),
        "{message}"
    );
    assert_eq!(
        error.hint().unwrap(),
        "add `maybe` to `[label] values` of the task description, or to `unlabelled` if it marks rows without a label"
    );
    let message = load(&task, "mails.csv", "subject,body,spam\na,b,yes\n")
        .unwrap_err()
        .to_string();
    assert!(
        message.ends_with("mails.csv: no column `thread`; there are `subject`, `body`, `spam`"),
        "{message}"
    );
}

#[test]
fn bad_descriptions_are_refused() {
    assert_eq!(
        problem(&OWN.replace("{subject}: {body}", "mail")),
        "task `own`: `text`: \"mail\" names no column in braces"
    );
    assert_eq!(
        problem(&OWN.replace("{body}", "{body")),
        "task `own`: `text`: \"{subject}: {body\" has a brace without its end"
    );
    assert_eq!(
        problem(&OWN.replace("{body}", "body}")),
        "task `own`: `text`: \"{subject}: body}\" has a closing brace too many"
    );
    assert_eq!(
        problem(&OWN.replace("\"yes\" = \"spam\"", "\"yes\" = \"junk\"")),
        "task `own.toml`: `[label] values` maps `yes` to `junk`, which is not one of the classes `ham`, `spam`"
    );
    assert_eq!(
        problem(&OWN.replace(", \"yes\" = \"spam\"", "")),
        "task `own.toml`: no value of `[label] values` stands for the class `spam`"
    );
    assert_eq!(
        problem(&OWN.replace("[\"ham\", \"spam\"]", "[\"ham\"]")),
        "task `own.toml`: `[label] classes` needs two or more different names"
    );
    let message = problem(&OWN.replace("group", "grup"));
    assert!(
        message.contains("unknown field `grup`, expected one of `name`, `about`, `text`"),
        "{message}"
    );
    let none = OWN.split("[label]").next().unwrap().to_string()
        + "[origin]\nurl=\"\"\nlicence=\"\"\ncitation=\"\"";
    assert_eq!(
        problem(&none),
        "task `own.toml`: either `[label]` or `[choices]` is needed, and not both"
    );
}

#[test]
fn an_unknown_task_suggests_the_nearest() {
    let error = Task::find("sst-2").unwrap_err();
    assert_eq!(
        error.to_string(),
        "no task `sst-2`; there are `amazon_polarity`, `boolq`, `cosmos_qa`, `sciq`, `sst2`"
    );
    assert_eq!(error.hint().unwrap(), "did you mean `--task sst2`?");
    assert!(
        Task::find("none/own.toml")
            .unwrap_err()
            .to_string()
            .starts_with("cannot read none/own.toml")
    );
}

#[test]
fn every_description_reads_its_fixture() {
    // (task, rows, rows of each class, unlabelled)
    let expected = [
        ("amazon_polarity", "amazon_polarity.csv", 12, [6, 6], 0),
        ("boolq", "boolq.jsonl", 12, [6, 6], 0),
        ("cosmos_qa", "cosmos_qa.csv", 20, [10, 10], 2),
        ("sciq", "sciq.jsonl", 20, [10, 10], 0),
        ("sst2", "sst2.parquet", 15, [8, 7], 1),
        ("sst2", "sst2.tsv", 14, [7, 7], 0),
    ];
    assert_eq!(Task::names().count(), 5);
    for (name, file, rows, classes, unlabelled) in expected {
        let task = Task::find(name).unwrap();
        assert_eq!(task.name, name);
        let loaded = task.load(&[fixture(file)], None, 0).unwrap();
        let of = |class| loaded.rows.iter().filter(|row| row.label == class).count();
        assert_eq!(
            (loaded.rows.len(), [of(0), of(1)], loaded.unlabelled),
            (rows, classes, unlabelled),
            "{file}"
        );
        assert!(
            loaded
                .rows
                .iter()
                .all(|row| !row.text.is_empty() && row.text.trim() == row.text),
            "{file}"
        );
    }
}

#[test]
fn fixtures_become_these_texts() {
    let first = |name: &str, file: &str| {
        let loaded = Task::find(name)
            .unwrap()
            .load(&[fixture(file)], Some(1), 0)
            .unwrap();
        loaded
            .rows
            .into_iter()
            .map(|row| (row.label, row.text))
            .collect::<Vec<_>>()
    };
    let row = |label: u32, text: &str| (label, text.to_string());
    assert_eq!(
        first("sst2", "sst2.tsv"),
        [row(1, "a warm and quietly funny little film .")]
    );
    assert_eq!(first("sst2", "sst2.parquet"), first("sst2", "sst2.tsv"));
    assert_eq!(
        first("amazon_polarity", "amazon_polarity.csv"),
        [row(
            1,
            "Still going strong This kettle has boiled water twice a day for a year, and it is as quiet as \"new\"."
        )]
    );
    assert_eq!(
        first("boolq", "boolq.jsonl"),
        [row(
            1,
            "Passage: The harbour bell of Ostrand is rung every evening at dusk. Visitors may watch from the pier.\nQuestion: is the bell in ostrand rung every evening"
        )]
    );
    assert_eq!(
        first("sciq", "sciq.jsonl"),
        [
            row(
                1,
                "Q: What is a solid turning straight into a gas called? A: sublimation"
            ),
            row(
                0,
                "Q: What is a solid turning straight into a gas called? A: condensation"
            )
        ]
    );
    assert_eq!(
        first("cosmos_qa", "cosmos_qa.csv"),
        [
            row(
                1,
                "Context: I missed the last bus and my phone was flat, so I walked the six miles home in the rain.\nQuestion: How did I feel when I got home?\nAnswer: I was wet and tired ."
            ),
            row(
                0,
                "Context: I missed the last bus and my phone was flat, so I walked the six miles home in the rain.\nQuestion: How did I feel when I got home?\nAnswer: I was well rested ."
            ),
        ]
    );
}

#[test]
fn questions_on_one_passage_belong_together() {
    let rows = Task::find("sciq")
        .unwrap()
        .load(&[fixture("sciq.jsonl")], None, 0)
        .unwrap()
        .rows;
    // Right and wrong answer of a question, and two questions on one supporting paragraph.
    assert_eq!(rows[0].groups, rows[1].groups);
    assert_eq!(rows[2].groups[1], rows[4].groups[1]);
    assert_ne!(rows[0].groups[1], rows[2].groups[1]);
}

#[test]
fn a_wrong_answer_depends_on_its_question_only() {
    let task = Task::find("sciq").unwrap();
    let record = |values: [&str; 5]| {
        let [question, right, a, b, c] = values;
        format!(
            "{{\"question\":\"{question}\",\"correct_answer\":\"{right}\",\"distractor1\":\"{a}\",\"distractor2\":\"{b}\",\"distractor3\":\"{c}\",\"support\":\"\"}}\n"
        )
    };
    let (one, two) = (
        record(["q", "a", "b", "c", "d"]),
        record(["r", "x", "x", "x", "y"]),
    );
    let there = load(&task, "a.jsonl", &format!("{one}{two}")).unwrap().rows;
    let back = load(&task, "a.jsonl", &format!("{two}{one}")).unwrap().rows;
    assert_eq!(texts(&there[..2]), texts(&back[2..]));
    // A distractor equal to the right answer is no wrong answer.
    assert_eq!(texts(&there[2..]), [(1, "Q: r A: x"), (0, "Q: r A: y")]);
}

#[test]
fn a_folder_is_divided_by_file_names() {
    let folder = tempfile::tempdir().unwrap();
    let make = |names: &[&str]| {
        for name in names {
            std::fs::write(folder.path().join(name), "sentence\tlabel\na\t1\n").unwrap();
        }
    };
    let roles = || {
        let (pool, test) = Task::find("sst2").unwrap().roles(folder.path()).unwrap();
        let names = |paths: Vec<PathBuf>| {
            paths
                .iter()
                .map(|path| path.file_name().unwrap().to_string_lossy().to_string())
                .collect::<Vec<_>>()
        };
        (names(pool), names(test))
    };
    make(&["a.tsv"]);
    assert_eq!(roles(), (vec!["a.tsv".into()], vec![]));
    make(&["train-0.tsv", "train-1.tsv", "dev.tsv"]);
    assert_eq!(
        roles(),
        (vec!["train-0.tsv".into(), "train-1.tsv".into()], vec![])
    );
    make(&["test.tsv"]);
    assert_eq!(roles().1, ["test.tsv"]);
    // On the hub the test rows of SST-2 have no labels; its validation rows are what everybody tests on.
    make(&["validation.tsv"]);
    assert_eq!(roles().1, ["validation.tsv"]);
}
