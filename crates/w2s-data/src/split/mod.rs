//! Dividing rows into gold, transfer and test: cleaning, filters, groups that stay together, balanced classes, and a plan
//! that accounts for every row. [`cut`] makes the split, [`pre_cut`] takes rows that were divided elsewhere.

use std::collections::{HashMap, HashSet};

use serde::Serialize;
use w2s_artifact::{
    Example, Split,
    summary::{Dropped, SplitPlan},
};
use w2s_worlds::Stream;

use crate::error::DataError;
use deal::{Deal, balanced, check_classes, is_imbalanced, proportional};
use filters::{clean, drop_what_test_knows, filter};
use summary::{count, history};

mod filters;

mod groups;

mod deal;

mod summary;

pub use filters::Normalise;
pub use summary::{counts, table};

/// The share of the pool, or of as much of it as balance leaves, that becomes test rows when neither a number nor test files
/// are given.
const TEST_SHARE: f64 = 0.2;

/// A labelled text before it is divided.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Unique, in all sources together.
    pub id: u64,
    /// The text to classify.
    pub text: String,
    /// Index of the class.
    pub label: u32,
    /// Rows that share one of these keys stay in one split.
    pub groups: Vec<u64>,
}

/// How to divide the rows.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[cfg_attr(feature = "cli", derive(clap::Args))]
pub struct SplitParams {
    /// Decides which rows become gold and which transfer rows; rows that are divided already have their order
    #[cfg_attr(feature = "cli", arg(long, default_value_t = 0, value_name = "N"))]
    pub seed: u64,
    /// Decides which rows become test rows, so that all seeds are tested on the same rows
    #[cfg_attr(feature = "cli", arg(long, default_value_t = 0, value_name = "N"))]
    pub test_seed: u64,
    /// Rows with ground truth for the weak teacher [default: half of what the test leaves]
    #[cfg_attr(feature = "cli", arg(long, value_parser = w2s_stage::count(0..=10_000_000), value_name = "N"))]
    pub gold_rows: Option<usize>,
    /// Rows the teacher labels for the student [default: the rest]
    #[cfg_attr(feature = "cli", arg(long, value_parser = w2s_stage::count(0..=10_000_000), value_name = "N"))]
    pub transfer_rows: Option<usize>,
    /// Rows nobody trains on [default: all rows of the test files, or a fifth of what balance leaves of the source]
    #[cfg_attr(feature = "cli", arg(long, value_parser = w2s_stage::count(0..=10_000_000), value_name = "N"))]
    pub test_rows: Option<usize>,
    /// Leave out rows of the source with fewer words
    #[cfg_attr(feature = "cli", arg(long, value_name = "N"))]
    pub min_words: Option<usize>,
    /// Leave out rows of the source with more words
    #[cfg_attr(feature = "cli", arg(long, value_name = "N"))]
    pub max_words: Option<usize>,
    /// Leave out rows of the source that end otherwise, such as `.` for full sentences
    #[cfg_attr(feature = "cli", arg(long, value_name = "TEXT"))]
    pub ends_with: Option<String>,
    /// Keep rows that share N words in a row in one split, and drop rows that share them with a test row; 0: never
    /// [default: as the task says]
    #[cfg_attr(feature = "cli", arg(long, value_name = "N"))]
    pub shared_run: Option<usize>,
    /// When two texts are duplicates, or share words
    #[cfg_attr(feature = "cli", arg(long, value_enum, default_value_t = Normalise::Case))]
    pub normalise: Normalise,
}

impl SplitParams {
    /// Refuses values that can never give a split.
    pub fn check(&self) -> Result<(), DataError> {
        for (name, rows) in [
            ("gold", self.gold_rows),
            ("transfer", self.transfer_rows),
            ("test", self.test_rows),
        ] {
            if let Some(rows @ (0 | 1)) = rows {
                return Err(DataError::Parameter(format!(
                    "--{name}-rows {rows}: a split needs 2 rows or more"
                )));
            }
        }
        match (self.min_words, self.max_words) {
            (Some(min), Some(max)) if min > max => Err(DataError::Parameter(format!(
                "--min-words {min} is more than --max-words {max}"
            ))),
            _ => Ok(()),
        }
    }
}

/// Divides `pool` into gold and transfer rows, and test rows too unless `test` brings them.
///
/// Cleaning comes first, over all rows of a source: rows without a word, repeated texts and texts with several labels go.
/// Filters apply to the pool. Whatever shares a text, a run of `shared_run` words or a group with any row of `test` leaves
/// the pool, also if that test row is not needed, so that the pool does not change with the number of test rows. Then
/// whole groups are dealt out in random order: the size of one split moves no row of another as long as there are rows
/// enough, and a larger split holds the rows of a smaller one. The test split is balanced exactly; of the others, a class that makes up
/// more than 55 % (1.1 times its fair share) is cut down to balance.
///
/// `unlabelled` is the number of rows dropped before, for the account.
pub fn cut(
    pool: Vec<Row>,
    test: Option<Vec<Row>>,
    unlabelled: usize,
    classes: &[String],
    shared_run: usize,
    params: &SplitParams,
) -> Result<(Vec<Example>, SplitPlan), DataError> {
    params.check()?;
    let source_rows = pool.len() + test.as_ref().map_or(0, Vec::len) + unlabelled;
    let mut dropped = Dropped::new();
    count(&mut dropped, "unlabelled", unlabelled);
    let mut pool = clean(pool, params.normalise, &mut dropped);
    let test = test.map(|rows| clean(rows, params.normalise, &mut dropped));

    filter(&mut pool, params, &mut dropped);
    if let Some(test) = &test {
        let before = pool.len();
        drop_what_test_knows(&mut pool, test, shared_run, params.normalise);
        count(&mut dropped, "shares words with test", before - pool.len());
    }

    let grouped = groups::group(&pool, shared_run, params.normalise);
    let (groups, largest_group) = (
        grouped.len(),
        grouped.iter().map(Vec::len).max().unwrap_or(0),
    );
    let empty = |split: Split, dropped: &Dropped| DataError::EmptySplit {
        split: split.to_string(),
        history: history(dropped, source_rows),
    };

    // Test rows: from their own source, or the first groups of the pool.
    let deals_test = test.is_none();
    let mut examples = Vec::new();
    if let Some(rows) = test {
        let each = (0..rows.len()).map(|row| vec![row]).collect();
        let mut test_deal = Deal::new(&rows, each, classes);
        let wanted = params.test_rows.unwrap_or(usize::MAX).min(rows.len());
        let wanted = balanced(wanted, &test_deal.available());
        let order = test_deal.order(&mut test_stream(params));
        test_deal.fill(Split::Test, wanted, order);
        test_deal.level(Split::Test, true);
        test_deal.check(Split::Test, params.test_rows, || {
            empty(Split::Test, &dropped)
        })?;
        let left = rows.len() - test_deal.picked.len();
        let why = match params.test_rows {
            Some(_) => "not needed",
            None => "balance",
        };
        count(&mut dropped, why, left);
        // Rows of one question may be dealt one by one, since all of them are test rows; they still depend on each other.
        let groups = groups::names(&rows, shared_run, params.normalise);
        for &(split, row, _) in &test_deal.picked {
            examples.push(Example {
                id: rows[row].id,
                split,
                group: groups[row],
                label: rows[row].label,
                text: rows[row].text.clone(),
            });
        }
    }

    let mut deal = Deal::new(&pool, grouped, classes);
    let unpicked = deal_out(&mut deal, deals_test, params, |split| {
        empty(split, &dropped)
    })?;
    // Rows of a group that has a side, taken or not, are out of play, as are whole groups nobody needed.
    let left = pool.len() - deal.picked.len() - unpicked;
    count(&mut dropped, "balance", unpicked);
    let why = match (params.gold_rows, params.transfer_rows) {
        (Some(_), Some(_)) => "not needed",
        _ => "balance",
    };
    count(&mut dropped, why, left);

    for &(split, row, group) in &deal.picked {
        let row = &pool[row];
        examples.push(Example {
            id: row.id,
            split,
            group,
            label: row.label,
            text: row.text.clone(),
        });
    }
    // Gold, transfer, test; inside a split the order in which rows were dealt.
    examples.sort_by_key(|example| example.split);
    let plan = SplitPlan {
        source_rows,
        dropped,
        groups,
        largest_group,
        classes: classes.to_vec(),
        splits: counts(&examples, classes.len()),
        ..SplitPlan::default()
    };
    Ok((examples, plan))
}

/// What decides which groups the test gets.
fn test_stream(params: &SplitParams) -> Stream {
    Stream::new("split test", params.test_seed, 0)
}

/// Deals gold and transfer rows out, and test rows before them where the pool has those too. Returns how many rows were given
/// back for balance.
fn deal_out(
    deal: &mut Deal,
    deals_test: bool,
    params: &SplitParams,
    empty: impl Fn(Split) -> DataError,
) -> Result<usize, DataError> {
    let mut unpicked = 0;
    let all = deal.available();
    let imbalanced = is_imbalanced(&all);
    let (mut test_order, mut reserved) = (Vec::new(), 0);
    if deals_test {
        // Of rows that balance cuts down, a fifth of all could be every row of the rarest class.
        let usable: usize = match imbalanced {
            true => all.iter().min().unwrap_or(&0) * all.len(),
            false => all.iter().sum(),
        };
        let usual = (usable as f64 * TEST_SHARE) as usize;
        let wanted = balanced(params.test_rows.unwrap_or(usual), &all);
        let order = deal.order(&mut test_stream(params));
        reserved = deal
            .reach(&order, balanced(usual, &all))
            .max(deal.reach(&order, wanted.clone()));
        deal.fill(Split::Test, wanted, order.iter().copied());
        unpicked += deal.level(Split::Test, true);
        deal.check(Split::Test, params.test_rows, || empty(Split::Test))?;
        test_order = order;
    }

    // Transfer rows are dealt from one end of an order and gold rows from the other, so that neither's number moves the rows
    // of the other. Groups that the test takes or could usually take come last, so that its number moves neither.
    let mut stream = Stream::new("split train", params.seed, 0);
    let order = deal.order(&mut stream);
    let late: HashSet<usize> = test_order[..reserved].iter().copied().collect();
    let (late, early): (Vec<usize>, Vec<usize>) =
        order.into_iter().partition(|group| late.contains(group));
    let turned = |groups: &[usize]| groups.iter().rev().copied().collect::<Vec<_>>();
    let wishes = [
        (
            Split::Transfer,
            params.transfer_rows,
            [early.clone(), late.clone()].concat(),
        ),
        (
            Split::Gold,
            params.gold_rows,
            [turned(&early), turned(&late)].concat(),
        ),
    ];
    // Sizes that were asked for are served first; whoever named none takes what is left.
    let mut wishes = Vec::from(wishes);
    wishes.sort_by_key(|(_, rows, _)| rows.is_none());
    for (index, (split, rows, order)) in wishes.into_iter().enumerate() {
        let available = deal.available();
        let usable: usize = available.iter().sum();
        let wanted = match rows {
            Some(rows) if imbalanced => balanced(rows, &all),
            Some(rows) => proportional(rows, &all),
            None if index == 1 => vec![usize::MAX; all.len()],
            None if imbalanced => {
                let least = available.iter().copied().min().unwrap_or(0);
                balanced(least / 2 * all.len(), &available)
            }
            None => proportional(usable / 2, &available),
        };
        deal.fill(split, wanted, order);
        unpicked += deal.level(split, false);
        deal.check(split, rows, || empty(split))?;
    }
    Ok(unpicked)
}

/// Which split gets which of some things without classes, and in which groups they were dealt.
pub(crate) struct Dealt {
    /// Split and place of each that was given out, in the order in which a split got them.
    pub(crate) picked: Vec<(Split, usize)>,
    /// Groups of things that stay together.
    pub(crate) groups: usize,
    /// Things in the largest of them.
    pub(crate) largest_group: usize,
}

/// Divides things without texts and classes as [`cut`] divides rows. Those that share one of their `keys`, which are hashes,
/// stay in one split.
pub(crate) fn deal_by_keys(
    keys: Vec<Vec<u64>>,
    what: &str,
    params: &SplitParams,
) -> Result<Dealt, DataError> {
    // Whoever has test rows from elsewhere deals none.
    let deals_test = params.test_rows != Some(0);
    SplitParams {
        test_rows: params.test_rows.filter(|_| deals_test),
        ..params.clone()
    }
    .check()?;
    let rows = keys_as_rows(keys);
    let grouped = groups::group(&rows, 0, params.normalise);
    let (groups, largest_group) = (
        grouped.len(),
        grouped.iter().map(Vec::len).max().unwrap_or(0),
    );
    let classes = [what.to_owned()];
    let mut deal = Deal::new(&rows, grouped, &classes);
    let size = deal.size();
    deal_out(&mut deal, deals_test, params, |split| {
        DataError::EmptySplit {
            split: split.to_string(),
            history: size.clone(),
        }
    })?;
    let picked = deal.picked.iter().map(|&(split, row, _)| (split, row));
    Ok(Dealt {
        picked: picked.collect(),
        groups,
        largest_group,
    })
}

/// For each of some things the place of the first one that it belongs together with, because they share keys.
pub(crate) fn first_of_group(keys: Vec<Vec<u64>>) -> Vec<usize> {
    let names = groups::names(&keys_as_rows(keys), 0, Normalise::Exact);
    names.into_iter().map(|name| name as usize).collect()
}

fn keys_as_rows(keys: Vec<Vec<u64>>) -> Vec<Row> {
    let row = |(id, groups)| Row {
        id,
        text: String::new(),
        label: 0,
        groups,
    };
    (0..).zip(keys).map(row).collect()
}

/// Takes rows that were divided elsewhere as they are, in their order: nothing is shuffled or balanced. Rows without a word are
/// left out, filtered ones (of gold and transfer, as in [`cut`]) and rows beyond the sizes asked for. Texts that occur in two
/// splits are counted. Rows that share a key or a run of `shared_run` words are one group, wherever they stand.
pub fn pre_cut(
    gold: Vec<Row>,
    transfer: Vec<Row>,
    test: Vec<Row>,
    unlabelled: usize,
    classes: &[String],
    shared_run: usize,
    params: &SplitParams,
) -> Result<(Vec<Example>, SplitPlan), DataError> {
    params.check()?;
    let source_rows = gold.len() + transfer.len() + test.len() + unlabelled;
    let mut dropped = Dropped::new();
    count(&mut dropped, "unlabelled", unlabelled);
    let (mut kept, mut splits) = (Vec::new(), Vec::new());
    let mut seen: HashMap<String, Split> = HashMap::new();
    let mut repeated_across_splits = 0;
    for (split, mut rows, wanted) in [
        (Split::Gold, gold, params.gold_rows),
        (Split::Transfer, transfer, params.transfer_rows),
        (Split::Test, test, params.test_rows),
    ] {
        let read = rows.len();
        rows.retain(|row| !row.text.trim().is_empty());
        count(&mut dropped, "empty", read - rows.len());
        let filled = rows.len();
        if split != Split::Test {
            filter(&mut rows, params, &mut dropped);
        }
        let usable = rows.len();
        if let Some(wanted) = wanted {
            rows.truncate(wanted);
        }
        count(&mut dropped, "not needed", usable - rows.len());
        let mut detail = format!("{read} rows read");
        if rows.is_empty() {
            detail += match filled {
                0 => ", none with a word",
                _ => ", none passes the filters",
            };
            return Err(DataError::EmptySplit {
                split: split.to_string(),
                history: detail,
            });
        }
        let mut per_class = vec![0; classes.len()];
        for row in &rows {
            per_class[row.label as usize] += 1;
            let text = params.normalise.apply(&row.text);
            repeated_across_splits += usize::from(*seen.entry(text).or_insert(split) != split);
        }
        check_classes(split, &per_class, classes)?;
        if let Some(needed) = wanted.filter(|&needed| usable < needed) {
            return Err(DataError::TooFewRows {
                split: split.to_string(),
                needed,
                usable,
                detail,
            });
        }
        splits.extend(rows.iter().map(|_| split));
        kept.extend(rows);
    }
    let groups = groups::names(&kept, shared_run, params.normalise);
    let mut sizes: HashMap<u64, usize> = HashMap::new();
    for group in &groups {
        *sizes.entry(*group).or_default() += 1;
    }
    let examples: Vec<Example> = kept
        .into_iter()
        .zip(splits)
        .zip(groups)
        .map(|((row, split), group)| Example {
            id: row.id,
            split,
            group,
            label: row.label,
            text: row.text,
        })
        .collect();
    let plan = SplitPlan {
        source_rows,
        dropped,
        groups: sizes.len(),
        largest_group: sizes.values().copied().max().unwrap_or(0),
        repeated_across_splits,
        classes: classes.to_vec(),
        splits: counts(&examples, classes.len()),
        ..SplitPlan::default()
    };
    Ok((examples, plan))
}

#[cfg(test)]
mod tests;
