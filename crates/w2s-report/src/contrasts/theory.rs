//! The linear theory of delta learning, as tables and charts.

use w2s_theory::{Arm, CaseStudy, Study, Trajectory};

use super::Page;
use crate::format::{Unit, count, nouns};
use crate::section::{
    Cell, Chart, DASH, Drawing, Line, Mark, Plot, Section, Size, Spot, Table, Tone,
};

/// A section about a study, and what its cases have in common: the headline where there is nothing else.
pub(crate) fn theory(study: &Study, page: &mut Page) {
    let sentence = in_words(study);
    match page.headlines.is_empty() {
        true => page.headlines.push(sentence),
        false => page.findings.push(sentence),
    }
    let settings = &study.settings;
    let introduction = format!(
        "Cosine of a logistic-regression student with the truth while it learns from two teachers, for the cosines of the chosen teacher, the rejected teacher and the student. Thick lines are training in expectation, thin lines batches of {} in {} dimensions; dots are best points, the dashed line is t*, the best step of the closed form.",
        settings.sgd.batch, settings.sgd.dimension
    );
    let conditions = format!(
        "Inputs are standard normal, teachers label with hard thresholds, accuracy is 1 − arccos(cosine) / π. The closed form holds in infinitely many dimensions; the simulation draws the directions of all errors at random ({} draws, seed {}): rising is the share of draws in which the first step helps. Ties are two teachers as good as the chosen one.",
        count(settings.draws),
        settings.seed
    );
    page.section(
        Section::new("theory", "Linear theory", introduction)
            .text([conditions])
            .charts(study.cases.iter().map(chart))
            .tables([closed_form(study), in_expectation(study)]),
    );
}

fn case_name(case: &CaseStudy) -> String {
    case.case.to_string().replace(',', ", ").replace('-', "−")
}

fn cosine(value: f64) -> String {
    format!("{value:.4}").replace('-', "−")
}

fn closed_form(study: &Study) -> Table {
    let number = |value: f64| Cell::valued(cosine(value), value);
    let mut table = Table::of("closed_form", &study.cases)
        .column("case|Case", case_name)
        .column(">best|Best cosine", |case| {
            number(case.closed_form.best_cosine)
        })
        .column(">limit|Limit", |case| number(case.closed_form.limit))
        .column(">step|t*, steps", |case| format!("{:.1}", case.best_step))
        .column(">accuracy|Accuracy, start, best", |case| {
            let form = &case.closed_form;
            format!(
                "{}, {}",
                cosine(form.accuracy_start),
                cosine(form.accuracy_best)
            )
        });
    let first = study.cases.first();
    let dimensions = first.into_iter().flat_map(|case| &case.simulations);
    for (at, simulation) in dimensions.enumerate() {
        let (d, n) = (simulation.dimension, count(simulation.dimension));
        table = table.column(&format!(">d{d}|d = {n}: rising, best, limit"), |case| {
            let Some(simulation) = case.simulations.get(at) else {
                return DASH.to_owned();
            };
            let mean =
                |mean: w2s_theory::Mean| format!("{} ± {}", cosine(mean.mean), cosine(mean.stderr));
            let rising = Unit::Percent.write(simulation.rising.mean);
            format!(
                "{rising}, {}, {}",
                mean(simulation.best_cosine),
                mean(simulation.limit)
            )
        });
    }
    table.done().titled("Closed form against simulation")
}

/// Training of an arm in expectation.
fn flow(case: &CaseStudy, arm: Arm) -> Option<&Trajectory> {
    case.flow.iter().find(|trajectory| trajectory.arm == arm)
}

fn in_expectation(study: &Study) -> Table {
    let mut table = Table::of("in_expectation", &study.cases).column("case|Case", case_name);
    for arm in Arm::ALL {
        table = table.column(&format!(">{arm}|{arm}"), |case| {
            let Some(Trajectory { best, last, .. }) = flow(case, arm) else {
                return DASH.to_owned();
            };
            let (reached, end) = (cosine(best.cosine), cosine(last.cosine));
            format!("{reached} ({}) → {end}", count(best.step))
        });
    }
    table
        .done()
        .titled("Training in expectation: best cosine (step) → end")
}

/// Training in expectation, thin lines for finite batches, a mark at the best step of the closed form.
fn chart(case: &CaseStudy) -> Chart {
    let line = |trajectory: &Trajectory, how: &str| {
        let points = trajectory.points.iter();
        let spots = points.map(|point| Spot::new([point.step as f64, point.cosine], ""));
        let title = format!("{}, {how}", trajectory.arm);
        Line::curve(title, tone(trajectory.arm), Mark::None, spots.collect())
    };
    let best = |trajectory: &Trajectory| {
        let (arm, at) = (trajectory.arm, trajectory.best);
        let (best, step) = (cosine(at.cosine), count(at.step));
        let title = format!("{arm}: best cosine {best} after {step} steps");
        let spot = Spot::new([at.step as f64, at.cosine], title);
        Line::marks(tone(arm), Mark::Dot, vec![spot])
    };
    let runs = case
        .sgd
        .iter()
        .map(|run| line(&run.trajectory, &format!("batches, seed {}", run.seed)).faint(true));
    let flow = case
        .flow
        .iter()
        .map(|trajectory| line(trajectory, "in expectation"));
    let lines = runs.chain(flow).chain(case.flow.iter().map(best)).collect();
    let plot = Plot {
        logarithmic: true,
        mark: (case.closed_form.best_time > 0.0).then(|| (case.best_step, "t*".to_owned())),
        ..Plot::new(Size::Half, "steps", lines)
    };
    Chart::new(case_name(case), Drawing::Plot(plot)).legend(&[
        (Tone::Student, "delta"),
        (Tone::Ceiling, "SFT on the chosen teacher"),
        (Tone::Teacher, "reversed"),
        (Tone::Baseline, "tied"),
    ])
}

fn tone(arm: Arm) -> Tone {
    match arm {
        Arm::Delta => Tone::Student,
        Arm::Sft => Tone::Ceiling,
        Arm::Reversed => Tone::Teacher,
        Arm::Tied => Tone::Baseline,
    }
}

/// What the cases have in common.
fn in_words(study: &Study) -> String {
    let best = |case: &CaseStudy, arm| flow(case, arm).map_or(0.0, |flow| flow.best.cosine);
    let mut gap: Vec<&CaseStudy> = study.cases.iter().collect();
    gap.retain(|case| case.closed_form.rise > 0.0);
    let of = |test: &dyn Fn(&CaseStudy) -> bool| gap.iter().filter(|case| test(case)).count();
    let lifted = of(&|case| best(case, Arm::Delta) > case.case.student());
    let falls = of(&|case| case.closed_form.limit < case.case.student());
    let imitation = of(&|case| best(case, Arm::Sft) > best(case, Arm::Delta));
    let (n, cases) = (gap.len(), nouns(gap.len(), "case"));
    format!(
        "In {lifted} of {n} {cases} of the linear theory with a better chosen teacher, the delta raises the student at first, and in {falls} it \
         ends lower than it began unless it is stopped; imitation of the chosen teacher, stopped in time, gets higher than \
         the delta in {imitation}."
    )
}
