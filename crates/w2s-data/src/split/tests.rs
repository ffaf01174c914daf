use std::collections::{BTreeMap, HashSet};

use proptest::prelude::*;

use super::{groups::group, *};

fn classes() -> Vec<String> {
    vec!["bad".into(), "good".into()]
}

fn rows(texts: &[(&str, u32)]) -> Vec<Row> {
    let row = |(id, (text, label)): (u64, &(&str, u32))| Row {
        id,
        text: text.to_string(),
        label: *label,
        groups: Vec::new(),
    };
    (0..).zip(texts).map(row).collect()
}

/// `number` different rows; every `nth` is bad.
fn many(number: u64, nth: u64) -> Vec<Row> {
    let row = |id| Row {
        id,
        text: format!("row {id}"),
        label: u32::from(id % nth > 0),
        groups: Vec::new(),
    };
    (0..number).map(row).collect()
}

/// The rows with numbers behind 999.
fn behind(mut rows: Vec<Row>) -> Vec<Row> {
    rows.iter_mut().for_each(|row| row.id += 1000);
    rows
}

fn sizes(gold: usize, transfer: usize, test: usize) -> SplitParams {
    SplitParams {
        gold_rows: Some(gold),
        transfer_rows: Some(transfer),
        test_rows: Some(test),
        ..SplitParams::default()
    }
}

fn of(examples: &[Example], split: Split) -> Vec<&Example> {
    examples
        .iter()
        .filter(|example| example.split == split)
        .collect()
}

/// Rows left out for a reason.
fn left_out(plan: &SplitPlan, reason: &str) -> usize {
    plan.dropped.get(reason).copied().unwrap_or(0)
}

fn message(result: Result<(Vec<Example>, SplitPlan), DataError>) -> String {
    result.unwrap_err().to_string()
}

#[test]
fn texts_are_compared_as_asked() {
    let text = " Très  GOOD\tfilm ";
    assert_eq!(Normalise::Exact.apply(text), text);
    assert_eq!(Normalise::Space.apply(text), "Très GOOD film");
    assert_eq!(Normalise::Case.apply(text), "très good film");
}

#[test]
fn dirty_rows_are_dropped_and_counted() {
    let mut dropped = Dropped::new();
    let dirty = [
        ("a b", 1),
        ("  ", 1),
        ("A  b", 1),
        ("c", 0),
        ("C", 1),
        ("c ", 0),
        ("d", 0),
    ];
    let kept = clean(rows(&dirty), Normalise::Case, &mut dropped);
    assert_eq!(kept.iter().map(|row| row.id).collect::<Vec<_>>(), [0, 6]);
    assert_eq!(
        (
            dropped["empty"],
            dropped["duplicate"],
            dropped["conflicting"]
        ),
        (1, 1, 3)
    );
    let mut dropped = Dropped::new();
    assert_eq!(clean(rows(&dirty), Normalise::Exact, &mut dropped).len(), 6);
}

#[test]
fn rows_that_share_words_are_one_group() {
    let texts = [
        ("a b c d e f", 0),
        ("x a b c d", 1),
        ("c d e f g", 0),
        ("z B C d E", 1),
        ("a b c", 0),
        ("q a b c d", 1),
    ];
    let groups = |run| group(&rows(&texts), run, Normalise::Case);
    // Row 1 and 5 share `a b c d` with row 0; row 2 shares `c d e f`; row 3 shares `b c d e`.
    assert_eq!(groups(4), [vec![0, 1, 2, 3, 5], vec![4]]);
    assert_eq!(groups(5).len(), 6);
    assert_eq!(groups(0).len(), 6);
    let mut keyed = rows(&texts);
    keyed[0].groups = vec![7, 8];
    keyed[3].groups = vec![8];
    keyed[4].groups = vec![9, 7];
    assert_eq!(
        group(&keyed, 0, Normalise::Case),
        [vec![0, 3, 4], vec![1], vec![2], vec![5]]
    );
}

#[test]
fn the_sizes_asked_for_are_met_and_balanced() {
    let (examples, plan) =
        cut(many(1000, 2), None, 0, &classes(), 0, &sizes(200, 300, 100)).unwrap();
    assert_eq!(
        [Split::Gold, Split::Transfer, Split::Test].map(|split| of(&examples, split).len()),
        [200, 300, 100]
    );
    assert_eq!(plan.splits.test.per_class, [50, 50]);
    assert_eq!(
        (plan.source_rows, left_out(&plan, "not needed"), plan.groups),
        (1000, 400, 1000)
    );
    // Gold rows stand first, then transfer, then test.
    assert!(examples.is_sorted_by_key(|example| example.split));
}

#[test]
fn a_frequent_class_is_cut_down_above_55_percent() {
    // 600 of 1000 rows are good.
    let lopsided = |number: u64| -> Vec<Row> {
        let mut rows = many(number, 1);
        for row in &mut rows {
            row.label = u32::from(row.id % 10 < 6);
        }
        rows
    };
    let (_, plan) = cut(
        lopsided(1000),
        None,
        0,
        &classes(),
        0,
        &SplitParams::default(),
    )
    .unwrap();
    // Of the 800 rows that balance leaves, a fifth is the test and each other split half of the rest.
    assert_eq!(plan.splits.test.per_class, [80, 80]);
    assert_eq!(plan.splits.gold.per_class, [160, 160]);
    assert_eq!(plan.splits.transfer.per_class, [160, 160]);
    assert_eq!(left_out(&plan, "balance"), 200);
    let (_, plan) = cut(
        lopsided(1000),
        None,
        0,
        &classes(),
        0,
        &sizes(100, 200, 100),
    )
    .unwrap();
    assert_eq!(
        (plan.splits.gold.per_class, plan.splits.transfer.per_class),
        (vec![50, 50], vec![100, 100])
    );
    // 54 of 100 is left as it is.
    let mut natural = many(1000, 1);
    natural
        .iter_mut()
        .for_each(|row| row.label = u32::from(row.id % 100 < 54));
    let (_, plan) = cut(
        natural,
        Some(behind(many(10, 2))),
        0,
        &classes(),
        0,
        &SplitParams::default(),
    )
    .unwrap();
    assert_eq!(
        plan.splits.gold.rows + plan.splits.transfer.rows,
        990,
        "{plan:?}"
    );
    assert!(plan.splits.gold.per_class[1] > plan.splits.gold.per_class[0]);
}

#[test]
fn seeds_change_the_training_rows_and_not_the_test_rows() {
    let ids = |seed, test_seed, split| {
        let params = SplitParams {
            seed,
            test_seed,
            ..sizes(50, 50, 50)
        };
        let (examples, _) = cut(many(400, 2), None, 0, &classes(), 0, &params).unwrap();
        of(&examples, split)
            .iter()
            .map(|example| example.id)
            .collect::<Vec<_>>()
    };
    assert_eq!(ids(0, 0, Split::Gold), ids(0, 0, Split::Gold));
    assert_ne!(ids(0, 0, Split::Gold), ids(1, 0, Split::Gold));
    assert_ne!(ids(0, 0, Split::Transfer), ids(1, 0, Split::Transfer));
    assert_eq!(ids(0, 0, Split::Test), ids(1, 0, Split::Test));
    assert_ne!(ids(0, 0, Split::Test), ids(0, 1, Split::Test));
}

#[test]
fn what_the_test_rows_know_leaves_the_pool() {
    let mut pool = many(100, 2);
    pool[0].text = "the test says one two three".into();
    pool[1].text = "and again test says one two indeed".into();
    pool[2].groups = vec![5];
    pool[3].text = "Three  Words ONLY".into();
    let mut test = rows(&[
        ("the test says one two three four", 0),
        ("three words only", 1),
        ("c", 0),
        ("d", 1),
    ]);
    test[2].groups = vec![5];
    let params = SplitParams {
        test_rows: Some(2),
        ..SplitParams::default()
    };
    let (examples, plan) = cut(pool, Some(behind(test)), 3, &classes(), 4, &params).unwrap();
    assert_eq!(left_out(&plan, "shares words with test"), 4);
    assert_eq!(
        (
            left_out(&plan, "not needed"),
            left_out(&plan, "unlabelled"),
            plan.source_rows
        ),
        (2, 3, 107)
    );
    assert!(
        of(&examples, Split::Test)
            .iter()
            .all(|example| example.id >= 1000)
    );
}

#[test]
fn the_usual_test_leaves_rows_of_the_rarest_class() {
    let mut pool = many(2000, 2);
    pool.iter_mut()
        .for_each(|row| row.label = u32::from(row.id % 20 == 0));
    let (_, plan) = cut(pool, None, 0, &classes(), 0, &SplitParams::default()).unwrap();
    // A fifth of the 200 rows that balance leaves, and halves of the rest.
    let sizes = [&plan.splits.gold, &plan.splits.transfer, &plan.splits.test].map(|s| s.rows);
    assert_eq!(sizes, [80, 80, 40]);
}

#[test]
fn filters_concern_the_pool_only() {
    let pool = rows(&[
        ("one two three.", 0),
        ("one two four.", 1),
        ("two", 0),
        ("one two three four five.", 1),
        ("one two three", 0),
        ("a b c.", 0),
        ("a c d.", 1),
    ]);
    let params = SplitParams {
        min_words: Some(2),
        max_words: Some(4),
        ends_with: Some(".".into()),
        ..SplitParams::default()
    };
    let (_, plan) = cut(
        pool,
        Some(behind(rows(&[("x", 0), ("y", 1)]))),
        0,
        &classes(),
        0,
        &params,
    )
    .unwrap();
    assert_eq!((left_out(&plan, "filtered"), plan.splits.test.rows), (3, 2));
}

#[test]
fn rows_divided_elsewhere_are_taken_as_they_are() {
    let gold = rows(&[("g2", 1), ("g1", 0), ("g1", 0), ("g0", 1)]);
    let transfer = behind(rows(&[("t0", 1), (" ", 1), ("t1", 0)]));
    let test = behind(behind(rows(&[("G1", 1), ("x", 0)])));
    let params = SplitParams {
        gold_rows: Some(3),
        ..SplitParams::default()
    };
    let (examples, plan) = pre_cut(gold, transfer, test, 0, &classes(), 0, &params).unwrap();
    let texts: Vec<_> = examples
        .iter()
        .map(|row| (row.id, row.split, row.label, row.text.as_str()))
        .collect();
    let expected = [
        (0, Split::Gold, 1, "g2"),
        (1, Split::Gold, 0, "g1"),
        (2, Split::Gold, 0, "g1"),
        (1000, Split::Transfer, 1, "t0"),
        (1002, Split::Transfer, 0, "t1"),
        (2000, Split::Test, 1, "G1"),
        (2001, Split::Test, 0, "x"),
    ];
    assert_eq!(texts, expected);
    assert_eq!(
        (
            plan.repeated_across_splits,
            left_out(&plan, "empty"),
            left_out(&plan, "not needed")
        ),
        (1, 1, 1)
    );
    assert_eq!(plan.source_rows, 9);
    let few = pre_cut(
        many(4, 2),
        behind(many(4, 2)),
        behind(behind(many(4, 2))),
        0,
        &classes(),
        0,
        &sizes(4, 5, 4),
    );
    assert_eq!(
        message(few),
        "split `transfer` needs 5 rows and 4 are usable (4 rows read)"
    );
}

#[test]
fn splits_that_cannot_be_are_refused() {
    let cut = |pool, test, params: &SplitParams| message(cut(pool, test, 0, &classes(), 0, params));
    assert_eq!(
        cut(
            many(20, 2),
            Some(many(4, 2)),
            &SplitParams {
                min_words: Some(3),
                ..SplitParams::default()
            }
        ),
        "split `transfer` is empty: 24 rows read, 20 filtered"
    );
    assert_eq!(
        cut(many(20, 1), None, &SplitParams::default()),
        "split `test` has only the class `bad` in its 20 rows; the task has `bad`, `good`"
    );
    assert_eq!(
        cut(many(100, 2), None, &sizes(50, 50, 20)),
        "split `gold` needs 50 rows and 30 are usable (bad 15, good 15)"
    );
    assert_eq!(
        cut(many(100, 2), None, &sizes(50, 50, 0)),
        "--test-rows 0: a split needs 2 rows or more"
    );
    let error = super::cut(many(100, 2), None, 0, &classes(), 0, &sizes(50, 50, 20)).unwrap_err();
    assert_eq!(
        error.hint().unwrap(),
        "lower `--gold-rows`, or loosen `--min-words`, `--max-words`, `--ends-with` and `--shared-run`"
    );
    let params = SplitParams {
        min_words: Some(5),
        max_words: Some(4),
        ..SplitParams::default()
    };
    assert_eq!(
        cut(many(100, 2), None, &params),
        "--min-words 5 is more than --max-words 4"
    );
    assert_eq!(
        message(pre_cut(
            many(4, 2),
            vec![],
            many(4, 2),
            0,
            &classes(),
            0,
            &SplitParams::default()
        )),
        "split `transfer` is empty: 0 rows read, none with a word"
    );
    assert_eq!(
        message(pre_cut(
            many(4, 1),
            many(4, 2),
            many(4, 2),
            0,
            &classes(),
            0,
            &SplitParams::default()
        )),
        "split `gold` has only the class `bad` in its 4 rows; the task has `bad`, `good`"
    );
}

#[test]
fn the_plan_reads_as_a_table() {
    let mut pool = many(2000, 2);
    pool[1].text = String::new();
    let (_, plan) = cut(pool, None, 1, &classes(), 0, &sizes(600, 300, 100)).unwrap();
    let expected = "\
split           rows    groups        bad       good
gold             600       600        300        300
transfer         300       300        150        150
test             100       100         50         50
dropped        1,001  1 empty, 999 not needed, 1 unlabelled
read           2,001";
    assert_eq!(table(&plan), expected);
}

#[test]
fn sixty_thousand_rows_are_grouped_quickly() {
    let mut stream = Stream::new("test", 0, 0);
    let word = |stream: &mut Stream| format!("w{}", stream.below(3000));
    let pool: Vec<Row> = (0..60_000)
        .map(|id| {
            let text: Vec<_> = (0..5 + stream.below(10))
                .map(|_| word(&mut stream))
                .collect();
            Row {
                id,
                text: text.join(" "),
                label: (id % 2) as u32,
                groups: Vec::new(),
            }
        })
        .collect();
    let clock = std::time::Instant::now();
    cut(pool, None, 0, &classes(), 5, &SplitParams::default()).unwrap();
    // A second or so without optimisation; the bound is for a busy machine.
    assert!(clock.elapsed().as_secs() < 20, "{:?}", clock.elapsed());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_cut_keeps_its_promises(
        seed in 0u64..1000,
        number in 20usize..300,
        vocabulary in 2usize..40,
        good in 0.2f64..0.8,
        own_test in any::<bool>(),
        gold_rows in proptest::option::of(2usize..40),
        transfer_rows in proptest::option::of(2usize..40),
        test_rows in proptest::option::of(2usize..40),
    ) {
        let mut stream = Stream::new("test", seed, 1);
        let mut make = |number: usize| -> Vec<Row> {
            (0..number as u64)
                .map(|id| {
                    let words = stream.below(12);
                    let text: Vec<_> = (0..words).map(|_| format!("w{}", stream.below(vocabulary))).collect();
                    let groups = if stream.chance(0.2) { vec![stream.below(30) as u64] } else { vec![] };
                    Row { id, text: text.join(" "), label: u32::from(stream.chance(good)), groups }
                })
                .collect()
        };
        let pool = make(number);
        let test = own_test.then(|| behind(make(40)));
        let params = SplitParams { seed, gold_rows, transfer_rows, test_rows, ..SplitParams::default() };
        let result = cut(pool.clone(), test.clone(), 0, &classes(), 5, &params);
        let Ok((examples, plan)) = result else { return Ok(()) };

        // Every row is accounted for, once.
        prop_assert_eq!(plan.source_rows, examples.len() + plan.dropped.values().sum::<usize>());
        let ids: HashSet<_> = examples.iter().map(|example| example.id).collect();
        prop_assert_eq!(ids.len(), examples.len());

        // No group, no group key and no run of five words in two splits.
        let mut side_of_group = BTreeMap::new();
        let mut side_of_run = BTreeMap::new();
        let mut side_of_key = BTreeMap::new();
        for example in &examples {
            let side = *side_of_group.entry(example.group).or_insert(example.split);
            prop_assert_eq!(side, example.split);
            let words: Vec<_> = example.text.split(' ').collect();
            for run in words.windows(5) {
                let side = *side_of_run.entry(run.join(" ")).or_insert(example.split);
                prop_assert_eq!(side, example.split);
            }
            let row = match example.id.checked_sub(1000) {
                Some(id) => &test.as_ref().unwrap()[id as usize],
                None => &pool[example.id as usize],
            };
            prop_assert_eq!(&row.text, &example.text);
            for key in &row.groups {
                let side = *side_of_key.entry(*key).or_insert(example.split);
                prop_assert_eq!(side, example.split);
            }
        }

        // The classes are balanced, the sizes are those asked for.
        let counts = [&plan.splits.gold, &plan.splits.transfer, &plan.splits.test];
        for (count, wanted) in counts.iter().zip([gold_rows, transfer_rows, test_rows]) {
            prop_assert!(!is_imbalanced(&count.per_class) || count.rows < 20, "{:?}", count);
            if let Some(wanted) = wanted {
                prop_assert!(count.rows <= wanted && count.rows + 1 >= wanted);
            }
        }
        prop_assert_eq!(plan.splits.test.per_class[0], plan.splits.test.per_class[1]);

        // The same again is the same.
        let again = cut(pool, test, 0, &classes(), 5, &params).unwrap();
        prop_assert_eq!((examples, plan), again);
    }
}

#[test]
fn rows_of_a_question_are_one_group_in_test_files_and_divided_files() {
    let asked = |mut rows: Vec<Row>| -> Vec<Row> {
        // The right and a wrong answer of each question; the second key ties two questions by their paragraph.
        for row in &mut rows {
            row.groups = vec![row.id / 2, 100 + row.id / 4];
        }
        rows
    };
    let groups = |examples: &[Example], split| {
        let of = examples.iter().filter(|example| example.split == split);
        of.map(|example| (example.id, example.group))
            .collect::<BTreeMap<_, _>>()
    };
    let test = behind(many(8, 2)).into_iter().collect();
    let (examples, _) = cut(
        many(40, 2),
        Some(asked(test)),
        0,
        &classes(),
        0,
        &SplitParams::default(),
    )
    .unwrap();
    let expected: BTreeMap<u64, u64> = (1000..1008).map(|id| (id, id - id % 4)).collect();
    assert_eq!(groups(&examples, Split::Test), expected);

    let [gold, transfer] = [0, 1].map(|part| asked(many(16, 2)[8 * part..][..8].to_vec()));
    let (examples, plan) = pre_cut(
        gold,
        transfer,
        asked(behind(many(8, 2))),
        0,
        &classes(),
        0,
        &SplitParams::default(),
    )
    .unwrap();
    assert_eq!(groups(&examples, Split::Test), expected);
    assert_eq!((plan.groups, plan.largest_group), (6, 4));
}

#[test]
fn filters_apply_to_rows_that_are_divided_already() {
    let rows_of = |first: u64| {
        let mut rows = rows(&[("a b", 0), ("a", 1), ("c d e", 1), ("f g h i", 0)]);
        rows.iter_mut().for_each(|row| row.id += first);
        rows
    };
    let params = SplitParams {
        min_words: Some(2),
        max_words: Some(3),
        ..SplitParams::default()
    };
    let (examples, plan) = pre_cut(
        rows_of(0),
        rows_of(10),
        rows_of(20),
        0,
        &classes(),
        0,
        &params,
    )
    .unwrap();
    let ids: Vec<_> = examples.iter().map(|example| example.id).collect();
    assert_eq!(ids, [0, 2, 10, 12, 20, 21, 22, 23]);
    assert_eq!(left_out(&plan, "filtered"), 4);
    let params = SplitParams {
        min_words: Some(9),
        ..SplitParams::default()
    };
    assert_eq!(
        message(pre_cut(
            rows_of(0),
            rows_of(10),
            rows_of(20),
            0,
            &classes(),
            0,
            &params
        )),
        "split `gold` is empty: 4 rows read, none passes the filters"
    );
}

/// The numbers of the rows of each split: gold, transfer, test.
fn ids(
    pool: &[Row],
    test: Option<&[Row]>,
    classes: &[String],
    sizes: &SplitParams,
) -> [HashSet<u64>; 3] {
    let (pool, test) = (pool.to_vec(), test.map(<[Row]>::to_vec));
    let (examples, _) = cut(pool, test, 0, classes, 0, sizes).unwrap();
    Split::ALL.map(|split| of(&examples, split).iter().map(|row| row.id).collect())
}

#[test]
fn the_size_of_one_split_moves_no_other() {
    let three = ["bad", "fair", "good"].map(String::from).to_vec();
    let mut lopsided = many(3000, 2);
    lopsided
        .iter_mut()
        .for_each(|row| row.label = u32::from(row.id % 10 < 7));
    let mut natural = many(3000, 2);
    natural
        .iter_mut()
        .for_each(|row| row.label = u32::from(row.id % 100 < 53));
    let mut grouped = many(3000, 2);
    grouped
        .iter_mut()
        .for_each(|row| row.groups = vec![row.id / 3]);
    let mut of_three = many(3000, 2);
    of_three
        .iter_mut()
        .for_each(|row| row.label = [0, 1, 2, 1, 0, 2, 1, 0, 2, 2][row.id as usize % 10]);
    let test = behind(many(600, 2));
    for (name, pool, test, classes) in [
        ("plain", many(3000, 2), None, classes()),
        ("test files", many(3000, 2), Some(&test[..]), classes()),
        ("lopsided", lopsided, None, classes()),
        ("natural", natural, None, classes()),
        ("groups", grouped, None, classes()),
        ("three classes", of_three, None, three),
    ] {
        for seed in 0..3 {
            let ids = |[gold, transfer, test_rows]: [usize; 3]| {
                let params = SplitParams {
                    seed,
                    ..sizes(gold, transfer, test_rows)
                };
                ids(&pool, test, &classes, &params)
            };
            let usual = [101, 202, 100];
            let small = ids(usual);
            for changed in 0..3 {
                for rows in [211, 300, 350] {
                    let mut wanted = usual;
                    wanted[changed] = rows;
                    let large = ids(wanted);
                    for split in 0..3 {
                        if split == changed {
                            assert!(small[split].is_subset(&large[split]), "{name} {wanted:?}");
                            assert!(small[split].len() < large[split].len(), "{name} {wanted:?}");
                        } else {
                            assert_eq!(small[split], large[split], "{name} {wanted:?} {split}");
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn a_larger_split_has_no_fewer_of_any_class() {
    for available in [[50, 50, 50], [40, 50, 60], [1, 50, 99], [33, 34, 83]] {
        let mut before = vec![0; 3];
        for total in 0..160 {
            let now = proportional(total, &available);
            assert!(
                before.iter().zip(&now).all(|(before, now)| before <= now),
                "{total}: {before:?} {now:?}"
            );
            before = now;
        }
    }
}
