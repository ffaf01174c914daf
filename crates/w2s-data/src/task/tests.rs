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
    let message = error.to_string();
    assert!(
        message.starts_with("no task `sst-2`; there are `ag_news`, `amazon_polarity`, "),
        "{message}"
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

/// The description `OWN` with `more` in front of its tables.
fn own_with(more: &str) -> String {
    OWN.replacen("[label]", &format!("{more}\n[label]"), 1)
}

#[test]
fn columns_are_made_of_others() {
    let text = OWN
        .replace("{subject}: {body}", "{title}|{part}")
        .replace("\"thread\"", "\"sender\"");
    let text = text.replacen(
        "[label]",
        r#"[columns]
        title = { text = "{subject}", or = "{body}" }
        part = { text = "{subject} {body}", after = ": ", before = " -- " }
        sender = { text = "{from}", replace = { Bob = "Robert" } }
        [label]"#,
        1,
    );
    let task = Task::parse(&text, "own").unwrap();
    let content =
        "from,subject,body,spam\nBob,Re: hi -- x,ok,no\nRobert,,a: b -- c,yes\nAnn,plain,text,no\n";
    let rows = load(&task, "mails.csv", content).unwrap().rows;
    let expected = [
        // `before` cuts first, then `after`; a text without the mark stays whole.
        (0, "Re: hi -- x|hi"),
        (1, "a: b -- c|b"),
        (0, "plain|plain text"),
    ];
    assert_eq!(texts(&rows), expected);
    assert_eq!(rows[0].groups, rows[1].groups);
    assert_ne!(rows[0].groups, rows[2].groups);
}

#[test]
fn files_have_columns_of_their_own_names() {
    let layouts = r#"
    [[layouts]]
    files = ["old"]
    columns = { subject = "{head}", spam = "yes", thread = "" }
    [[layouts]]
    files = ["new"]
    columns = { thread = "{id}" }"#;
    let task = Task::parse(&own_with(layouts), "own").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, content: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    };
    write("old-1.csv", "head,body\nWin,now\n");
    write("New.csv", "id,subject,body,spam\n4,Re,ok,no\n5,Re,yes,no\n");
    let whole = [folder.path().to_path_buf()];
    let rows = task.load(&whole, None, 0).unwrap().rows;
    let expected = [(0, "Re: ok"), (0, "Re: yes"), (1, "Win: now")];
    assert_eq!(texts(&rows), expected);
    assert_eq!(rows.iter().map(|row| row.id).collect::<Vec<_>>(), [0, 1, 2]);
    assert!(rows[2].groups.is_empty());
    // A number of rows is counted over all files.
    assert_eq!(task.load(&whole, Some(2), 0).unwrap().rows.len(), 2);
    let other = write("mails.csv", "subject,body,spam\n");
    let error = task.load(&[other], None, 0).unwrap_err();
    let message = error.to_string();
    assert!(
        message
            .ends_with("mails.csv: the task `own` reads files whose names begin with `old`, `new`"),
        "{message}"
    );
}

#[test]
fn answers_stand_in_lists_and_have_keys() {
    let asks = |choices: &str| {
        let description = format!(
            "name = \"q\"\nabout = \"\"\ntext = \"{{q}} {{answer}}/{{other}}\"\n[choices]\n{choices}\n[origin]\nurl = \"\"\nlicence = \"\"\ncitation = \"\""
        );
        Task::parse(&description, "q.toml")
    };
    let rows = |choices: &str, line: &str| -> Vec<(u32, String)> {
        let loaded = load(&asks(choices).unwrap(), "q.jsonl", line).unwrap();
        let rows = loaded.rows.into_iter();
        rows.map(|row| (row.label, row.text)).collect()
    };
    let both = [(1, "q y/x".to_owned()), (0, "q x/y".to_owned())];
    // By index, by a letter, by letters of the row, by the answer itself; in a list of objects.
    let list = "answers = [\"a\"]\nright_index = \"r\"";
    let line = r#"{"q": "q", "a": ["x", "y"], "r": 1}"#;
    assert_eq!(rows(list, line), both);
    let letters = format!("{list}\nkeys = [\"A\", \"B\"]");
    let line = r#"{"q": "q", "a": ["x", "y"], "r": "B"}"#;
    assert_eq!(rows(&letters, line), both);
    let repeated = format!("{list}\nkeys = \"a\"");
    let line = r#"{"q": "q", "a": ["x", " y "], "r": "y"}"#;
    assert_eq!(rows(&repeated, line), both);
    let nested = "answers = [\"c.t\"]\nright_index = \"r\"\nkeys = \"c.k\"";
    let line = r#"{"q": "q", "c": [{"t": "x", "k": 7}, {"t": "y", "k": 8}], "r": 8}"#;
    assert_eq!(rows(nested, line), both);
    // A column whose name has a dot in it is that column.
    let line = r#"{"q": "q", "c.t": ["x", "y"], "c.k": ["7", "8"], "r": "8"}"#;
    assert_eq!(rows(nested, line), both);
    // No right answer; no wrong one to compare with.
    let none = format!("{list}\nunlabelled = [\"\"]");
    assert_eq!(rows(&none, r#"{"q": "q", "a": ["x", "y"], "r": ""}"#), []);
    let equal = rows(list, r#"{"q": "q", "a": ["x", "x"], "r": 0}"#);
    assert_eq!(equal, [(1, String::new())]);

    let refused = |choices: &str| asks(choices).unwrap_err().to_string();
    for (choices, problem) in [
        (
            "answers = []\nright_index = \"r\"",
            "`[choices] answers` names no column",
        ),
        (
            "answers = [\"a\"]\nright = \"a\"",
            "`[choices] right` needs a column for each answer",
        ),
        (
            "answers = [\"a\", \"b\"]\nright = \"a\"\nkeys = \"k\"",
            "`[choices] keys` belongs to `right_index`",
        ),
        (
            "answers = [\"a\", \"b\"]\nright_index = \"r\"\nkeys = [\"A\"]",
            "`[choices] keys` has 1 keys for 2 answers",
        ),
        (
            "answers = [\"a\"]\nright_index = \"r\"\nwrong = 0",
            "`[choices] wrong = 0` must be 1 or more",
        ),
        (
            "answers = [\"a\"]\nright_index = \"r\"\nwrong = 2",
            "`{other}` in `text` needs `[choices] wrong = 1`",
        ),
    ] {
        assert_eq!(refused(choices), format!("task `q.toml`: {problem}"));
    }
    let made = refused("answers = [\"a\"]\nright_index = \"r\"\n[columns]\nother = \"{x}\"");
    assert_eq!(
        made,
        "task `q.toml`: a column cannot be called `other`, which is an answer of a question"
    );
}

#[test]
fn bad_columns_and_layouts_are_refused() {
    assert_eq!(
        problem(&own_with("[columns]\nbody = \"{text\"")),
        "task `own.toml`: column `body`: \"{text\" has a brace without its end"
    );
    let message = problem(&own_with(
        "[columns]\nbody = { text = \"{x}\", befor = \"y\" }",
    ));
    assert!(message.contains("unknown field `befor`"), "{message}");
    let message = problem(&own_with("[columns]\nbody = 3"));
    assert!(
        message.contains("expected a template, or a table with one as `text`"),
        "{message}"
    );
    assert_eq!(
        problem(&own_with("[[layouts]]\nfiles = []\ncolumns = {}")),
        "task `own.toml`: `[[layouts]] files` names no beginning of a file's name"
    );
}
