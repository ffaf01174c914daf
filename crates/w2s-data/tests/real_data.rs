//! Counts on real data, for whoever has it: the folder named by `W2S_DATA` holds `sst2/train.tsv` and `sst2/test.tsv` in the
//! layout of the GLUE download. Without the variable nothing is checked.

use std::{collections::HashMap, path::PathBuf};

use w2s_artifact::Split;
use w2s_data::{Normalise, SplitParams, Task, cut};

fn sst2() -> Option<PathBuf> {
    Some(PathBuf::from(std::env::var_os("W2S_DATA")?).join("sst2"))
}

#[test]
fn sst2_is_cleaned_and_divided() {
    let Some(folder) = sst2() else { return };
    let task = Task::find("sst2").unwrap();
    let (pool_files, test_files) = task.roles(&folder).unwrap();
    assert_eq!(pool_files, [folder.join("train.tsv")]);
    assert_eq!(test_files, [folder.join("test.tsv")]);
    let pool = task.load(&pool_files, None).unwrap().rows;
    let test = task.load(&test_files, None).unwrap().rows;
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
    println!("{plan}\n{:?}", clock.elapsed());
    assert_eq!(
        (
            plan.dropped.conflicting,
            plan.dropped.duplicate,
            plan.dropped.empty
        ),
        (6, 290, 0)
    );
    assert_eq!(plan.splits.test.per_class, [428, 428]);
    assert_eq!(plan.source_rows, examples.len() + plan.dropped.total());
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
    println!("{plan}");
    assert_eq!(
        [&plan.splits.gold, &plan.splits.transfer, &plan.splits.test].map(|c| c.rows),
        [3200, 480, 600]
    );
}
