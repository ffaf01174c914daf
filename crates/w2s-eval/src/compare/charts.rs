//! The charts of a preference report, as SVG text in the style of `report::svg`.

use std::fmt::Write as _;

use super::{LadderStep, Rung, findings::bracketed};
use crate::report::format::{count, score};
use crate::report::svg::{Axis, escape, open, plain};

/// How values lie along the horizontal axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scale {
    Linear,
    /// The logarithm of one more, for steps from 0.
    Steps,
}

impl Scale {
    fn place(self, value: f64) -> f64 {
        match self {
            Self::Linear => value,
            Self::Steps => value.ln_1p(),
        }
    }
}

/// One line, or the points of a scatter.
pub(super) struct Line {
    pub(super) title: String,
    pub(super) class: &'static str,
    pub(super) points: Vec<Spot>,
    /// Whether the points are joined.
    pub(super) joined: bool,
    /// How the points are drawn.
    pub(super) mark: Mark,
    /// Drawn thin: one of many runs.
    pub(super) faint: bool,
}

/// The mark of a point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mark {
    None,
    Dot,
    Square,
}

/// A point with an interval.
pub(super) struct Spot {
    pub(super) at: [f64; 2],
    pub(super) interval: Option<[f64; 2]>,
    pub(super) title: String,
}

impl Spot {
    pub(super) fn bare(x: f64, y: f64) -> Self {
        Self {
            at: [x, y],
            interval: None,
            title: String::new(),
        }
    }
}

/// A plot of lines and points.
pub(super) struct Plot<'a> {
    pub(super) size: [f64; 2],
    pub(super) scale: Scale,
    pub(super) x_label: &'a str,
    pub(super) lines: &'a [Line],
    /// A horizontal reference line.
    pub(super) level: Option<(f64, &'a str)>,
    /// A vertical mark.
    pub(super) mark: Option<(f64, &'a str)>,
}

impl Plot<'_> {
    pub(super) fn draw(&self) -> String {
        const LEFT: f64 = 48.0;
        const TOP: f64 = 18.0;
        const BOTTOM: f64 = 40.0;
        let [width, height] = self.size;
        let spots = || self.lines.iter().flat_map(|line| &line.points);
        let heights = spots()
            .flat_map(|spot| spot.interval.into_iter().flatten().chain([spot.at[1]]))
            .chain(self.level.map(|level| level.0));
        let vertical = Axis::around(heights, 5);
        let places = spots()
            .map(|spot| spot.at[0])
            .chain(self.mark.map(|mark| mark.0));
        let (horizontal, ticks) = self.horizontal(places);
        let bottom = height - BOTTOM;
        // The name of the level stands beside its line, where no point can be.
        let name = self.level.map_or(0, |(_, label)| label.chars().count());
        let end = width - 14.0 - 7.0 * name as f64;
        let x = |value: f64| LEFT + (end - LEFT) * horizontal.share(self.scale.place(value));
        let y = |value: f64| TOP + (bottom - TOP) * (1.0 - vertical.share(value));

        let mut svg = open(width, height, if width > 500.0 { "chart" } else { "plot" });
        for &tick in &vertical.ticks {
            let at = y(tick);
            _ = write!(
                svg,
                r#"<line class="grid" x1="{LEFT}" x2="{end:.1}" y1="{at:.1}" y2="{at:.1}"/><text class="tick" x="{:.1}" y="{:.1}" text-anchor="end">{}</text>"#,
                LEFT - 7.0,
                at + 4.0,
                plain(tick)
            );
        }
        for (tick, label) in &ticks {
            _ = write!(
                svg,
                r#"<text class="tick" x="{:.1}" y="{:.1}" text-anchor="middle">{label}</text>"#,
                x(*tick),
                bottom + 16.0
            );
        }
        _ = write!(
            svg,
            r#"<text class="tick" x="{end:.1}" y="{:.1}" text-anchor="end">{}</text>"#,
            bottom + 33.0,
            escape(self.x_label)
        );
        if let Some((level, label)) = self.level {
            let at = y(level);
            _ = write!(
                svg,
                r#"<line class="reference baseline" x1="{LEFT}" x2="{end:.1}" y1="{at:.1}" y2="{at:.1}"/><text class="reference-label" x="{:.1}" y="{:.1}">{}</text>"#,
                end + 7.0,
                at + 4.0,
                escape(label)
            );
        }
        if let Some((mark, label)) = self.mark {
            let at = x(mark);
            _ = write!(
                svg,
                r#"<line class="reference baseline" x1="{at:.1}" x2="{at:.1}" y1="{TOP}" y2="{bottom:.1}"/><text class="reference-label" x="{at:.1}" y="{:.1}" text-anchor="middle">{}</text>"#,
                TOP - 6.0,
                escape(label)
            );
        }
        for line in self.lines {
            let style = if line.faint { "thin" } else { "curve" };
            _ = write!(svg, r#"<g class="{}">"#, line.class);
            if line.joined {
                let path: Vec<String> = line
                    .points
                    .iter()
                    .map(|spot| format!("{:.1},{:.1}", x(spot.at[0]), y(spot.at[1])))
                    .collect();
                _ = write!(
                    svg,
                    r#"<polyline class="{style}" points="{}"><title>{}</title></polyline>"#,
                    path.join(" "),
                    escape(&line.title)
                );
            }
            for spot in line.points.iter().filter(|_| line.mark != Mark::None) {
                let (at, height) = (x(spot.at[0]), y(spot.at[1]));
                if let Some([low, high]) = spot.interval {
                    _ = write!(
                        svg,
                        r#"<line class="whisker" x1="{at:.1}" x2="{at:.1}" y1="{:.1}" y2="{:.1}"/>"#,
                        y(low),
                        y(high)
                    );
                }
                let title = escape(&spot.title);
                svg += &match line.mark {
                    Mark::Square => format!(
                        r#"<rect class="mean" x="{:.1}" y="{:.1}" width="8.5" height="8.5"><title>{title}</title></rect>"#,
                        at - 4.25,
                        height - 4.25
                    ),
                    _ => format!(
                        r#"<circle class="mean" cx="{at:.1}" cy="{height:.1}" r="4.5"><title>{title}</title></circle>"#
                    ),
                };
            }
            svg += "</g>";
        }
        svg + "</svg>"
    }

    /// The horizontal axis in the places of the scale, and its ticks with their labels.
    fn horizontal(&self, values: impl Iterator<Item = f64>) -> (Axis, Vec<(f64, String)>) {
        let axis = Axis::around(values.map(|value| self.scale.place(value)), 6);
        let ticks = match self.scale {
            Scale::Linear => axis.ticks.iter().map(|&tick| (tick, plain(tick))).collect(),
            Scale::Steps => [0u32, 1, 10, 100, 1000, 10_000, 100_000]
                .into_iter()
                .filter(|&tick| (axis.low..=axis.high).contains(&self.scale.place(f64::from(tick))))
                .map(|tick| (f64::from(tick), count(u64::from(tick))))
                .collect(),
        };
        (axis, ticks)
    }
}

/// Gain over the base by rung, and under it the delta of the pairs: chosen answers downwards, rejected ones to the right,
/// each rung with the mean score of its answers; in a column of its own, imitation of the chosen answers. A cell whose
/// interval holds zero has its gain in parentheses.
pub(super) fn heat_map(rungs: &[Rung], steps: &[LadderStep]) -> String {
    const TOP: f64 = 58.0;
    const HEIGHT: f64 = 48.0;
    const GAP: f64 = 14.0;
    let longest = rungs.iter().map(|rung| rung.name.chars().count()).max();
    let label = 7.5 * longest.unwrap_or(0) as f64;
    let (left, cell) = ((label + 24.0).max(72.0), (label + 16.0).max(92.0));
    let side = rungs.len() as f64;
    let imitation = steps.iter().any(|step| !step.preference);
    let imitation = imitation.then_some(rungs.len());
    let x = |column: usize| {
        let gap = if Some(column) == imitation { GAP } else { 0.0 };
        left + cell * column as f64 + gap
    };
    let y = |row: usize| TOP + HEIGHT * row as f64;
    let width = x(imitation.unwrap_or(rungs.len() - 1)) + cell + 8.0;
    let height = TOP + HEIGHT * side + 8.0;
    let rect = |class: &str, row: usize, column: usize, opacity: f64| {
        format!(
            r#"<rect class="{class}" x="{:.1}" y="{:.1}" width="{:.1}" height="{:.1}" rx="3" style="opacity: {opacity:.2}"/>"#,
            x(column) + 1.5,
            y(row) + 1.5,
            cell - 3.0,
            HEIGHT - 3.0
        )
    };
    let mut svg = format!(
        r#"<svg class="map" viewBox="0 0 {width:.0} {height:.0}" style="max-width: {width:.0}px" role="img">"#
    );
    svg += &text("tick", left + cell * side / 2.0, 14.0, "middle", "rejected");
    svg += &text("tick", left - 12.0, 14.0, "end", "chosen");
    for (at, rung) in rungs.iter().enumerate() {
        let scored = rung.score.map_or(String::new(), score);
        let middle = x(at) + cell / 2.0;
        svg += &text("label", middle, TOP - 24.0, "middle", &rung.name);
        svg += &text("tick", middle, TOP - 8.0, "middle", &scored);
        svg += &text("label", left - 12.0, y(at) + 21.0, "end", &rung.name);
        svg += &text("tick", left - 12.0, y(at) + 38.0, "end", &scored);
        for other in (0..rungs.len()).chain(imitation) {
            svg += &rect("cell", at, other, 1.0);
        }
    }
    if let Some(column) = imitation {
        let middle = x(column) + cell / 2.0;
        svg += &text("label", middle, TOP - 24.0, "middle", "SFT");
        svg += &text("tick", middle, TOP - 8.0, "middle", "on chosen");
    }
    let largest = steps
        .iter()
        .filter_map(|step| step.gain.mean)
        .fold(f64::MIN_POSITIVE, |largest, gain| largest.max(gain.abs()));
    let place = |name: &Option<String>| rungs.iter().position(|r| Some(&r.name) == name.as_ref());
    for step in steps {
        let column = match step.preference {
            true => place(&step.rejected),
            false => imitation,
        };
        let (Some(row), Some(column), Some(gain)) = (place(&step.chosen), column, step.gain.mean)
        else {
            continue;
        };
        let shown = step
            .gain
            .ci95
            .is_some_and(|[low, high]| low > 0.0 || high < 0.0);
        let written = match shown {
            true => score(gain),
            false => format!("({})", score(gain)),
        };
        let delta = step.delta.filter(|_| step.preference);
        let delta = delta.map(|delta| format!("Δ {}", score(delta)));
        let height = y(row) + if delta.is_some() { 21.0 } else { 29.0 };
        let middle = x(column) + cell / 2.0;
        _ = write!(
            svg,
            r#"<g class="{}"><title>{}: {}</title>{}{}{}</g>"#,
            if gain < 0.0 { "weak" } else { "ceiling" },
            escape(&step.arm),
            escape(&bracketed(&step.gain)),
            rect("heat", row, column, 0.08 + 0.6 * gain.abs() / largest),
            text("gain", middle, height, "middle", &written),
            text(
                "delta",
                middle,
                height + 17.0,
                "middle",
                &delta.unwrap_or_default()
            )
        );
    }
    svg + "</svg>"
}

fn text(class: &str, x: f64, y: f64, anchor: &str, text: &str) -> String {
    format!(
        r#"<text class="{class}" x="{x:.1}" y="{y:.1}" text-anchor="{anchor}">{}</text>"#,
        escape(text)
    )
}
