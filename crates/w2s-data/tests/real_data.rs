//! Counts on real data, for whoever has it: the folder named by `W2S_DATA` holds `sst2/train.tsv` and `sst2/test.tsv` in the
//! layout of the GLUE download, `hh-single-turn/harmless_train_gt.jsonl` with transcripts in the form of HH-RLHF, and
//! `helpfulness/pandalm-unanimous.jsonl` with the test set of PandaLM where its annotators agree. `safety` holds XSTest, JailbreakBench and
//! AdvBench, `toxicity/labeled_data.csv` the tweets of Davidson et al., and `legalbench/tos_unfair_clauses.tsv` clauses of terms of service.

use std::{
    collections::{BTreeMap, HashMap},
    path::PathBuf,
};

use w2s_artifact::{Answer, Pair, Split};
use w2s_data::{
    LengthUnit, Mark, Normalise, PairFilters, PairRule, Pairing, RowFormat, SplitParams, Task, cut,
    prompts, source, table,
};

fn folder(name: &str) -> PathBuf {
    let data = std::env::var_os("W2S_DATA").expect("W2S_DATA names a folder with data sets");
    PathBuf::from(data).join(name)
}

#[test]
#[ignore = "needs W2S_DATA"]
fn sst2_is_cleaned_and_divided() {
    let folder = folder("sst2");
    let task = Task::find("sst2").unwrap();
    let (pool_files, test_files) = task.roles(&folder).unwrap();
    assert_eq!(pool_files, [folder.join("train.tsv")]);
    assert_eq!(test_files, [folder.join("test.tsv")]);
    let pool = task.load(&pool_files, None, 0).unwrap().rows;
    let test = task
        .load(&test_files, None, pool.len() as u64)
        .unwrap()
        .rows;
    let positive = |rows: &[w2s_data::Row]| rows.iter().filter(|row| row.label == 1).count();
    assert_eq!((pool.len(), positive(&pool)), (60_614, 33_828));
    assert_eq!((test.len(), positive(&test)), (872, 444));
    assert!(pool.iter().all(|row| row.text == row.text.trim()));

    // The README of the data: 293 rows repeat a text, 3 texts (6 rows) have both labels, so 290 + 6 rows go.
    let params = SplitParams {
        normalise: Normalise::Exact,
        ..SplitParams::default()
    };
    let clock = std::time::Instant::now();
    let (examples, plan) = cut(
        pool.clone(),
        Some(test.clone()),
        0,
        task.classes(),
        task.shared_run,
        &params,
    )
    .unwrap();
    println!("{}\n{:?}", table(&plan), clock.elapsed());
    assert_eq!(
        (
            plan.dropped.get("conflicting").copied().unwrap_or(0),
            plan.dropped.get("duplicate").copied().unwrap_or(0),
            plan.dropped.get("empty").copied().unwrap_or(0)
        ),
        (6, 290, 0)
    );
    assert_eq!(plan.splits.test.per_class, [428, 428]);
    assert_eq!(
        plan.source_rows,
        examples.len() + plan.dropped.values().sum::<usize>()
    );
    assert_eq!(plan.largest_group, 74);

    // No five words in a row stand in two splits.
    let mut side: HashMap<Vec<&str>, Split> = HashMap::new();
    for example in &examples {
        let words: Vec<_> = example.text.split(' ').collect();
        for run in words.windows(5) {
            assert_eq!(
                *side.entry(run.to_vec()).or_insert(example.split),
                example.split,
                "{run:?}"
            );
        }
    }

    // The sizes of the published comparison: full sentences of 10 to 18 words.
    let params = SplitParams {
        gold_rows: Some(3200),
        transfer_rows: Some(480),
        test_rows: Some(600),
        min_words: Some(10),
        max_words: Some(18),
        ends_with: Some(".".into()),
        ..SplitParams::default()
    };
    let (_, plan) = cut(
        pool,
        Some(test),
        0,
        task.classes(),
        task.shared_run,
        &params,
    )
    .unwrap();
    println!("{}", table(&plan));
    assert_eq!(
        [&plan.splits.gold, &plan.splits.transfer, &plan.splits.test].map(|c| c.rows),
        [3200, 480, 600]
    );
}

#[test]
#[ignore = "needs W2S_DATA"]
fn hh_single_turn_becomes_pairs() {
    let folder = folder("hh-single-turn");
    let rows = source::read_objects(&[folder.join("harmless_train_gt.jsonl")]).unwrap();
    assert_eq!(rows.len(), 4_000);
    let pairing = |mark| {
        let format = RowFormat {
            mark,
            ..RowFormat::default()
        };
        let mut pairing = Pairing::from_rows(&rows, &format).unwrap();
        pairing
            .filter(PairRule::File, &PairFilters::default(), &[])
            .unwrap();
        assert_eq!(pairing.pairs.len() + pairing.dropped.total(), 4_000);
        pairing
    };
    // The README of the data: 4 replies are empty. 6 rows have the mark again inside a reply, all of them in the rejected
    // one, so that every way to cut gives the same pairs.
    let first = pairing(Mark::First);
    let empty = BTreeMap::from([("empty".to_owned(), 4)]);
    assert_eq!((first.dropped.by_name(), first.pairs.len()), (empty, 3_996));
    let marked = |answer: &Answer| answer.text.contains("\n\nAssistant:");
    let inside = |side: fn(&Pair) -> &Answer| {
        let answers = first.pairs.iter().map(side);
        answers.filter(|answer| marked(answer)).count()
    };
    assert_eq!(
        (inside(|pair| &pair.chosen), inside(|pair| &pair.rejected)),
        (0, 6)
    );
    assert_eq!(pairing(Mark::Last), first);
    assert_eq!(pairing(Mark::Common), first);
    // It says 41.0 % of all 4,000.
    let longer = first.summary(LengthUnit::Characters).longer_is_chosen;
    assert!((longer - 0.41).abs() < 0.001, "{longer}");
    let asked = prompts(&rows, &RowFormat::default()).unwrap();
    assert_eq!(asked.prompts.len(), 3_915);
}

#[test]
#[ignore = "needs W2S_DATA"]
fn pandalm_becomes_pairs() {
    let folder = folder("helpfulness");
    let rows = source::read_objects(&[folder.join("pandalm-unanimous.jsonl")]).unwrap();
    let mut pairing = Pairing::from_rows(&rows, &RowFormat::default()).unwrap();
    pairing
        .filter(PairRule::File, &PairFilters::default(), &[])
        .unwrap();
    let empty = BTreeMap::from([("empty".to_owned(), 5)]);
    assert_eq!((rows.len(), pairing.dropped.by_name()), (155, empty));
    assert_eq!(pairing.pairs.len(), 150);
}

/// Rows and split plan of a task whose files lie in a folder of the data.
fn divided(name: &str, source: &str) -> (Vec<w2s_data::Row>, w2s_artifact::summary::SplitPlan) {
    let task = Task::find(name).unwrap();
    let (files, test) = task.roles(&folder(source)).unwrap();
    assert!(test.is_empty(), "{test:?}");
    let rows = task.load(&files, None, 0).unwrap().rows;
    let params = SplitParams::default();
    let (_, plan) = cut(
        rows.clone(),
        None,
        0,
        task.classes(),
        task.shared_run,
        &params,
    )
    .unwrap();
    println!("{name}\n{}", table(&plan));
    (rows, plan)
}

fn of_class(rows: &[w2s_data::Row], class: u32) -> usize {
    rows.iter().filter(|row| row.label == class).count()
}

fn dropped(reasons: &[(&str, usize)]) -> BTreeMap<String, usize> {
    let reasons = reasons.iter();
    reasons
        .map(|(why, rows)| (why.to_string(), *rows))
        .collect()
}

#[test]
#[ignore = "needs W2S_DATA"]
fn safety_prompts_are_read_from_three_layouts() {
    // The README of the data: XSTest has 250 safe and 200 unsafe prompts, JailbreakBench 100 and 100, AdvBench 520 unsafe ones, of
    // which 11 are also in JailbreakBench.
    let (rows, plan) = divided("safety_prompts", "safety");
    assert_eq!((of_class(&rows, 0), of_class(&rows, 1)), (820, 350));
    assert_eq!(plan.dropped["duplicate"], 11);
    assert!(plan.largest_group <= 50, "{}", plan.largest_group);
    let (rows, plan) = divided("safety_pairs", "safety");
    assert_eq!((of_class(&rows, 0), of_class(&rows, 1)), (300, 350));
    assert!(!plan.dropped.contains_key("duplicate"));
}

#[test]
#[ignore = "needs W2S_DATA"]
fn tweets_have_two_classes_or_three() {
    // The README of the data: 12 further rows of a text, of which one text has two of the three classes.
    let (rows, plan) = divided("toxicity", "toxicity");
    assert_eq!((of_class(&rows, 0), of_class(&rows, 1)), (4_163, 20_620));
    let balance = plan.dropped["balance"];
    assert_eq!(
        plan.dropped,
        dropped(&[("balance", balance), ("duplicate", 12)])
    );
    let (rows, plan) = divided("toxicity_classes", "toxicity");
    assert_eq!(
        [0, 1, 2].map(|class| of_class(&rows, class)),
        [1_430, 19_190, 4_163]
    );
    let balance = plan.dropped["balance"];
    let expected = [("balance", balance), ("conflicting", 2), ("duplicate", 11)];
    assert_eq!(plan.dropped, dropped(&expected));
}

#[test]
#[ignore = "needs W2S_DATA"]
fn clauses_are_grouped_by_owner() {
    let (rows, plan) = divided("tos_unfair_clauses", "legalbench/tos_unfair_clauses.tsv");
    assert_eq!((of_class(&rows, 0), of_class(&rows, 1)), (1_705, 194));
    assert_eq!((rows.len(), plan.dropped["duplicate"]), (1_899, 108));
    let owners: std::collections::HashSet<_> = rows.iter().map(|row| &row.groups).collect();
    // Thirteen documents, three of them of one owner.
    assert_eq!(owners.len(), 11);
    let task = Task::find("privacy_policy_qa").unwrap();
    let rows = task
        .load(&[folder("legalbench/privacy_policy_qa-train.tsv")], None, 0)
        .unwrap()
        .rows;
    assert_eq!((of_class(&rows, 0), of_class(&rows, 1)), (4, 4));
    assert!(rows[0].text.starts_with("Question: ") && rows[0].text.contains(" [SEP] Clause: "));
}
