//! What the arms say: a few prompts with every arm's answer, side by side.

use std::collections::BTreeMap;

use w2s_artifact::{ANSWERS_FILE, Role, ScoredAnswer};

use super::Page;
use crate::experiment::{Experiment, Run};
use crate::lineage::Lineage;
use crate::section::{Cell, Section, Table};

/// How many prompts are shown.
const PROMPTS: usize = 5;
/// Longest text that is shown whole, in characters.
const LONGEST: usize = 400;

/// Five prompts with the answers of all arms. Which ones does not depend on any answer.
pub(crate) fn section(experiment: &Experiment, lineage: &Lineage<'_>, page: &mut Page) {
    let shown = experiment.arms.iter().filter(|arm| !arm.on_curve());
    let arms: Vec<_> = shown
        .filter_map(|arm| Some((arm, read(arm.runs.first()?, lineage)?)))
        .collect();
    let Some(items) = experiment.items.first().filter(|_| !arms.is_empty()) else {
        return;
    };
    let metric = experiment.metric();
    let wanted = PROMPTS.min(items.len());
    let mut section = Section::new(
        "answers",
        "Answers",
        format!(
            "The first of every {} items in their order, whatever was answered: first samples, seed {}. A text of more than {LONGEST} characters ends in an ellipsis here; all answers stand whole in the scores.",
            items.len() / wanted.max(1),
            experiment.seeds.first().copied().unwrap_or_default()
        ),
    );
    for at in 0..wanted {
        let item = &items[at * items.len() / wanted];
        let mut table = Table::new(
            &format!("answers-{}", item.id),
            &["arm|Arm", "answer|Answer", &format!(">value|{}", metric.name)],
        );
        for (arm, answers) in &arms {
            let Some(answer) = answers.get(&item.id) else { continue };
            if table.title.is_empty() {
                let asked: Vec<&str> = answer.messages.iter().map(|message| message.content.trim()).collect();
                table.title = format!("{}. {}", at + 1, cut(&asked.join(" / ")));
                if let Some(right) = &answer.answer {
                    let cells = vec![Cell::text("right answer"), Cell::text(cut(right)), Cell::text("")];
                    table.push(Some(Role::Baseline), cells, []);
                }
            }
            let end = if answer.finished { "" } else { " (not finished)" };
            table.push(
                Some(arm.role),
                vec![
                    Cell::text(&arm.name),
                    Cell::text(format!("{}{end}", cut(&answer.text))),
                    Cell::number(answer.values.get(&metric.key).copied(), metric.unit),
                ],
                arm.runs.first().and_then(|run| run.artifact),
            );
        }
        section.tables.push(table.without_blank_columns());
    }
    section.tables.retain(|table| !table.rows.is_empty());
    if !section.tables.is_empty() {
        page.section(section);
    }
}

/// The first answer to each prompt; none where a run has no texts of its own, or they cannot be read.
fn read(run: &Run, lineage: &Lineage<'_>) -> Option<BTreeMap<u64, ScoredAnswer>> {
    let folder = lineage.store().artifact_dir(&run.artifact?);
    let text = std::fs::read_to_string(folder.join(ANSWERS_FILE)).ok()?;
    let answers = text.lines().filter_map(|line| serde_json::from_str::<ScoredAnswer>(line).ok());
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
