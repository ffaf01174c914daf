//! Weak-to-strong reasoning (arXiv 2407.13647): what each selection of answers kept, what the preference pairs hold, how
//! accuracy falls with what prompts are tagged with, such as their steps, and which of the teacher's errors students repeat.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use w2s_artifact::summary::{PairsSummary, ResponsesSummary, SelectionSummary};
use w2s_artifact::{ArtifactRef, Prompt, Role};
use w2s_stats::Estimate;

use super::Page;
use crate::analysis::Analysis;
use crate::format::{Unit, capital, count};
use crate::lineage::Lineage;
use crate::section::{Cell, Section, Table};

/// More values than these make a table that nobody reads.
const VALUES: usize = 8;

/// All sections, each where the experiment has what it is about.
pub(crate) fn sections(analysis: &Analysis<'_>, lineage: &Lineage<'_>, page: &mut Page) {
    selections(analysis, lineage, page);
    contrasts(analysis, lineage, page);
    by_tag(analysis, lineage, page);
    repeated_errors(analysis, page);
}

/// What the models of an arm learnt from by the flag `input`, with the summaries in the order of the seeds.
fn learnt<S: serde::de::DeserializeOwned>(
    analysis: &Analysis<'_>,
    lineage: &Lineage<'_>,
    arm: usize,
    input: &str,
) -> Vec<(ArtifactRef, S)> {
    let mut found = Vec::new();
    for model in analysis.experiment.arms[arm].models() {
        let made = lineage.input(model, input);
        let summary = made.and_then(|made| {
            let manifest = lineage.manifest(made)?;
            serde_json::from_value(manifest.summary.clone()).ok()
        });
        found.extend(made.zip(summary));
    }
    found
}

/// The mean of a number over seeds, where it is known.
fn mean<S>(all: &[(ArtifactRef, S)], number: impl Fn(&S) -> Option<f64>) -> Option<f64> {
    let known: Vec<f64> = all.iter().filter_map(|(_, one)| number(one)).collect();
    w2s_stats::metrics::mean(&known)
}

/// An arm with what it learnt from in each seed.
type Lesson<S> = (usize, Vec<(ArtifactRef, S)>);

fn sources<S>((arm, all): &Lesson<S>, analysis: &Analysis<'_>) -> (Option<Role>, Vec<ArtifactRef>) {
    let role = analysis.experiment.arms[*arm].role;
    (Some(role), all.iter().map(|(made, _)| *made).collect())
}

fn selections(analysis: &Analysis<'_>, lineage: &Lineage<'_>, page: &mut Page) {
    let experiment = analysis.experiment;
    let mut rows: Vec<Lesson<SelectionSummary>> = Vec::new();
    for arm in experiment.places() {
        let all = learnt::<ResponsesSummary>(analysis, lineage, arm, "responses");
        let selected = all.into_iter();
        let selected = selected.filter_map(|(made, one)| Some((made, one.selection?)));
        rows.push((arm, selected.collect()));
    }
    rows.retain(|(_, all)| !all.is_empty());
    if rows.is_empty() {
        return;
    }
    for (arm, all) in &rows {
        if all.iter().any(|(_, one)| one.oracle) {
            page.warning(format!(
                "arm {}: its answers were selected by right ones, which a weak-to-strong setting does not have",
                experiment.name(*arm)
            ));
        }
    }
    let column = |name: &'static str| {
        move |(_, all): &Lesson<SelectionSummary>| {
            let number = |one: &SelectionSummary| {
                let (weak, other) = (one.weak.as_ref(), one.other.as_ref());
                match name {
                    "kept" => Some(one.kept as f64 / one.prompts as f64),
                    "weak" => weak?.accuracy,
                    "weak_kept" => weak?.accuracy_kept,
                    "weak_dropped" => weak?.accuracy_dropped,
                    "recall" => weak?.recall,
                    "other" => other?.accuracy,
                    _ => other?.accuracy_kept,
                }
            };
            mean(all, number).map_or(Cell::from(""), |value| {
                Cell::valued(Unit::Score.write(value), value)
            })
        }
    };
    let first = |all: &Lesson<SelectionSummary>| all.1[0].1.clone();
    let table = Table::of("selections", &rows)
        .column("arm|Arm", |(arm, _)| experiment.name(*arm))
        .column("rule|Rule", move |all| first(all).rule)
        .column("take|Answers taken", move |all| first(all).take)
        .column(">prompts|Prompts", move |all| count(first(all).prompts))
        .column(">kept|Share kept", column("kept"))
        .column(">weak|Weak answers right", column("weak"))
        .column(">weak_kept|… of the kept", column("weak_kept"))
        .column(">weak_dropped|… of the rest", column("weak_dropped"))
        .column(">recall|Right weak answers kept", column("recall"))
        .column(">other|Other answers right", column("other"))
        .column(">other_kept|… of the kept", column("other_kept"))
        .source(|row| sources(row, analysis));
    let introduction = "Which answers students were given, means over seeds. Right answers are counted with, and decide nothing unless the rule is an oracle.";
    page.section(
        Section::new("selections", "Selected answers", introduction).tables([table.done()]),
    );
}

fn contrasts(analysis: &Analysis<'_>, lineage: &Lineage<'_>, page: &mut Page) {
    let experiment = analysis.experiment;
    let mut rows: Vec<Lesson<PairsSummary>> = Vec::new();
    for arm in experiment.places() {
        let mut all = learnt::<PairsSummary>(analysis, lineage, arm, "pairs");
        all.retain(|(_, one)| one.contrast.is_some());
        rows.push((arm, all));
    }
    rows.retain(|(_, all)| !all.is_empty());
    if rows.is_empty() {
        return;
    }
    let column = |name: &'static str, unit: Unit| {
        move |(_, all): &Lesson<PairsSummary>| {
            let number = |one: &PairsSummary| {
                let contrast = one.contrast.as_ref()?;
                match name {
                    "pairs" => Some(one.rows as f64),
                    "weak_chosen" => Some(contrast.weak_chosen as f64 / one.rows as f64),
                    "weak" => contrast.accuracy_weak,
                    "vote" => contrast.accuracy_vote,
                    "chosen" => contrast.accuracy_chosen,
                    _ => contrast.accuracy_rejected,
                }
            };
            mean(all, number).map_or(Cell::from(""), |value| {
                Cell::valued(unit.write(value), value)
            })
        }
    };
    let table = Table::of("contrasts", &rows)
        .column("arm|Arm", |(arm, _)| experiment.name(*arm))
        .column(">pairs|Pairs", |(_, all)| {
            count(
                mean(all, |one| Some(one.rows as f64))
                    .unwrap_or_default()
                    .round(),
            )
        })
        .column(
            ">weak_chosen|Weak answer chosen",
            column("weak_chosen", Unit::Score),
        )
        .column(">weak|Weak answers right", column("weak", Unit::Score))
        .column(">vote|Votes right", column("vote", Unit::Score))
        .column(">chosen|Chosen right", column("chosen", Unit::Score))
        .column(">rejected|Rejected right", column("rejected", Unit::Score))
        .source(|row| sources(row, analysis));
    let introduction = "Pairs of weak answers and of what the student's samples vote for, means over seeds. One side of each pair is the weak answer.";
    page.section(Section::new("contrasts", "Contrast", introduction).tables([table.done()]));
}

/// The headline metric by each tag of the prompts.
fn by_tag(analysis: &Analysis<'_>, lineage: &Lineage<'_>, page: &mut Page) {
    let experiment = analysis.experiment;
    let Some(tags) = tags(analysis, lineage) else {
        return;
    };
    let names: BTreeSet<&String> = tags.values().flat_map(|tags| tags.keys()).collect();
    let mut tables = Vec::new();
    for name in names {
        let value = |id: u64| tags.get(&id).and_then(|tags| tags.get(name));
        let values: BTreeSet<&String> = tags.keys().filter_map(|&id| value(id)).collect();
        if !(2..=VALUES).contains(&values.len()) {
            continue;
        }
        let places = experiment.places();
        let mut table = Table::of(name, &places).column("arm|Arm", |at| experiment.name(*at));
        for of in values {
            let part = |at: &usize| part(analysis, *at, |id| value(id) == Some(of));
            table = table.column(&format!(">{name}_{of}|{name} {of}"), part);
        }
        let table = table.source(|at| experiment.source(&[*at])).done();
        tables.push(table.titled(name.clone()));
    }
    if !tables.is_empty() {
        let introduction = format!(
            "{} of the prompts with each tag: where the task is hard, and for whom.",
            capital(&experiment.metric().name)
        );
        page.section(Section::new("tags", "By tags of the prompts", introduction).tables(tables));
    }
}

/// Tags of the items, by number, where every seed is tested on the same prompts.
fn tags(
    analysis: &Analysis<'_>,
    lineage: &Lineage<'_>,
) -> Option<HashMap<u64, BTreeMap<String, String>>> {
    let experiment = analysis.experiment;
    if !experiment.shares_items() {
        return None;
    }
    let scores = experiment.arms.first()?.runs.first()?.artifact?;
    let prompts = lineage.input(scores, "prompts")?;
    let prompts: Vec<Prompt> = lineage.store().require(&prompts).ok()?.records().ok()?;
    let tagged = prompts.into_iter().filter(|prompt| !prompt.tags.is_empty());
    let tags: HashMap<_, _> = tagged.map(|prompt| (prompt.id, prompt.tags)).collect();
    (!tags.is_empty()).then_some(tags)
}

/// The headline metric of an arm over some of the items.
fn part(analysis: &Analysis<'_>, arm: usize, holds: impl Fn(u64) -> bool) -> Estimate {
    let experiment = analysis.experiment;
    let key = &experiment.metric().key;
    let (mut values, mut taken) = (Vec::new(), Vec::new());
    for (run, items) in experiment.arms[arm].runs.iter().zip(&experiment.items) {
        let inside: Vec<f64> = items.iter().map(|item| f64::from(holds(item.id))).collect();
        let column = run.column(key);
        values.push(
            column
                .iter()
                .zip(&inside)
                .map(|(value, inside)| value * inside)
                .collect::<Vec<_>>(),
        );
        taken.push(inside);
    }
    let n = taken
        .iter()
        .flatten()
        .filter(|inside| **inside > 0.0)
        .count();
    let series = analysis
        .design
        .mean(&values)
        .over(&analysis.design.mean(&taken));
    series.estimate(n)
}

/// Of answers that are right or wrong: how often students are wrong where their teacher is, and where it is not.
fn repeated_errors(analysis: &Analysis<'_>, page: &mut Page) {
    let experiment = analysis.experiment;
    let key = &experiment.metric().key;
    if experiment.classifies() {
        return;
    }
    let binary = |at: usize| {
        let runs = experiment.arms[at].runs.iter();
        runs.flat_map(|run| run.column(key))
            .all(|value| value == 0.0 || value == 1.0)
    };
    let mut rows: Vec<([usize; 2], [Estimate; 2])> = Vec::new();
    for (at, arm) in experiment.arms.iter().enumerate() {
        let Some(teacher) = arm.teacher.filter(|teacher| binary(at) && binary(*teacher)) else {
            continue;
        };
        let shares = [0.0, 1.0].map(|of_teacher| {
            let (mut both, mut which) = (Vec::new(), Vec::new());
            for (own, other) in arm.runs.iter().zip(&experiment.arms[teacher].runs) {
                let (own, other) = (own.column(key), other.column(key));
                let wrong = own.iter().zip(&other);
                let wrong =
                    wrong.map(|(own, other)| f64::from(*own == 0.0 && *other == of_teacher));
                both.push(wrong.collect::<Vec<_>>());
                which.push(
                    other
                        .iter()
                        .map(|other| f64::from(*other == of_teacher))
                        .collect::<Vec<_>>(),
                );
            }
            let n = which
                .iter()
                .flatten()
                .filter(|inside| **inside > 0.0)
                .count();
            let [both, which] = [both, which].map(|columns| analysis.design.mean(&columns));
            both.over(&which).as_share().estimate(n)
        });
        rows.push(([at, teacher], shares));
    }
    if rows.is_empty() {
        return;
    }
    let table = Table::of("errors", &rows)
        .column("arm|Arm", |([at, _], _)| experiment.name(*at))
        .column(
            ">repeated|Wrong where the teacher is wrong",
            |(_, shares)| &shares[0],
        )
        .column(">new|Wrong where the teacher is right", |(_, shares)| {
            &shares[1]
        })
        .source(|(arms, _)| experiment.source(arms));
    let introduction = "A student that only imitates is wrong where its teacher is; one that learnt more than it was shown is not.";
    page.section(
        Section::new("errors", "Errors of the teacher", introduction).tables([table.done()]),
    );
}
