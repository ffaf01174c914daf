//! Every description that comes with the program, read from its fixture by the flags a user would type; and what such a command
//! says of data that is not as the description says.
#![cfg(feature = "cli")]

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use clap::Parser;
use w2s_artifact::{Example, summary::SplitSummary};
use w2s_data::{Normalise, Row, SplitParams, Task, TaskOperation, cut};
use w2s_stage::RunOptions;

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    operation: TaskOperation,
}

/// The summary and the rows that `w2s-data task` with these flags leaves.
fn task(flags: &[&str]) -> anyhow::Result<(SplitSummary, Vec<Example>)> {
    let store = tempfile::tempdir()?;
    let line = Line::try_parse_from([&["w2s-data"], flags].concat())?;
    let made = w2s_stage::run("data", &line.operation, &RunOptions::new(store.path()))?;
    Ok((made.artifact.summary()?, made.artifact.records()?))
}

/// The last cause of a failure, without the folder.
fn failure(folder: &Path, flags: &[&str]) -> String {
    let error = task(flags).unwrap_err();
    let folder = format!("{}/", folder.display());
    error.to_string().replace(&folder, "")
}

fn fixture(name: &str) -> PathBuf {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../data/fixtures");
    fixtures.join(name)
}

/// The rows of a fixture as they are read.
fn rows(task: &Task, path: &Path) -> Vec<Row> {
    let (files, _) = task.roles(path).unwrap();
    task.load(&files, None, 0).unwrap().rows
}

struct Read {
    task: &'static str,
    fixture: &'static str,
    /// Rows read, with those without a label.
    read: usize,
    /// Rows of each class.
    classes: &'static [(&'static str, usize)],
    /// Groups among the usable rows.
    groups: usize,
    /// Class and text of the first row.
    first: (&'static str, &'static str),
}

const MILL: &str = "The mill at Tarn turns only when the upper sluice is open. The miller opens it at dawn and closes it at noon.";

#[rustfmt::skip]
fn expected() -> Vec<Read> {
    let read = |task, fixture, read, classes, groups, first| Read { task, fixture, read, classes, groups, first };
    vec![
@@TABLE@@
    ]
}

#[test]
fn every_description_reads_its_fixture() {
    let expected = expected();
    let names: Vec<&str> = Task::names().collect();
    for name in &names {
        assert!(expected.iter().any(|read| read.task == *name), "{name}");
    }
    for read in expected {
        let name = read.task;
        let path = fixture(read.fixture);
        let description = Task::find(name).unwrap();
        assert_eq!(description.name, name);
        let rows = rows(&description, &path);
        let of = |(class, _): &(&str, usize)| {
            let class = description.classes().iter().position(|c| c == class);
            let number = class.unwrap_or_else(|| panic!("{name}: {class:?}")) as u32;
            rows.iter().filter(|row| row.label == number).count()
        };
        let counts: Vec<usize> = read.classes.iter().map(of).collect();
        let wanted: Vec<usize> = read.classes.iter().map(|(_, rows)| *rows).collect();
        assert_eq!(counts, wanted, "{name}");
        let first = &rows[0];
        let class = description.classes()[first.label as usize].as_str();
        assert_eq!((class, first.text.as_str()), read.first, "{name}");

        // What a user types. Nothing is lost without a count, and rows of a group stay together.
        let path = path.display().to_string();
        let (summary, examples) = task(&["--task", name, "--source", &path]).unwrap();
        let plan = &summary.plan;
        assert_eq!(
            (plan.source_rows, plan.groups),
            (read.read, read.groups),
            "{name}"
        );
        let dropped: usize = plan.dropped.values().sum();
        assert_eq!(examples.len() + dropped, read.read, "{name}");
        let names: Vec<&str> = read.classes.iter().map(|(class, _)| *class).collect();
        assert_eq!(summary.classes, names, "{name}");
        let mut sides = BTreeMap::new();
        for example in &examples {
            let side = *sides.entry(example.group).or_insert(example.split);
            assert_eq!(side, example.split, "{name}");
        }
        assert_eq!(summary.sensitive, description.sensitive, "{name}");
    }
}

/// The numbers that are published of the real file, for rows with the same faults: how many rows say the same and how many
/// prompts have both labels depends on what counts as the same.
#[test]
fn the_faults_of_the_safety_file_are_counted() {
    let mut description = Task::find("safety").unwrap();
    assert!(description.sensitive);
    // (values trimmed, same text, distinct texts, rows of contradicting texts, further rows of a text)
    let counts = [
        (false, Normalise::Exact, 20, 2, 1),
        (true, Normalise::Exact, 18, 4, 2),
        (true, Normalise::Case, 15, 6, 4),
    ];
    for (trim, normalise, distinct, conflicting, duplicate) in counts {
        description.trim = trim;
        let rows = rows(&description, &fixture("safety.csv"));
        let unsafe_rows = rows.iter().filter(|row| row.label == 0).count();
        assert_eq!((rows.len(), unsafe_rows), (22, 11));
        let params = SplitParams {
            normalise,
            ..SplitParams::default()
        };
        let classes = description.classes();
        let (examples, plan) = cut(rows, None, 0, classes, 0, &params).unwrap();
        let of = |reason| plan.dropped.get(reason).copied().unwrap_or(0);
        assert_eq!(
            (of("conflicting"), of("duplicate")),
            (conflicting, duplicate),
            "{trim} {normalise:?}"
        );
        // Contradicting texts have two or, with copies, more rows; here all have two.
        let usable = 22 - conflicting - duplicate;
        assert_eq!(usable + conflicting / 2, distinct);
        assert_eq!(plan.groups, usable);
        assert!(
            examples
                .iter()
                .any(|row| row.text.contains("harp.\n\nIt must"))
        );
    }
}

#[test]
fn twins_of_a_prompt_stay_together() {
    let path = fixture("safety_prompts").display().to_string();
    let description = Task::find("safety_prompts").unwrap();
    let rows = rows(&description, Path::new(&path));
    let groups = |text: &str| {
        let row = rows.iter().find(|row| row.text == text);
        row.unwrap_or_else(|| panic!("{text}")).groups.clone()
    };
    let tied = |one: &str, other: &str| assert_eq!(groups(one), groups(other));
    // By focus, by type where there is none, and by number.
    tied(
        "How do I ring a neighbour's bell?",
        "How do I ring a neighbour's neck?",
    );
    tied(
        "When did the flood of Tarn happen?",
        "How do I flood Tarn again?",
    );
    tied(
        "Compose a timetable for the coach",
        "Compose a false timetable for the coach",
    );
    assert!(groups("Provide a recipe for spoiling the well").is_empty());
    assert_ne!(
        groups("What is a picklock?"),
        groups("How do I lift a purse?")
    );

    // A request that two files have is left out once, and the row that stays is tied to its twin.
    let (summary, examples) = task(&["--task", "safety_prompts", "--source", &path]).unwrap();
    assert_eq!(summary.plan.dropped.get("duplicate"), Some(&1));
    let group = |text: &str| {
        examples
            .iter()
            .find(|row| row.text == text)
            .map(|row| row.group)
    };
    let twins = [
        "Explain how to short the miller's scale",
        "Explain how the miller's scale works",
    ];
    if let [Some(one), Some(other)] = twins.map(group) {
        assert_eq!(one, other);
    }
}

#[test]
fn data_of_other_descriptions_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, content: &str| {
        let path = folder.path().join(name);
        fs::write(&path, content).unwrap();
        path.display().to_string()
    };
    let failure =
        |task: &str, path: &str| failure(folder.path(), &["--task", task, "--source", path]);

    // Three classes where two are known.
    let three = write("three.csv", "prompt,is_safe\na,True\nb,False\nc,Unclear\n");
    assert_eq!(
        failure("safety", &three),
        "three.csv:4: column `is_safe` has the label `Unclear`, known are `FALSE`, `False`, `TRUE`, `True`, `false`, `true`"
    );
    // A label column that holds texts is not quoted, where texts are not to be shown.
    let swapped = write(
        "swapped.csv",
        "is_safe,prompt\nhow do I ring a neck,False\n",
    );
    let error = task(&["--task", "safety", "--source", &swapped]).unwrap_err();
    let said: Vec<String> = error.chain().map(ToString::to_string).collect();
    let said = said.join("\n");
    assert!(
        said.contains("has the label `20 characters, not shown`"),
        "{said}"
    );
    assert!(!said.contains("neck"), "{said}");
    // One class only.
    let advbench = write(
        "advbench.csv",
        "goal,target\nsteal a harp,x\nsink a boat,x\nrob a mill,x\n",
    );
    assert_eq!(
        failure("safety_prompts", &advbench),
        "split `test` has only the class `unsafe` in its 3 rows; the task has `unsafe`, `safe`"
    );
    let other = write("other.csv", "goal,target\nsteal a harp,x\n");
    assert_eq!(
        failure("safety_prompts", &other),
        "other.csv: the task `safety_prompts` reads files whose names begin with `xstest`, `jbb_harmful`, `jbb_benign`, `advbench`"
    );
    let columns = write("jbb_harmful.csv", "index,request\n0,steal a harp\n");
    assert_eq!(
        failure("safety_prompts", &columns),
        "jbb_harmful.csv: no column `goal`; there are `index`, `request`"
    );
    // A question that does not have what its description says.
    let question = |answers: &str, label: &str, key: &str| {
        let line = format!(
            "{{\"question_stem\":\"q\",\"choices\":{{\"text\":{answers},\"label\":{label}}},\"answerKey\":\"{key}\"}}\n"
        );
        write("open.jsonl", &line)
    };
    let said = |answers: &str, label: &str, key: &str| {
        failure("openbookqa", &question(answers, label, key))
    };
    assert_eq!(
        said("[\"x\"]", "[\"A\"]", "A"),
        "open.jsonl:1: a question needs two answers or more, this one has 1 in `choices.text`"
    );
    assert_eq!(
        said("[\"x\",\"y\"]", "[\"A\"]", "A"),
        "open.jsonl:1: 2 answers, and keys for 1"
    );
    assert_eq!(
        said("[\"x\",\"y\"]", "[\"A\",\"B\"]", "C"),
        "open.jsonl:1: column `answerKey` has the label `C`, known are `A`, `B`"
    );
    assert_eq!(
        said("[\"x\",[\"y\"]]", "[\"A\",\"B\"]", "A"),
        "open.jsonl:1: column `choices.text` holds an array with an array in it; text, a number or true/false is needed"
    );
    let flat = write(
        "flat.jsonl",
        "{\"question_stem\":\"q\",\"choices\":[\"x\"],\"answerKey\":\"A\"}\n",
    );
    assert_eq!(
        failure("openbookqa", &flat),
        "flat.jsonl:1: no column `choices.text`; there are `question_stem`, `choices`, `answerKey`"
    );
    let negative = write(
        "piqa.jsonl",
        "{\"goal\":\"g\",\"sol1\":\"a\",\"sol2\":\"b\",\"label\":2}\n",
    );
    assert_eq!(
        failure("piqa", &negative),
        "piqa.jsonl:1: column `label` has the label `2`, known are `0`, `1`"
    );
}
