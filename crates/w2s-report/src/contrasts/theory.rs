//! The linear theory of delta learning, as tables and charts.

use w2s_theory::{Arm, CaseStudy, Point, Study, Trajectory};

use super::Page;
use crate::format::{count, percent};
use crate::section::{Cell, Chart, Drawing, Line, Mark, Plot, Section, Size, Spot, Table, Tone};

/// One section a study, and what its cases have in common: the headline where there is nothing else.
pub(crate) fn theory(studies: &[Study], page: &mut Page) {
    for study in studies {
        let sentence = in_words(study);
        match page.headlines.is_empty() {
            true => page.headlines.push(sentence),
            false => page.findings.push(sentence),
        }
        page.section(section(study));
    }
}

fn section(study: &Study) -> Section {
    let settings = &study.settings;
    let mut section = Section::new(
        "theory",
        "Linear theory",
        format!(
            "Cosine of a logistic-regression student with the truth while it learns from two teachers, for the cosines of the chosen teacher, the rejected teacher and the student. Thick lines are training in expectation, thin lines batches of {} in {} dimensions; dots are best points, the dashed line is t*, the best step of the closed form.",
            settings.sgd.batch, settings.sgd.dimension
        ),
    );
    section.text.push(format!(
        "Inputs are standard normal, teachers label with hard thresholds, accuracy is 1 − arccos(cosine) / π. The closed form holds in infinitely many dimensions; the simulation draws the directions of all errors at random ({} draws, seed {}): rising is the share of draws in which the first step helps. Ties are two teachers as good as the chosen one.",
        count(settings.draws as u64),
        settings.seed
    ));
    section.charts = study.cases.iter().map(chart).collect();
    section.tables = vec![closed_form(study), in_expectation(study)];
    section
}

fn case_name(case: &CaseStudy) -> String {
    case.case.to_string().replace(',', ", ").replace('-', "−")
}

fn cosine(value: f64) -> String {
    format!("{value:.4}").replace('-', "−")
}

fn closed_form(study: &Study) -> Table {
    let simulations = study.cases.first().map_or(&[][..], |case| &case.simulations);
    let simulated = simulations.iter().map(|simulation| {
        let n = count(simulation.dimension as u64);
        format!(">d{0}|d = {n}: rising, best, limit", simulation.dimension)
    });
    let fixed = ["case|Case", ">best|Best cosine", ">limit|Limit", ">step|t*, steps", ">accuracy|Accuracy, start, best"];
    let columns: Vec<String> = fixed.map(str::to_owned).into_iter().chain(simulated).collect();
    let columns: Vec<&str> = columns.iter().map(|column| &column[..]).collect();
    let mut table = Table::new("closed_form", &columns).titled("Closed form against simulation");
    for case in &study.cases {
        let form = &case.closed_form;
        let number = |value: f64| Cell {
            text: cosine(value),
            value: Some(value),
            ..Cell::default()
        };
        let mut cells = vec![
            Cell::text(case_name(case)),
            number(form.best_cosine),
            number(form.limit),
            Cell::text(format!("{:.1}", case.best_step)),
            Cell::text(format!("{}, {}", cosine(form.accuracy_start), cosine(form.accuracy_best))),
        ];
        cells.extend(case.simulations.iter().map(|simulation| {
            let mean = |mean: w2s_theory::Mean| format!("{} ± {}", cosine(mean.mean), cosine(mean.stderr));
            Cell::text(format!(
                "{}, {}, {}",
                percent(simulation.rising.mean),
                mean(simulation.best_cosine),
                mean(simulation.limit)
            ))
        }));
        table.push(None, cells, []);
    }
    table
}

fn in_expectation(study: &Study) -> Table {
    let columns: Vec<String> = Arm::ALL.iter().map(|arm| format!(">{0}|{0}", arm.name())).collect();
    let mut all = vec!["case|Case"];
    all.extend(columns.iter().map(|column| &column[..]));
    let mut table = Table::new("in_expectation", &all).titled("Training in expectation: best cosine (step) → end");
    for case in &study.cases {
        let mut cells = vec![Cell::text(case_name(case))];
        cells.extend(Arm::ALL.iter().map(|&arm| {
            let trajectory = case.flow.iter().find(|trajectory| trajectory.arm == arm);
            Cell::text(trajectory.map_or("–".to_owned(), |trajectory| {
                format!(
                    "{} ({}) → {}",
                    cosine(trajectory.best.cosine),
                    count(trajectory.best.step as u64),
                    cosine(trajectory.last.cosine)
                )
            }))
        }));
        table.push(None, cells, []);
    }
    table
}

/// Training in expectation, thin lines for finite batches, a mark at the best step of the closed form.
fn chart(case: &CaseStudy) -> Chart {
    let line = |trajectory: &Trajectory, seed: Option<u64>| {
        let points = trajectory.points.iter().map(|point| [point.step as f64, point.cosine]);
        let title = match seed {
            Some(seed) => format!("{}, batches, seed {seed}", trajectory.arm),
            None => format!("{}, in expectation", trajectory.arm),
        };
        let faint = seed.is_some();
        let curve = Line::curve(title, tone(trajectory.arm), &points.collect::<Vec<_>>());
        Line { faint, ..curve }
    };
    let best = |trajectory: &Trajectory| {
        let Point { step, cosine: best, .. } = trajectory.best;
        let title = format!("{}: best cosine {} after {} steps", trajectory.arm, cosine(best), count(step as u64));
        let spot = Spot {
            title,
            ..Spot::bare([step as f64, best])
        };
        Line::marks(tone(trajectory.arm), Mark::Dot, vec![spot])
    };
    let runs = case.sgd.iter().map(|run| line(&run.trajectory, Some(run.seed)));
    let flow = case.flow.iter().map(|trajectory| line(trajectory, None));
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
    let best = |case: &CaseStudy, arm: Arm| {
        let trajectory = case.flow.iter().find(|trajectory| trajectory.arm == arm);
        trajectory.map_or(0.0, |trajectory| trajectory.best.cosine)
    };
    let gap = study.cases.iter().filter(|case| case.closed_form.rise > 0.0);
    let gap: Vec<&CaseStudy> = gap.collect();
    let of = |test: &dyn Fn(&CaseStudy) -> bool| gap.iter().filter(|case| test(case)).count();
    let lifted = of(&|case| best(case, Arm::Delta) > case.case.student());
    let falls = of(&|case| case.closed_form.limit < case.case.student());
    let imitation = of(&|case| best(case, Arm::Sft) > best(case, Arm::Delta));
    let n = gap.len();
    let cases = if n == 1 { "case" } else { "cases" };
    format!(
        "In {lifted} of {n} {cases} of the linear theory with a better chosen teacher, the delta raises the student at first, and in {falls} it \
         ends lower than it began unless it is stopped; imitation of the chosen teacher, stopped in time, gets higher than \
         the delta in {imitation}."
    )
}
