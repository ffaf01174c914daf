//! What delta learning claims (arXiv 2507.06187), where an experiment tests it.

use super::against_base::{Gain, bracketed, gain};
use super::training::{Lesson, Models};
use super::{NAMED_ARMS, Page};
use crate::analysis::Analysis;
use crate::format::score;

/// What the paper says about one way of using pairs.
struct Claim {
    /// Which arms it is about.
    about: fn(&Lesson) -> bool,
    /// Whether an arm's difference to the base bears it out.
    holds: fn(&Gain) -> bool,
    /// What those arms do.
    way: &'static str,
    /// What is claimed of them.
    says: &'static str,
}

/// Pairs from a file say nothing of who made their answers: the paper claims nothing about them.
fn from_file(lesson: &Lesson) -> bool {
    lesson.rule.as_deref() == Some("file")
}

const CLAIMS: [Claim; 4] = [
    Claim {
        about: |lesson| {
            let gapless = ["reversed", "tied", "shuffled"];
            let rule = lesson.rule.as_deref();
            !lesson.imitates() && rule.is_some_and(|rule| !gapless.contains(&rule))
        },
        holds: Gain::above,
        way: "Learning from the delta",
        says: "ends above the base",
    },
    Claim {
        about: |lesson| !lesson.imitates() && lesson.rule.as_deref() == Some("reversed"),
        holds: Gain::below,
        way: "Learning from reversed pairs",
        says: "ends below the base",
    },
    Claim {
        about: |lesson| !lesson.imitates() && matches!(lesson.rule.as_deref(), Some("tied" | "shuffled")),
        holds: |gain| !gain.shown(),
        way: "Learning from tied or shuffled pairs",
        says: "is not shown to differ from the base",
    },
    Claim {
        about: Lesson::imitates,
        holds: |gain| !gain.above(),
        way: "Imitating answers",
        says: "is not shown to be above the base",
    },
];

/// A sentence for each claim that arms test, and for each arm that goes beyond what it was taught. Claims are told where
/// several are tested: one way of training alone is a tuning run, not a test of the paper.
pub(crate) fn findings(analysis: &Analysis<'_>, models: &Models<'_>, page: &mut Page) {
    let metric = analysis.experiment.metric();
    let arms = analysis.experiment.arms.iter().enumerate();
    let learnt: Vec<(usize, &Lesson, Gain)> = arms
        .filter(|(_, arm)| !arm.on_curve())
        .filter_map(|(at, _)| Some((at, models.lesson(at)?, gain(analysis, at, metric)?)))
        .filter(|(_, lesson, _)| !from_file(lesson))
        .collect();
    let mut sentences = Vec::new();
    let mut held = 0;
    for claim in &CLAIMS {
        let about: Vec<&Gain> = learnt.iter().filter(|(_, lesson, _)| (claim.about)(lesson)).map(|(.., gain)| gain).collect();
        if about.is_empty() {
            continue;
        }
        let bearing = about.iter().filter(|gain| (claim.holds)(gain)).count();
        held += usize::from(bearing == about.len());
        let noun = if about.len() == 1 { "arm" } else { "arms" };
        sentences.push(format!("{} {} in {bearing} of {} {noun}.", claim.way, claim.says, about.len()));
    }
    if let tested @ 2.. = sentences.len() {
        let seen = if held == tested { "is seen" } else { "is not seen" };
        sentences.push(format!(
            "The paper's shape (above the base with the delta, below with reversed pairs, no difference from ties, nothing \
             gained by imitation) {seen}: {held} of the {tested} claims that were tested hold in every arm."
        ));
        sentences.into_iter().for_each(|sentence| page.finding(sentence));
    }
    extrapolation(analysis, &learnt, page);
}

/// Whether arms go beyond the answers that they were taught to prefer, where both are measured by the same score and the
/// arm has moved at all.
fn extrapolation(analysis: &Analysis<'_>, learnt: &[(usize, &Lesson, Gain)], page: &mut Page) {
    let metric = analysis.experiment.metric();
    let arms: Vec<(String, bool)> = learnt
        .iter()
        .filter(|(_, lesson, gain)| !lesson.imitates() && gain.shown())
        .filter_map(|(at, lesson, _)| {
            if lesson.score.as_ref()? != &metric.key {
                return None;
            }
            let value = analysis.estimate(*at, &metric.key)?;
            let (chosen, [low, high]) = (lesson.mean_chosen_score?, value.ci95?);
            let place = match chosen {
                chosen if low > chosen => "above",
                chosen if high < chosen => "below",
                _ => "not shown to differ from",
            };
            let sentence = format!(
                "{} ends at {}, {place} the {} of the answers it learnt to prefer.",
                analysis.experiment.arms[*at].name,
                bracketed(&value),
                score(chosen)
            );
            Some((sentence, low > chosen))
        })
        .collect();
    if arms.len() > NAMED_ARMS {
        let beyond = arms.iter().filter(|(_, above)| *above).count();
        page.finding(format!(
            "{beyond} of {} preference arms that moved end above the answers they learnt to prefer.",
            arms.len()
        ));
    } else {
        arms.into_iter().for_each(|(sentence, _)| page.finding(sentence));
    }
}
