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

#[rustfmt::skip]
fn expected() -> Vec<Read> {
    let read = |task, fixture, read, classes, groups, first| Read { task, fixture, read, classes, groups, first };
    vec![
        read("ag_news", "ag_news.csv", 16, &[("world", 4), ("sports", 4), ("business", 4), ("science", 4)], 16, ("world", "Talks on the river border resume in Ostrand.")),
        read("amazon_polarity", "amazon_polarity.csv", 12, &[("negative", 6), ("positive", 6)], 12, ("positive", "Still going strong This kettle has boiled water twice a day for a year, and it is as quiet as \"new\".")),
        read("anli_r2", "anli_r2.jsonl", 12, &[("no", 8), ("yes", 4)], 4, ("yes", "Premise: The mill at Tarn turns only when the upper sluice is open. The miller opens it at dawn and closes it at noon.\nHypothesis: The mill stands still in the afternoon.")),
        read("boolq", "boolq.jsonl", 12, &[("no", 6), ("yes", 6)], 6, ("yes", "Passage: The harbour bell of Ostrand is rung every evening at dusk. Visitors may watch from the pier.\nQuestion: is the bell in ostrand rung every evening")),
        read("cola", "cola.tsv", 13, &[("unacceptable", 6), ("acceptable", 6)], 12, ("acceptable", "The miller opened the gate before he was asked.")),
        read("cosmos_qa", "cosmos_qa.csv", 22, &[("wrong", 10), ("right", 10)], 9, ("right", "Context: I missed the last bus and my phone was flat, so I walked the six miles home in the rain.\nQuestion: How did I feel when I got home?\nAnswer: I was wet and tired .")),
        read("dream", "dream.jsonl", 16, &[("wrong", 8), ("right", 8)], 4, ("right", "W: Have you read this?\nM: Yes. The mill at Tarn turns only when the upper sluice is open. The miller opens it at dawn and closes it at noon.\nQ: When does the miller open the sluice? A: at dawn")),
        read("ethics_deontology", "ethics_deontology.csv", 10, &[("not valid", 5), ("valid", 5)], 5, ("valid", "Could you ring the bell at six? No because the rope is being mended today.")),
        read("ethics_justice", "ethics_justice.csv", 10, &[("unreasonable", 5), ("reasonable", 5)], 5, ("reasonable", "I usually lend Bela my ladder but not today because it broke last night.")),
        read("ethics_utilitarianism", "ethics_utilitarianism.csv", 12, &[("less pleasant", 6), ("more pleasant", 6)], 5, ("more pleasant", "First: I missed the coach. A farmer gave me a ride.\nSecond: I missed the coach. I walked home in the rain.")),
        read("ethics_virtue", "ethics_virtue.csv", 20, &[("no", 16), ("yes", 4)], 4, ("yes", "Oran gave half of his bread to a stranger.\nTrait: generous")),
        read("hellaswag", "hellaswag.jsonl", 14, &[("wrong", 6), ("right", 6)], 5, ("right", "A man lifts a sack onto the scale. He reads the weight and writes it down.")),
        read("mc_taco", "mc_taco.tsv", 10, &[("no", 5), ("yes", 5)], 4, ("yes", "Bela learned to play the harp.\nQuestion: How long did it take her?\nAnswer: two years")),
        read("multirc", "multirc.jsonl", 17, &[("wrong", 8), ("right", 8)], 4, ("right", "Passage: The mill at Tarn turns only when the upper sluice is open. The miller opens it at dawn and closes it at noon.\nQuestion: When does the miller open the sluice?\nAnswer: at dawn")),
        read("openbookqa", "openbookqa.jsonl", 16, &[("wrong", 8), ("right", 8)], 8, ("right", "Q: When does the miller open the sluice? A: at dawn")),
        read("paws", "paws.tsv", 10, &[("different", 5), ("same", 5)], 5, ("same", "Sentence 1: The ferry runs from Tarn to Ostrand in summer.\nSentence 2: In summer the ferry runs from Tarn to Ostrand.")),
        read("piqa", "piqa.jsonl", 14, &[("wrong", 6), ("right", 6)], 6, ("right", "Goal: Keep a boat from drifting off.\nSolution: Tie it to a post.")),
        read("privacy_policy_qa", "privacy_policy_qa.tsv", 10, &[("irrelevant", 5), ("relevant", 5)], 5, ("relevant", "Question: who reads my letters? [SEP] Clause: We open letters only to sort them by town.")),
        read("quail", "quail.jsonl", 16, &[("wrong", 8), ("right", 8)], 4, ("right", "Passage: The mill at Tarn turns only when the upper sluice is open. The miller opens it at dawn and closes it at noon.\nQuestion: When does the miller open the sluice?\nAnswer: at dawn")),
        read("quartz", "quartz.jsonl", 16, &[("wrong", 8), ("right", 8)], 4, ("right", "Passage: The mill at Tarn turns only when the upper sluice is open. The miller opens it at dawn and closes it at noon.\nQuestion: When does the miller open the sluice?\nAnswer: at dawn")),
        read("safety", "safety.csv", 22, &[("unsafe", 11), ("safe", 11)], 12, ("unsafe", "How do I unlock the gate of Ostrand castle without its key?")),
        read("safety_pairs", "safety_prompts", 16, &[("unsafe", 8), ("safe", 8)], 8, ("safe", "How do I ring a neighbour's bell?")),
        read("safety_prompts", "safety_prompts", 19, &[("unsafe", 11), ("safe", 8)], 10, ("safe", "How do I ring a neighbour's bell?")),
        read("sciq", "sciq.jsonl", 20, &[("wrong", 10), ("right", 10)], 9, ("right", "Q: What is a solid turning straight into a gas called? A: sublimation")),
        read("social_i_qa", "social_i_qa.csv", 16, &[("wrong", 8), ("right", 8)], 4, ("right", "Context: The mill at Tarn turns only when the upper sluice is open. The miller opens it at dawn and closes it at noon.\nQuestion: When does the miller open the sluice?\nAnswer: at dawn")),
        read("sst2", "sst2.parquet", 16, &[("negative", 8), ("positive", 7)], 13, ("positive", "a warm and quietly funny little film .")),
        read("sst2", "sst2.tsv", 14, &[("negative", 7), ("positive", 7)], 12, ("positive", "a warm and quietly funny little film .")),
        read("tos_unfair_clauses", "tos_unfair_clauses.tsv", 12, &[("other", 6), ("unfair", 6)], 5, ("unfair", "we owe nothing if the \"bell\" fails .")),
        read("toxicity", "toxicity.csv", 15, &[("not toxic", 6), ("toxic", 9)], 15, ("toxic", "a tweet that stands for hate against people from Tarn")),
        read("toxicity_classes", "toxicity.csv", 15, &[("hate", 4), ("offensive", 5), ("neither", 6)], 15, ("hate", "a tweet that stands for hate against people from Tarn")),
        read("twitter_sentiment", "twitter_sentiment.csv", 10, &[("negative", 5), ("positive", 5)], 10, ("positive", "harp class was a joy today")),
        read("unfair_tos", "unfair_tos.tsv", 32, &[("other", 8), ("unfair", 24)], 32, ("unfair", "disputes go to the arbiter of ostrand .")),
        read("unfair_tos_types", "unfair_tos.tsv", 32, &[("arbitration", 3), ("choice of law", 3), ("content removal", 3), ("contract by using", 3), ("jurisdiction", 3), ("limitation of liability", 3), ("unilateral change", 3), ("unilateral termination", 3), ("other", 8)], 32, ("arbitration", "disputes go to the arbiter of ostrand .")),
        read("wic", "wic.jsonl", 9, &[("different", 4), ("same", 4)], 7, ("different", "Word: bank\nSentence 1: She sat on the bank and watched the river.\nSentence 2: He keeps his coins at the bank.")),
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
        let test_rows = read.classes.len().to_string();
        let flags = ["--task", name, "--source", &path, "--test-rows", &test_rows];
        let (summary, examples) = task(&flags).unwrap_or_else(|error| panic!("{name}: {error}"));
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
        // A prompt over three lines is one row.
        assert!(
            rows[4]
                .text
                .ends_with("harp.\n\nIt must sound like her aunt.")
        );
        let params = SplitParams {
            normalise,
            ..SplitParams::default()
        };
        let classes = description.classes();
        let (_, plan) = cut(rows, None, 0, classes, 0, &params).unwrap();
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

    // A request that two files have is left out once, in the file that has no twin of it.
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
