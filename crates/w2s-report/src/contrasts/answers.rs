//! What the arms say: a few prompts with every arm's answer, side by side.

use std::collections::BTreeMap;

use w2s_artifact::{ANSWERS_FILE, Role, ScoredAnswer};

use super::Page;
use crate::experiment::{Arm, Experiment, Run};
use crate::format::joined;
use crate::lineage::Lineage;
use crate::section::{Cell, Section, Table};

/// How many prompts are shown.
const PROMPTS: usize = 5;
/// Longest text that is shown whole, in characters.
const LONGEST: usize = 400;

/// Five prompts with the answers of all arms. Which ones does not depend on any answer.
pub(crate) fn section(experiment: &Experiment, lineage: &Lineage<'_>, page: &mut Page) {
    let shown = experiment.arms.iter().filter(|arm| arm.stop.is_none());
    let arms: Vec<_> = shown
        .filter_map(|arm| Some((arm, read(arm.runs.first()?, lineage)?)))
        .collect();
    let Some(items) = experiment.items.first().filter(|_| !arms.is_empty()) else {
        return;
    };
    let metric = experiment.metric();
    let wanted = PROMPTS.min(items.len());
    let mut tables = Vec::new();
    for at in 0..wanted {
        let id = items[at * items.len() / wanted].id;
        let answers = arms
            .iter()
            .filter_map(|(arm, answers)| Some((Some(*arm), answers.get(&id)?)));
        let mut rows: Vec<(Option<&Arm>, &ScoredAnswer)> = answers.collect();
        let Some((_, first)) = rows.first().copied() else {
            continue;
        };
        if first.answer.is_some() {
            // What would have been right stands above what was said.
            rows.insert(0, (None, first));
        }
        let said = |arm: Option<&Arm>, answer: &ScoredAnswer| match (arm, answer.finished) {
            (None, _) => cut(answer.answer.as_deref().unwrap_or_default()),
            (_, true) => cut(&answer.text),
            (_, false) => format!("{} (not finished)", cut(&answer.text)),
        };
        let value = |answer: &ScoredAnswer| answer.values.get(&metric.key).copied();
        let table = Table::of(&format!("answers-{id}"), &rows)
            .column("arm|Arm", |(arm, _)| {
                arm.map_or("right answer", |arm| &arm.name)
            })
            .column("answer|Answer", |(arm, answer)| said(*arm, answer))
            .column(
                &format!(">value|{}", metric.name),
                |(arm, answer)| match arm {
                    Some(_) => value(answer).into(),
                    None => Cell::default(),
                },
            )
            .source(|(arm, _)| match arm {
                Some(arm) => (
                    Some(arm.role),
                    arm.runs.first().and_then(|run| run.artifact),
                ),
                None => (Some(Role::Baseline), None),
            });
        let asked = joined(
            first.messages.iter().map(|message| message.content.trim()),
            " / ",
        );
        tables.push(table.done().titled(format!("{}. {}", at + 1, cut(&asked))));
    }
    if tables.is_empty() {
        return;
    }
    let every = items.len() / wanted.max(1);
    let seed = experiment.seeds.first().copied().unwrap_or_default();
    let introduction = format!(
        "The first of every {every} items in their order, whatever was answered: first samples, seed {seed}. A text of more than {LONGEST} characters ends in an ellipsis here; all answers stand whole in the scores."
    );
    page.section(Section::new("answers", "Answers", introduction).tables(tables));
}

/// The first answer to each prompt; none where a run has no texts of its own, or they cannot be read.
fn read(run: &Run, lineage: &Lineage<'_>) -> Option<BTreeMap<u64, ScoredAnswer>> {
    let folder = lineage.store().artifact_dir(&run.artifact?);
    let text = std::fs::read_to_string(folder.join(ANSWERS_FILE)).ok()?;
    let answers = text
        .lines()
        .filter_map(|line| serde_json::from_str::<ScoredAnswer>(line).ok());
    let first = answers.filter(|answer| answer.sample == 0);
    Some(first.map(|answer| (answer.id, answer)).collect())
}

fn cut(text: &str) -> String {
    let text = text.trim();
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", text[..end].trim_end()),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_is_cut_between_characters() {
        assert_eq!(cut("  short\n"), "short");
        let long = "ä".repeat(LONGEST + 1);
        assert_eq!(cut(&long).chars().count(), LONGEST + 1);
        assert!(cut(&long).ends_with('…'));
    }
}
