//! Drawings as SVG text. Colours are classes of the page's style sheet, so that light and dark pages share one drawing.

use std::fmt::Write as _;

use crate::format::{Unit, count, printable, score};
use crate::section::{Dots, Drawing, HeatMap, Level, Line, Mark, Plot, Size, Tone};

/// Width of a drawing over the whole page, in its own units.
const WIDTH: f64 = 860.0;
/// Width of a character of a label, at most.
const CHARACTER: f64 = 7.3;

/// A drawing as an `svg` element.
pub(crate) fn draw(drawing: &Drawing) -> String {
    match drawing {
        Drawing::Dots(chart) => dots(chart),
        Drawing::Plot(plot) => draw_plot(plot),
        Drawing::Map(map) => heat_map(map),
    }
}

fn dots(chart: &Dots) -> String {
    const TOP: f64 = 30.0;
    const ROW: f64 = 34.0;
    const BOTTOM: f64 = 30.0;
    let Dots {
        rows, levels, unit, ..
    } = chart;
    let told = rows
        .iter()
        .map(|row| unit.estimate(Some(row.mean), row.interval));
    let texts: Vec<String> = told.collect();
    let left = width(rows.iter().map(|row| &row.label[..]), CHARACTER) + 24.0;
    let left = left.clamp(110.0, 300.0);
    let right = width(texts.iter().map(|text| &text[..]), CHARACTER) + 26.0;
    let [low, high] = chart.limits.unwrap_or([f64::NEG_INFINITY, f64::INFINITY]);
    let values = rows.iter().flat_map(|row| {
        let interval = row.interval.into_iter().flatten();
        interval
            .chain([row.mean])
            .chain(row.per_seed.iter().copied())
    });
    let values = values.chain(levels.iter().map(|level| level.at));
    let axis = Axis::around(values.map(|value| value.clamp(low, high)), 6);
    let height = TOP + ROW * rows.len() as f64 + BOTTOM;
    let bottom = height - BOTTOM;
    let x = |value: f64| left + axis.share(axis.clamp(value)) * (WIDTH - left - right);

    let mut svg = open(WIDTH, height, "chart");
    for &tick in &axis.ticks {
        let at = x(tick);
        svg += &line("grid", [at, TOP], [at, bottom]);
        let written = match unit {
            Unit::Percent => unit.write(tick),
            _ => plain(tick),
        };
        svg += &text("tick", at, bottom + 18.0, "middle", &written);
    }
    for (level, anchor) in levels.iter().zip(anchors(levels, &x)) {
        let (at, tone) = (x(level.at), class(level.tone));
        svg += &line(&format!("reference {tone}"), [at, TOP - 8.0], [at, bottom]);
        let class = format!("reference-label {tone}");
        svg += &text(&class, at, TOP - 14.0, anchor, &level.label);
    }
    for (at, (row, written)) in rows.iter().zip(&texts).enumerate() {
        let y = TOP + ROW * (at as f64 + 0.5);
        _ = write!(
            svg,
            r#"<g class="{}{}"><title>{}: {}</title>{}"#,
            class(row.tone),
            if row.faint { " faint" } else { "" },
            escape(&row.label),
            escape(written),
            text("label", left - 16.0, y + 4.5, "end", &row.label)
        );
        if let Some([low, high]) = row.interval {
            svg += &line("whisker", [x(low), y], [x(high), y]);
            let ends = [(low, low < axis.low, -1.0), (high, high > axis.high, 1.0)];
            for (end, outside, side) in ends {
                let at = x(end);
                svg += &match outside {
                    true => format!(
                        r#"<path class="arrow" d="M{0:.1},{1:.1} L{at:.1},{y:.1} L{0:.1},{2:.1}"/>"#,
                        at - 6.0 * side,
                        y - 5.0,
                        y + 5.0
                    ),
                    false => line("cap", [at, y - 4.5], [at, y + 4.5]),
                };
            }
        }
        let seeds = row.per_seed.iter().filter(|_| row.per_seed.len() > 1);
        for &value in seeds.filter(|value| axis.holds(**value)) {
            svg += &circle("seed", [x(value), y + 9.0], 2.6, "");
        }
        svg += &circle("mean", [x(row.mean), y], 5.5, "");
        svg += &text("value", WIDTH - right + 18.0, y + 4.5, "start", written);
        svg += "</g>";
    }
    svg + "</svg>"
}

/// The width of the longest of some texts, with characters so wide.
fn width<'t>(texts: impl Iterator<Item = &'t str>, character: f64) -> f64 {
    character * texts.map(|text| text.chars().count()).max().unwrap_or(0) as f64
}

/// The word for a tone in the style sheet.
fn class(tone: Tone) -> String {
    format!("{tone:?}").to_lowercase()
}

/// Two labels that would touch are set to the outer sides of their lines.
fn anchors(levels: &[Level], x: &dyn Fn(f64) -> f64) -> Vec<&'static str> {
    let [first, second] = levels else {
        return vec!["middle"; levels.len()];
    };
    let room = CHARACTER * (first.label.len() + second.label.len()) as f64 / 2.0 + 12.0;
    match (x(first.at) - x(second.at)).abs() < room {
        true if first.at <= second.at => vec!["end", "start"],
        true => vec!["start", "end"],
        false => vec!["middle"; 2],
    }
}

fn draw_plot(plot: &Plot) -> String {
    const TOP: f64 = 18.0;
    let (across, height, kind) = match plot.size {
        Size::Wide => (WIDTH, 300.0, "chart"),
        Size::Half => (420.0, 275.0, "plot"),
        Size::Small => (270.0, 160.0, "small"),
        Size::Square => (200.0, 200.0, "small"),
    };
    let small = matches!(plot.size, Size::Small | Size::Square);
    let (left, bottom) = match small {
        true => (40.0, height - 30.0),
        false => (52.0, height - 40.0),
    };
    let spots = || plot.lines.iter().flat_map(|line| &line.points);
    let place = |value: f64| match plot.logarithmic {
        true => value.ln_1p(),
        false => value,
    };
    let heights = spots().flat_map(|spot| spot.interval.into_iter().flatten().chain([spot.at[1]]));
    let heights = heights.chain(plot.level.iter().map(|level| level.at));
    let places = spots().map(|spot| spot.at[0]);
    let places = places.chain(plot.mark.iter().map(|mark| mark.0)).map(place);
    let (horizontal, vertical) = match plot.size {
        Size::Square => (Axis::unit(), Axis::unit()),
        Size::Small => (Axis::around(places, 3), Axis::around(heights, 4)),
        _ => (Axis::around(places, 6), Axis::around(heights, 5)),
    };
    // The name of the level stands beside its line, where no point can be.
    let label = plot.level.iter().map(|level| &level.label[..]);
    let end = across - 14.0 - width(label, CHARACTER);
    let x = |value: f64| left + (end - left) * horizontal.share(place(value));
    let y = |value: f64| TOP + (bottom - TOP) * (1.0 - vertical.share(value));

    let mut svg = open(across, height, kind);
    for &tick in &vertical.ticks {
        svg += &line("grid", [left, y(tick)], [end, y(tick)]);
        svg += &text("tick", left - 7.0, y(tick) + 4.0, "end", &plain(tick));
    }
    let ticks = match plot.logarithmic {
        true => vec![0.0, 1.0, 10.0, 100.0, 1000.0, 10_000.0, 100_000.0],
        false => horizontal.ticks.clone(),
    };
    for tick in ticks {
        if horizontal.holds(place(tick)) {
            let label = match tick >= 1000.0 {
                true => count(tick.round()),
                false => plain(tick),
            };
            svg += &text("tick", x(tick), bottom + 15.0, "middle", &label);
        }
    }
    let under = bottom + if small { 27.0 } else { 33.0 };
    svg += &text("tick", end, under, "end", &plot.x);
    if plot.size == Size::Square {
        svg += &line("diagonal", [x(0.0), y(0.0)], [x(1.0), y(1.0)]);
    }
    if let Some(level) = &plot.level {
        let at = y(level.at);
        let kind = format!("reference {}", class(level.tone));
        svg += &line(&kind, [left, at], [end, at]);
        let (x, label) = (end + 7.0, &level.label);
        svg += &text("reference-label", x, at + 4.0, "start", label);
    }
    if let Some((mark, label)) = &plot.mark {
        let at = x(*mark);
        svg += &line("reference baseline", [at, TOP], [at, bottom]);
        svg += &text("reference-label", at, TOP - 6.0, "middle", label);
    }
    for line in &plot.lines {
        svg += &draw_line(line, &|[at, height]| [x(at), y(height)]);
    }
    svg + "</svg>"
}

fn draw_line(drawn: &Line, place: &dyn Fn([f64; 2]) -> [f64; 2]) -> String {
    let mut svg = format!(r#"<g class="{}">"#, class(drawn.tone));
    if drawn.joined {
        let points = drawn.points.iter().map(|spot| place(spot.at));
        let path: Vec<String> = points.map(|[x, y]| format!("{x:.1},{y:.1}")).collect();
        _ = write!(
            svg,
            r#"<polyline class="{}" points="{}"><title>{}</title></polyline>"#,
            if drawn.faint { "thin" } else { "curve" },
            path.join(" "),
            escape(&drawn.title)
        );
    }
    for spot in drawn.points.iter().filter(|_| drawn.mark != Mark::None) {
        let [x, y] = place(spot.at);
        if let Some([low, high]) = spot.interval {
            let end = |value| place([spot.at[0], value]);
            svg += &line("whisker", end(low), end(high));
        }
        svg += &match (drawn.mark, spot.share) {
            (Mark::Square, _) => format!(
                r#"<rect class="mean" x="{:.1}" y="{:.1}" width="8.5" height="8.5"><title>{}</title></rect>"#,
                x - 4.25,
                y - 4.25,
                escape(&spot.title)
            ),
            (_, Some(share)) => circle("bin", [x, y], 2.5 + 10.0 * share.sqrt(), &spot.title),
            _ => circle("mean", [x, y], 4.5, &spot.title),
        };
    }
    svg + "</g>"
}

/// Rows downwards and columns to the right, each rung with the score beside it; imitation in a column of its own.
fn heat_map(map: &HeatMap) -> String {
    const TOP: f64 = 58.0;
    const HEIGHT: f64 = 48.0;
    const GAP: f64 = 14.0;
    let columns: Vec<(&str, Option<f64>)> = match &map.across {
        Some(across) => across.names.iter().map(|name| (&name[..], None)).collect(),
        None => map
            .rungs
            .iter()
            .map(|(name, scored)| (&name[..], *scored))
            .collect(),
    };
    let names = map.rungs.iter().map(|(name, _)| &name[..]);
    let label = width(names.chain(columns.iter().map(|(name, _)| *name)), 7.5);
    let (left, cell) = ((label + 24.0).max(72.0), (label + 16.0).max(92.0));
    let side = columns.len();
    let imitation = map.cells.iter().any(|cell| cell.column.is_none());
    let imitation = imitation.then_some(side);
    let gap = |column| if Some(column) == imitation { GAP } else { 0.0 };
    let x = |column: usize| left + cell * column as f64 + gap(column);
    let y = |row: usize| TOP + HEIGHT * row as f64;
    let across = x(imitation.unwrap_or(side.saturating_sub(1))) + cell + 8.0;
    let height = TOP + HEIGHT * map.rungs.len() as f64 + 8.0;
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
        r#"<svg class="map" viewBox="0 0 {across:.0} {height:.0}" style="max-width: {across:.0}px" role="img">"#
    );
    let middle = left + cell * side as f64 / 2.0;
    let sides = map
        .across
        .as_ref()
        .map(|across| [&across.right[..], &across.down]);
    let [right, down] = sides.unwrap_or(["rejected", "chosen"]);
    svg += &text("tick", middle, 14.0, "middle", right);
    svg += &text("tick", left - 12.0, 14.0, "end", down);
    let written = |scored: Option<f64>| scored.map_or(String::new(), score);
    for at in 0..side.max(map.rungs.len()) {
        if let Some((name, scored)) = columns.get(at) {
            let middle = x(at) + cell / 2.0;
            svg += &text("label", middle, TOP - 24.0, "middle", name);
            svg += &text("tick", middle, TOP - 8.0, "middle", &written(*scored));
        }
        let Some((name, scored)) = map.rungs.get(at) else {
            continue;
        };
        svg += &text("label", left - 12.0, y(at) + 21.0, "end", name);
        svg += &text("tick", left - 12.0, y(at) + 38.0, "end", &written(*scored));
        for other in (0..side).chain(imitation) {
            svg += &rect("cell", at, other, 1.0);
        }
    }
    if let Some(column) = imitation {
        let middle = x(column) + cell / 2.0;
        svg += &text("label", middle, TOP - 24.0, "middle", "SFT");
        svg += &text("tick", middle, TOP - 8.0, "middle", "on chosen");
    }
    let sizes = map.cells.iter().map(|cell| cell.value.abs());
    let largest = sizes.fold(f64::MIN_POSITIVE, f64::max);
    for filled in &map.cells {
        let (row, column) = (filled.row, filled.column.unwrap_or(side));
        let middle = x(column) + cell / 2.0;
        let baseline = y(row) + if filled.note.is_empty() { 29.0 } else { 21.0 };
        let opacity = 0.08 + 0.6 * filled.value.abs() / largest;
        _ = write!(
            svg,
            r#"<g class="{}"><title>{}</title>{}{}{}</g>"#,
            class(filled.tone),
            escape(&filled.title),
            rect("heat", row, column, opacity),
            text("gain", middle, baseline, "middle", &filled.text),
            text("delta", middle, baseline + 17.0, "middle", &filled.note)
        );
    }
    svg + "</svg>"
}

/// A linear scale with round ticks.
struct Axis {
    low: f64,
    high: f64,
    ticks: Vec<f64>,
}

impl Axis {
    fn unit() -> Self {
        Self {
            low: 0.0,
            high: 1.0,
            ticks: vec![0.0, 0.5, 1.0],
        }
    }

    /// Covers the values, with a little room, and about `wanted` ticks.
    fn around(values: impl Iterator<Item = f64>, wanted: usize) -> Self {
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
        let steps = [1.0, 2.0, 5.0, 10.0].map(|m| m * power);
        let step = steps.into_iter().find(|step| *step >= raw).unwrap_or(raw);
        let ticks = (low / step).ceil() as i64..=(high / step).floor() as i64;
        let ticks = ticks.map(|tick| tick as f64 * step).collect();
        Self { low, high, ticks }
    }

    fn holds(&self, value: f64) -> bool {
        (self.low..=self.high).contains(&value)
    }

    fn clamp(&self, value: f64) -> f64 {
        value.clamp(self.low, self.high)
    }

    fn share(&self, value: f64) -> f64 {
        (value - self.low) / (self.high - self.low)
    }
}

fn open(width: f64, height: f64, class: &str) -> String {
    format!(r#"<svg class="{class}" viewBox="0 0 {width:.0} {height:.0}" role="img">"#)
}

fn line(class: &str, from: [f64; 2], to: [f64; 2]) -> String {
    format!(
        r#"<line class="{class}" x1="{:.1}" y1="{:.1}" x2="{:.1}" y2="{:.1}"/>"#,
        from[0], from[1], to[0], to[1]
    )
}

fn circle(class: &str, [x, y]: [f64; 2], radius: f64, title: &str) -> String {
    let title = match title {
        "" => String::new(),
        title => format!("<title>{}</title>", escape(title)),
    };
    format!(r#"<circle class="{class}" cx="{x:.1}" cy="{y:.1}" r="{radius:.1}">{title}</circle>"#)
}

fn text(class: &str, x: f64, y: f64, anchor: &str, text: &str) -> String {
    format!(
        r#"<text class="{class}" x="{x:.1}" y="{y:.1}" text-anchor="{anchor}">{}</text>"#,
        escape(text)
    )
}

/// The shortest text of a round number.
fn plain(value: f64) -> String {
    let text = format!("{value:.4}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    match text {
        "-0" => "0".to_owned(),
        text => text.replace('-', "−"),
    }
}

fn escape(text: &str) -> String {
    printable(text)
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::section::Dot;

    #[test]
    fn ticks_are_round_and_inside() {
        let axis = Axis::around([0.71, 0.93].into_iter(), 6);
        assert!(axis.low < 0.71 && axis.high > 0.93);
        let ticks: Vec<String> = axis.ticks.iter().map(|&tick| plain(tick)).collect();
        assert_eq!(ticks, ["0.75", "0.8", "0.85", "0.9"]);
    }

    #[test]
    fn no_values_and_equal_values_have_an_axis() {
        for values in [vec![], vec![0.5, 0.5], vec![f64::NAN]] {
            let axis = Axis::around(values.into_iter(), 5);
            assert!(axis.high > axis.low && !axis.ticks.is_empty());
        }
    }

    fn row(label: &str, interval: Option<[f64; 2]>) -> Dot {
        Dot {
            label: label.into(),
            tone: Tone::Student,
            mean: 0.5,
            interval,
            per_seed: vec![],
            faint: false,
        }
    }

    fn chart(row: Dot) -> Dots {
        Dots::new(vec![row], vec![], Unit::Score)
    }

    #[test]
    fn names_cannot_break_out_of_the_page() {
        let svg = dots(&chart(row("<script>", None)));
        assert!(svg.contains("&lt;script&gt;") && !svg.contains("<script>"));
    }

    #[test]
    fn a_value_ends_inside_the_drawing() {
        let wide = row("arm", Some([-1234.5678, 1234.5678]));
        let svg = dots(&chart(wide));
        let value = svg.split(r#"class="value" x=""#).nth(1).unwrap();
        let (at, rest) = value.split_once('"').unwrap();
        let written = rest.split('>').nth(1).unwrap().split('<').next().unwrap();
        assert_eq!(written, "0.500 [−1234.568, 1234.568]");
        let end = at.parse::<f64>().unwrap() + 7.0 * written.chars().count() as f64;
        assert!(end < WIDTH, "{end}");
    }
}
