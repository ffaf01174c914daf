//! The charts of the audit.

use w2s_stats::Series;
use w2s_stats::audit::{Area, Threshold};

use super::compare::Comparison;
use super::{known_by, standing};
use crate::contrasts::NAMED_ARMS;
use crate::format::{Unit, joined, score};
use crate::grouped::{add_once, grouped};
use crate::section::{
    Across, Chart, Dot, Dots, Drawing, HeatCell, HeatMap, Line, Mark, Plot, Size, Spot, Tone,
};

/// The thresholds of a curve, in percent.
const CURVE: std::ops::RangeInclusive<u32> = 55..=95;
const CURVE_STEP: usize = 5;

/// Each score above the one that difficulty gives.
pub(super) fn scores(main: &[&Comparison<'_>]) -> Option<Chart> {
    let dot = |label: &str, tone: Tone, series: &Series| Dot::new(label, tone, &series.estimate(0));
    let mut dots = Vec::new();
    for comparison in main.iter().filter(|c| c.score.marked > 0) {
        let placed = &comparison.score;
        dots.extend(dot(&comparison.name, Tone::Student, &placed.score));
        dots.extend(dot("", Tone::Baseline, &placed.chance));
        dots.extend(dot("", Tone::Teacher, &placed.by_difficulty));
    }
    (!dots.is_empty()).then(|| {
        let title = "Share of errors on items that only the ceiling knows";
        Chart::new(
            title,
            Drawing::Dots(Dots::new(dots, Vec::new(), Unit::Score)),
        )
        .legend(&[
            (Tone::Student, "score"),
            (Tone::Baseline, "by chance"),
            (Tone::Teacher, "by difficulty"),
        ])
    })
}

/// The error rate of each area, in the order of a harmless tax.
pub(super) fn rates(main: &[&Comparison<'_>]) -> Vec<Chart> {
    let chart = |comparison: &&Comparison<'_>| {
        let dots = Area::HARMLESS.iter().filter_map(|area| {
            let tone = match area {
                Area::StrongOnly => Tone::Student,
                _ => Tone::Baseline,
            };
            let rate = comparison.audit.rate(*area).estimate(0);
            Dot::new(known_by(*area), tone, &rate)
        });
        let dots = Dots::new(dots.collect(), Vec::new(), Unit::Score);
        let name = &comparison.name;
        let title = format!("{name}: error rate by who knows the item");
        let mut chart = Chart::new(title, Drawing::Dots(dots));
        if main.len() > 1 {
            chart.group = "Error rate by who knows the item".to_owned();
        }
        chart
    };
    main.iter().take(NAMED_ARMS).map(chart).collect()
}

/// The score and its null values over the threshold.
pub(super) fn curves(main: &[&Comparison<'_>]) -> Vec<Chart> {
    let chart = |comparison: &&Comparison<'_>| {
        let (mut own, mut chance, mut difficulty) = (Vec::new(), Vec::new(), Vec::new());
        for percent in CURVE.step_by(CURVE_STEP) {
            let at = f64::from(percent) / 100.0;
            let placed = Threshold::new(at).ok();
            let placed = placed.and_then(|threshold| comparison.score_at(threshold));
            let Some(placed) = placed.filter(|placed| placed.marked > 0) else {
                continue;
            };
            let spot = |name: &str, series: &Series| {
                Spot::of(at, &series.estimate(0), &format!("{name}, threshold {at}"))
            };
            own.extend(spot("score", &placed.score));
            let bare = |spot: Option<Spot>| {
                spot.map(|spot| Spot {
                    interval: None,
                    ..spot
                })
            };
            chance.extend(bare(spot("by chance", &placed.chance)));
            difficulty.extend(bare(spot("by difficulty", &placed.by_difficulty)));
        }
        let lines = vec![
            Line::curve("by chance", Tone::Baseline, Mark::None, chance),
            Line::curve("by difficulty", Tone::Teacher, Mark::None, difficulty),
            Line::curve(&comparison.name, Tone::Student, Mark::Dot, own),
        ];
        let plot = Plot::new(Size::Half, "threshold", lines);
        let mut chart = Chart::new(&comparison.name, Drawing::Plot(plot)).legend(&[
            (Tone::Student, "score"),
            (Tone::Baseline, "by chance"),
            (Tone::Teacher, "by difficulty"),
        ]);
        chart.group = "The score at other thresholds".to_owned();
        chart
    };
    let defined = main.iter().filter(|comparison| comparison.score.marked > 0);
    defined.take(NAMED_ARMS).map(chart).collect()
}

/// A map of weak by strong models for each kind of student with both tags; what cannot be drawn is said.
pub(super) fn maps(main: &[&Comparison<'_>]) -> Vec<Result<Chart, String>> {
    let tagged = main.iter().filter_map(|comparison| {
        let tag = |name: &str| comparison.tags.get(name).cloned();
        let place = (tag("weak")?, tag("strong")?);
        let others = comparison.tags.iter();
        let others = others.filter(|(name, _)| !["weak", "strong"].contains(&&name[..]));
        let others = joined(others.map(|(name, value)| format!("{name}={value}")), ", ");
        Some((others, (place, *comparison)))
    });
    let maps = grouped(tagged).into_iter();
    maps.map(|(others, cells)| map(&others, &cells)).collect()
}

/// Weak and strong model of a student.
type Place = (String, String);

fn map(others: &str, cells: &[(Place, &Comparison<'_>)]) -> Result<Chart, String> {
    let (mut weak, mut strong, mut seen) = (Vec::new(), Vec::new(), Vec::new());
    for (place, _) in cells {
        add_once(&mut weak, place.0.clone());
        add_once(&mut strong, place.1.clone());
        if seen.contains(place) {
            let (weak, strong) = place;
            return Err(format!(
                "Several arms have the tags weak={weak} and strong={strong}: give them one more tag to see a map of weak and strong models."
            ));
        }
        seen.push(place.clone());
    }
    let cell = |((row, column), comparison): &(Place, &Comparison<'_>)| {
        let placed = &comparison.score;
        let difference = placed.above_chance();
        let value = Some(difference.mean).filter(|value| value.is_finite());
        let told = Unit::Score.told(&difference.estimate(0));
        HeatCell {
            title: format!("{}: score minus chance {told}", comparison.name),
            row: weak.iter().position(|name| name == row).unwrap_or(0),
            column: strong.iter().position(|name| name == column),
            tone: Tone::of(value.filter(|value| *value != 0.0).map(|value| value < 0.0)),
            value: value.unwrap_or(0.0),
            text: match (value, standing(&difference)) {
                (None, _) => "undefined".to_owned(),
                (_, Some(_)) => score(placed.score.mean),
                (_, None) => format!("({})", score(placed.score.mean)),
            },
            note: value.map_or_else(String::new, |_| {
                format!("chance {}", score(placed.chance.mean))
            }),
        }
    };
    let cells = cells.iter().map(cell).collect();
    let title = match others {
        "" => "Score, in parentheses where it is not shown to differ from chance".to_owned(),
        others => {
            format!("Score of {others}, in parentheses where it is not shown to differ from chance")
        }
    };
    let map = HeatMap {
        rungs: weak.into_iter().map(|name| (name, None)).collect(),
        across: Some(Across {
            down: "weak".to_owned(),
            right: "strong".to_owned(),
            names: strong,
        }),
        cells,
    };
    Ok(Chart::new(title, Drawing::Map(map)))
}
