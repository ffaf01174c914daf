//! The charts of the HTML page, as SVG text.
//!
//! Colours come from the page's style sheet through class names, so that the charts follow a light or dark page. Every mark
//! carries its numbers as a `title`, which browsers show as a tooltip.

use std::fmt::Write as _;

/// Width of a full chart in its own units, which are about pixels on the page.
pub(crate) const WIDTH: f64 = 860.0;

/// One row of a [`dots`] chart.
pub(crate) struct Dot {
    pub(crate) label: String,
    /// Style class: a role.
    pub(crate) class: &'static str,
    pub(crate) mean: f64,
    pub(crate) interval: Option<[f64; 2]>,
    pub(crate) per_seed: Vec<f64>,
    /// The number in words, at the right of the row.
    pub(crate) text: String,
    /// Drawn faint: the number is not to be relied on.
    pub(crate) faint: bool,
}

/// A vertical reference line.
pub(crate) struct Reference {
    pub(crate) at: f64,
    pub(crate) class: &'static str,
    pub(crate) label: String,
}

/// Means with intervals and the values of single seeds, one row each. `limits` bounds the axis: what lies outside is drawn
/// at the edge with an arrow.
pub(crate) fn dots(
    rows: &[Dot],
    references: &[Reference],
    limits: [f64; 2],
    format: fn(f64) -> String,
) -> String {
    const RIGHT: f64 = 190.0;
    const TOP: f64 = 30.0;
    const ROW: f64 = 36.0;
    const BOTTOM: f64 = 30.0;
    let longest = rows.iter().map(|row| row.label.chars().count()).max();
    let left = (7.0 * longest.unwrap_or(0) as f64 + 24.0).clamp(150.0, 300.0);
    let values = rows
        .iter()
        .flat_map(|row| {
            row.interval
                .into_iter()
                .flatten()
                .chain([row.mean])
                .chain(row.per_seed.iter().copied())
        })
        .chain(references.iter().map(|line| line.at))
        .map(|value| value.clamp(limits[0], limits[1]));
    let axis = Axis::around(values, 6);
    let height = TOP + ROW * rows.len() as f64 + BOTTOM;
    let bottom = height - BOTTOM;
    let x =
        |value: f64| left + axis.share(value.clamp(axis.low, axis.high)) * (WIDTH - left - RIGHT);

    let mut svg = open(WIDTH, height, "chart");
    axis.ticks.iter().for_each(|&tick| {
        let at = x(tick);
        _ = write!(
            svg,
            r#"<line class="grid" x1="{at:.1}" x2="{at:.1}" y1="{TOP}" y2="{bottom}"/><text class="tick" x="{at:.1}" y="{:.1}" text-anchor="middle">{}</text>"#,
            bottom + 18.0,
            format(tick)
        );
    });
    // Two labels that would touch are set to the outer sides of their lines.
    let mut anchors: Vec<&str> = vec!["middle"; references.len()];
    if let [first, second] = references
        && (x(first.at) - x(second.at)).abs()
            < 7.0 * (first.label.len() + second.label.len()) as f64 / 2.0 + 12.0
    {
        anchors = if first.at <= second.at {
            vec!["end", "start"]
        } else {
            vec!["start", "end"]
        };
    }
    for (line, anchor) in references.iter().zip(anchors) {
        let at = x(line.at);
        _ = write!(
            svg,
            r#"<line class="reference {}" x1="{at:.1}" x2="{at:.1}" y1="{:.1}" y2="{bottom}"/><text class="reference-label {}" x="{at:.1}" y="{:.1}" text-anchor="{anchor}">{}</text>"#,
            line.class,
            TOP - 8.0,
            line.class,
            TOP - 14.0,
            escape(&line.label)
        );
    }
    for (at, row) in rows.iter().enumerate() {
        let y = TOP + ROW * (at as f64 + 0.5);
        let faint = if row.faint { " faint" } else { "" };
        if at > 0 && row.class == "baseline" && rows[at - 1].class != "baseline" {
            let (end, y) = (WIDTH - RIGHT, y - ROW / 2.0);
            _ = write!(
                svg,
                r#"<line class="grid" x1="{left:.1}" x2="{end:.1}" y1="{y:.1}" y2="{y:.1}"/>"#
            );
        }
        _ = write!(
            svg,
            r#"<g class="{}{faint}"><title>{}: {}</title><text class="label" x="{:.1}" y="{:.1}" text-anchor="end">{}</text>"#,
            row.class,
            escape(&row.label),
            escape(&row.text),
            left - 16.0,
            y + 4.5,
            escape(&row.label)
        );
        if let Some([low, high]) = row.interval {
            _ = write!(
                svg,
                r#"<line class="whisker" x1="{:.1}" x2="{:.1}" y1="{y:.1}" y2="{y:.1}"/>"#,
                x(low),
                x(high)
            );
            for (end, outside, direction) in
                [(low, low < axis.low, -1.0), (high, high > axis.high, 1.0)]
            {
                let at = x(end);
                if outside {
                    _ = write!(
                        svg,
                        r#"<path class="arrow" d="M{:.1},{:.1} L{at:.1},{y:.1} L{:.1},{:.1}"/>"#,
                        at - 6.0 * direction,
                        y - 5.0,
                        at - 6.0 * direction,
                        y + 5.0
                    );
                } else {
                    _ = write!(
                        svg,
                        r#"<line class="cap" x1="{at:.1}" x2="{at:.1}" y1="{:.1}" y2="{:.1}"/>"#,
                        y - 4.5,
                        y + 4.5
                    );
                }
            }
        }
        for &value in row.per_seed.iter().filter(|_| row.per_seed.len() > 1) {
            if (axis.low..=axis.high).contains(&value) {
                _ = write!(
                    svg,
                    r#"<circle class="seed" cx="{:.1}" cy="{:.1}" r="2.6"/>"#,
                    x(value),
                    y + 9.0
                );
            }
        }
        _ = write!(
            svg,
            r#"<circle class="mean" cx="{:.1}" cy="{y:.1}" r="5.5"/><text class="value" x="{:.1}" y="{:.1}">{}</text></g>"#,
            x(row.mean),
            WIDTH - RIGHT + 18.0,
            y + 4.5,
            escape(&row.text)
        );
    }
    svg + "</svg>"
}

/// One bar of a [`bars`] chart.
pub(crate) struct Bar {
    pub(crate) value: f64,
    pub(crate) interval: Option<[f64; 2]>,
    pub(crate) class: &'static str,
    pub(crate) title: String,
}

/// Groups of horizontal bars on the scale 0 to 1.
pub(crate) fn bars(groups: &[(String, Vec<Bar>)], format: fn(f64) -> String) -> String {
    const LEFT: f64 = 150.0;
    const RIGHT: f64 = 70.0;
    const TOP: f64 = 6.0;
    const BAR: f64 = 17.0;
    const SPACE: f64 = 18.0;
    const BOTTOM: f64 = 28.0;
    let lines: usize = groups.iter().map(|(_, bars)| bars.len()).sum();
    let height = TOP + BAR * lines as f64 + SPACE * groups.len() as f64 + BOTTOM;
    let bottom = height - BOTTOM;
    let x = |value: f64| LEFT + value.clamp(0.0, 1.0) * (WIDTH - LEFT - RIGHT);
    let mut svg = open(WIDTH, height, "chart");
    for tick in [0.0, 0.2, 0.4, 0.6, 0.8, 1.0] {
        let at = x(tick);
        _ = write!(
            svg,
            r#"<line class="grid" x1="{at:.1}" x2="{at:.1}" y1="{TOP}" y2="{bottom:.1}"/><text class="tick" x="{at:.1}" y="{:.1}" text-anchor="middle">{}</text>"#,
            bottom + 18.0,
            format(tick)
        );
    }
    let mut y = TOP + SPACE / 2.0;
    for (label, bars) in groups {
        let middle = y + BAR * bars.len() as f64 / 2.0;
        _ = write!(
            svg,
            r#"<text class="label" x="{:.1}" y="{:.1}" text-anchor="end">{}</text>"#,
            LEFT - 16.0,
            middle + 4.5,
            escape(label)
        );
        for bar in bars {
            let centre = y + BAR / 2.0;
            _ = write!(
                svg,
                r#"<g class="{}"><title>{}</title><rect class="bar" x="{LEFT}" y="{:.1}" width="{:.1}" height="{:.1}" rx="2"/>"#,
                bar.class,
                escape(&bar.title),
                y + 1.5,
                x(bar.value) - LEFT,
                BAR - 3.0
            );
            let mut end = x(bar.value);
            if let Some([low, high]) = bar.interval {
                end = end.max(x(high));
                _ = write!(
                    svg,
                    r#"<line class="bar-whisker" x1="{:.1}" x2="{:.1}" y1="{centre:.1}" y2="{centre:.1}"/>"#,
                    x(low),
                    x(high)
                );
            }
            _ = write!(
                svg,
                r#"<text class="bar-value" x="{:.1}" y="{:.1}">{}</text></g>"#,
                end + 7.0,
                centre + 4.0,
                format(bar.value)
            );
            y += BAR;
        }
        y += SPACE;
    }
    svg + "</svg>"
}

/// One point of a [`reliability`] diagram.
pub(crate) struct Bin {
    pub(crate) probability: f64,
    pub(crate) observed: f64,
    pub(crate) n: usize,
}

/// Predicted probability against observed share; the area of a dot is the share of items in its bin.
pub(crate) fn reliability(bins: &[Bin], class: &str) -> String {
    const SIZE: f64 = 200.0;
    const LEFT: f64 = 34.0;
    const TOP: f64 = 8.0;
    const PLOT: f64 = 158.0;
    let total: usize = bins.iter().map(|bin| bin.n).sum();
    let (x, y) = (
        |value: f64| LEFT + PLOT * value,
        |value: f64| TOP + PLOT * (1.0 - value),
    );
    let mut svg = open(SIZE, TOP + PLOT + 26.0, "small");
    for tick in [0.0, 0.5, 1.0] {
        _ = write!(
            svg,
            r#"<line class="grid" x1="{0:.1}" x2="{0:.1}" y1="{1:.1}" y2="{2:.1}"/><line class="grid" x1="{3:.1}" x2="{4:.1}" y1="{5:.1}" y2="{5:.1}"/><text class="tick" x="{0:.1}" y="{6:.1}" text-anchor="middle">{tick}</text><text class="tick" x="{7:.1}" y="{8:.1}" text-anchor="end">{tick}</text>"#,
            x(tick),
            y(0.0),
            y(1.0),
            x(0.0),
            x(1.0),
            y(tick),
            y(0.0) + 17.0,
            x(0.0) - 7.0,
            y(tick) + 4.0
        );
    }
    _ = write!(
        svg,
        r#"<line class="diagonal" x1="{:.1}" y1="{:.1}" x2="{:.1}" y2="{:.1}"/><g class="{class}">"#,
        x(0.0),
        y(0.0),
        x(1.0),
        y(1.0)
    );
    let path: Vec<String> = bins
        .iter()
        .map(|bin| format!("{:.1},{:.1}", x(bin.probability), y(bin.observed)))
        .collect();
    _ = write!(
        svg,
        r#"<polyline class="thin" points="{}"/>"#,
        path.join(" ")
    );
    for bin in bins {
        let radius = 2.5 + 10.0 * (bin.n as f64 / total.max(1) as f64).sqrt();
        _ = write!(
            svg,
            r#"<circle class="bin" cx="{:.1}" cy="{:.1}" r="{radius:.1}"><title>predicted {:.2}, observed {:.2}, {} items</title></circle>"#,
            x(bin.probability),
            y(bin.observed),
            bin.probability,
            bin.observed,
            bin.n
        );
    }
    svg + "</g></svg>"
}

/// One line of a [`curves`] chart.
pub(crate) struct Curve<'a> {
    pub(crate) title: String,
    /// Style class of the line; lines of one class differ in their shade.
    pub(crate) class: &'static str,
    pub(crate) points: &'a [[f64; 2]],
}

/// Small line chart of a value over training steps.
pub(crate) fn curves(lines: &[Curve<'_>]) -> String {
    const W: f64 = 270.0;
    const LEFT: f64 = 40.0;
    const TOP: f64 = 8.0;
    const PLOT_W: f64 = 218.0;
    const PLOT_H: f64 = 110.0;
    let points = || lines.iter().flat_map(|line| line.points.iter());
    let axis_y = Axis::around(points().map(|point| point[1]), 4);
    let last = points().map(|point| point[0]).fold(1.0, f64::max);
    let first = points().map(|point| point[0]).fold(last, f64::min);
    let x = |value: f64| LEFT + PLOT_W * (value - first) / (last - first).max(1.0);
    let y = |value: f64| TOP + PLOT_H * (1.0 - axis_y.share(value));
    let mut svg = open(W, TOP + PLOT_H + 26.0, "small");
    for &tick in &axis_y.ticks {
        _ = write!(
            svg,
            r#"<line class="grid" x1="{:.1}" x2="{:.1}" y1="{:.1}" y2="{:.1}"/><text class="tick" x="{:.1}" y="{:.1}" text-anchor="end">{}</text>"#,
            LEFT,
            LEFT + PLOT_W,
            y(tick),
            y(tick),
            LEFT - 7.0,
            y(tick) + 4.0,
            plain(tick)
        );
    }
    _ = write!(
        svg,
        r#"<text class="tick" x="{:.1}" y="{:.1}" text-anchor="end">{} steps</text>"#,
        x(last),
        TOP + PLOT_H + 18.0,
        super::format::count(last.round() as u64)
    );
    for (at, line) in lines.iter().enumerate() {
        let path: Vec<String> = line
            .points
            .iter()
            .map(|point| format!("{:.1},{:.1}", x(point[0]), y(point[1])))
            .collect();
        _ = write!(
            svg,
            r#"<g class="{}"><polyline class="curve shade-{}" points="{}"><title>{}</title></polyline></g>"#,
            line.class,
            lines[..at]
                .iter()
                .filter(|other| other.class == line.class)
                .count()
                % 3,
            path.join(" "),
            escape(&line.title)
        );
    }
    svg + "</svg>"
}

/// A linear scale with round ticks.
pub(crate) struct Axis {
    pub(crate) low: f64,
    pub(crate) high: f64,
    pub(crate) ticks: Vec<f64>,
}

impl Axis {
    /// Covers the values, with a little room, and about `wanted` ticks.
    pub(crate) fn around(values: impl Iterator<Item = f64>, wanted: usize) -> Self {
        let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
        for value in values.filter(|value| value.is_finite()) {
            (low, high) = (low.min(value), high.max(value));
        }
        if low > high {
            (low, high) = (0.0, 1.0);
        }
        let room = if high > low {
            0.04 * (high - low)
        } else {
            0.05
        };
        (low, high) = (low - room, high + room);
        let raw = (high - low) / wanted as f64;
        let power = 10f64.powf(raw.log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0]
            .map(|m| m * power)
            .into_iter()
            .find(|step| *step >= raw)
            .unwrap_or(raw);
        let ticks = ((low / step).ceil() as i64..=(high / step).floor() as i64)
            .map(|tick| tick as f64 * step)
            .collect();
        Self { low, high, ticks }
    }

    pub(crate) fn share(&self, value: f64) -> f64 {
        (value - self.low) / (self.high - self.low)
    }
}

pub(crate) fn open(width: f64, height: f64, class: &str) -> String {
    format!(r#"<svg class="{class}" viewBox="0 0 {width:.0} {height:.0}" role="img">"#)
}

/// The shortest text of a round number.
pub(crate) fn plain(value: f64) -> String {
    let text = format!("{value:.4}");
    text.trim_end_matches('0')
        .trim_end_matches('.')
        .replace('-', "−")
}

pub(crate) fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_inside() {
        let axis = Axis::around([0.71, 0.93].into_iter(), 6);
        assert!(axis.low < 0.71 && axis.high > 0.93);
        assert_eq!(
            axis.ticks
                .iter()
                .map(|&tick| plain(tick))
                .collect::<Vec<_>>(),
            ["0.75", "0.8", "0.85", "0.9"]
        );
    }

    #[test]
    fn no_values_and_equal_values_have_an_axis() {
        for values in [vec![], vec![0.5, 0.5], vec![f64::NAN]] {
            let axis = Axis::around(values.into_iter(), 5);
            assert!(axis.high > axis.low && !axis.ticks.is_empty());
        }
    }

    #[test]
    fn names_cannot_break_out_of_the_page() {
        let row = Dot {
            label: "<script>".into(),
            class: "student",
            mean: 0.5,
            interval: None,
            per_seed: vec![],
            text: "a & b".into(),
            faint: false,
        };
        let svg = dots(&[row], &[], [0.0, 1.0], plain);
        assert!(svg.contains("&lt;script&gt;") && !svg.contains("<script>"));
    }
}
