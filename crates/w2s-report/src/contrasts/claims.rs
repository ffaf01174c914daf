//! What delta learning claims (arXiv 2507.06187), where an experiment tests it.

use super::against_base::{Gain, gain};
use super::training::{Lesson, Models};
use super::{NAMED_ARMS, Page};
use crate::analysis::Analysis;
use crate::format::{Unit, nouns, score};

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
        about: |lesson| lesson.prefers(|rule| !["reversed", "tied", "shuffled"].contains(&rule)),
        holds: Gain::above,
        way: "Learning from the delta",
        says: "ends above the base",
    },
    Claim {
        about: |lesson| lesson.prefers(|rule| rule == "reversed"),
        holds: Gain::below,
        way: "Learning from reversed pairs",
        says: "ends below the base",
    },
    Claim {
        about: |lesson| lesson.prefers(|rule| ["tied", "shuffled"].contains(&rule)),
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
    let experiment = analysis.experiment;
    let mut learnt: Vec<(&Lesson, Gain)> = Vec::new();
    for at in experiment.places() {
        let lesson = models.lesson(at).filter(|lesson| !from_file(lesson));
        let lesson = lesson.filter(|_| experiment.arms[at].stop.is_none());
        learnt.extend(lesson.zip(gain(analysis, at, experiment.metric())));
    }
    let (mut sentences, mut held) = (Vec::new(), 0);
    for claim in &CLAIMS {
        let about = learnt.iter().filter(|(lesson, _)| (claim.about)(lesson));
        let holds: Vec<bool> = about.map(|(_, gain)| (claim.holds)(gain)).collect();
        let (of, bearing) = (holds.len(), holds.iter().filter(|holds| **holds).count());
        if of > 0 {
            held += usize::from(bearing == of);
            let (way, says, noun) = (claim.way, claim.says, nouns(of, "arm"));
            sentences.push(format!("{way} {says} in {bearing} of {of} {noun}."));
        }
    }
    if let tested @ 2.. = sentences.len() {
        let seen = if held == tested {
            "is seen"
        } else {
            "is not seen"
        };
        sentences.push(format!(
            "The paper's shape (above the base with the delta, below with reversed pairs, no difference from ties, nothing \
             gained by imitation) {seen}: {held} of the {tested} claims that were tested hold in every arm."
        ));
        sentences
            .into_iter()
            .for_each(|sentence| page.finding(sentence));
    }
    extrapolation(analysis, &learnt, page);
}

/// Whether arms go beyond the answers that they were taught to prefer, where both are measured by the same score and the
/// arm has moved at all.
fn extrapolation(analysis: &Analysis<'_>, learnt: &[(&Lesson, Gain)], page: &mut Page) {
    let key = &analysis.experiment.metric().key;
    let told = |(lesson, gain): &(&Lesson, Gain)| {
        let same = lesson.score.as_ref() == Some(key);
        let chosen = lesson.mean_chosen_score.filter(|_| same)?;
        let value = analysis.estimate(gain.arm, key)?;
        let [low, high] = value.ci95?;
        let place = match chosen {
            chosen if low > chosen => "above",
            chosen if high < chosen => "below",
            _ => "not shown to differ from",
        };
        let (name, value) = (analysis.experiment.name(gain.arm), Unit::Score.told(&value));
        let answers = format!("the {} of the answers it learnt to prefer", score(chosen));
        Some((
            format!("{name} ends at {value}, {place} {answers}."),
            low > chosen,
        ))
    };
    let moved = learnt
        .iter()
        .filter(|(lesson, gain)| !lesson.imitates() && gain.shown());
    let arms: Vec<(String, bool)> = moved.filter_map(told).collect();
    if arms.len() > NAMED_ARMS {
        let beyond = arms.iter().filter(|(_, above)| *above).count();
        page.finding(format!(
            "{beyond} of {} preference arms that moved end above the answers they learnt to prefer.",
            arms.len()
        ));
    } else {
        arms.into_iter()
            .for_each(|(sentence, _)| page.finding(sentence));
    }
}
