//! Numbers as the pages write them: scores with three decimals, shares of a gap in percent, counts with separators.

use std::fmt::Display;

use serde::{Deserialize, Serialize};
use w2s_stats::Estimate;

/// How the values of a metric are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Unit {
    /// Three decimals.
    Score,
    /// A whole percentage.
    Percent,
    /// Percentage points with one decimal.
    Points,
    /// One decimal.
    Tenths,
}

impl Unit {
    pub(crate) fn write(self, value: f64) -> String {
        minus(match self {
            Self::Score => format!("{value:.3}"),
            Self::Percent => format!("{:.0} %", 100.0 * value),
            Self::Points => format!("{:.1}", 100.0 * value),
            Self::Tenths => format!("{value:.1}"),
        })
    }

    /// The value with its interval: `0.743 [0.701, 0.785]`, and in percent `45 % [20 to 70 %]`; a dash where there is no value.
    pub(crate) fn estimate(self, mean: Option<f64>, ci95: Option<[f64; 2]>) -> String {
        match (mean.map(|mean| self.write(mean)), ci95) {
            (None, _) => "–".to_owned(),
            (Some(mean), None) => mean,
            (Some(mean), Some([low, high])) if self != Self::Percent => {
                format!("{mean} [{}, {}]", self.write(low), self.write(high))
            }
            (Some(mean), Some(range)) => format!("{mean} [{}]", self.range(range)),
        }
    }

    /// The same of an estimate.
    pub(crate) fn told(self, estimate: &Estimate) -> String {
        self.estimate(estimate.mean, estimate.ci95)
    }

    /// The ends of an interval in a sentence: "0.701 to 0.785", "20 to 70 %".
    pub(crate) fn range(self, [low, high]: [f64; 2]) -> String {
        let low = self.write(low);
        format!("{} to {}", low.trim_end_matches(" %"), self.write(high))
    }
}

/// A score such as an accuracy.
pub(crate) fn score(value: f64) -> String {
    Unit::Score.write(value)
}

/// A p-value: three decimals, or the bound that it is below.
pub(crate) fn p_value(value: f64) -> String {
    match value < 0.001 {
        true => "< 0.001".to_owned(),
        false => format!("{value:.3}"),
    }
}

/// A whole number with a comma every three digits.
pub(crate) fn count(number: impl Display) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// "1 step", "2 steps".
pub(crate) fn plural(number: usize, noun: &str) -> String {
    format!("{number} {}", nouns(number, noun))
}

/// "step" of one, "steps" of several.
pub(crate) fn nouns(number: usize, noun: &str) -> String {
    format!("{noun}{}", if number == 1 { "" } else { "s" })
}

/// A duration: tenths of a second below two minutes, then minutes, then hours.
pub(crate) fn duration(seconds: f64) -> String {
    let whole = seconds.round() as u64;
    match whole {
        _ if seconds < 119.95 => format!("{seconds:.1} s"),
        ..7200 => format!("{} min {:02} s", whole / 60, whole % 60),
        _ => format!("{} h {:02} min", whole / 3600, whole % 3600 / 60),
    }
}

/// "a", "a and b", "a, b and c".
pub(crate) fn list<T: Display>(items: impl IntoIterator<Item = T>) -> String {
    let mut items: Vec<String> = items.into_iter().map(|item| item.to_string()).collect();
    match (items.pop(), items.is_empty()) {
        (None, _) => String::new(),
        (Some(last), true) => last,
        (Some(last), false) => format!("{} and {last}", items.join(", ")),
    }
}

/// "a, b, c".
pub(crate) fn commas<T: Display>(items: impl IntoIterator<Item = T>) -> String {
    joined(items, ", ")
}

pub(crate) fn joined<T: Display>(items: impl IntoIterator<Item = T>, between: &str) -> String {
    let items: Vec<String> = items.into_iter().map(|item| item.to_string()).collect();
    items.join(between)
}

/// The first letter large.
pub(crate) fn capital(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|first| first.to_uppercase().to_string());
    first.unwrap_or_default() + letters.as_str()
}

/// Text without control characters, which could steer a terminal or break a page; line breaks stay.
pub(crate) fn printable(text: &str) -> String {
    let written = text.chars().map(|character| match character {
        '\t' | '\r' => " ".to_owned(),
        '\n' => "\n".to_owned(),
        control if control.is_control() => format!("\\u{:04x}", u32::from(control)),
        other => other.to_string(),
    });
    written.collect()
}

/// A real minus sign, and no sign on a number that rounds to zero.
fn minus(text: String) -> String {
    match text.strip_prefix('-') {
        Some(rest) if rest.chars().any(|c| ('1'..='9').contains(&c)) => format!("−{rest}"),
        Some(rest) => rest.to_owned(),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        assert_eq!(score(0.7426), "0.743");
        assert_eq!(Unit::Percent.write(0.447), "45 %");
        assert_eq!(Unit::Percent.write(-0.447), "−45 %");
        assert_eq!(Unit::Percent.write(-0.001), "0 %");
        assert_eq!(Unit::Points.write(0.1214), "12.1");
        assert_eq!(count(7), "7");
        assert_eq!(count(12_000), "12,000");
        assert_eq!(count(1_234_567), "1,234,567");
        assert_eq!(duration(42.13), "42.1 s");
        assert_eq!(duration(185.0), "3 min 05 s");
        assert_eq!(duration(7260.0), "2 h 01 min");
        assert_eq!(p_value(0.0000001), "< 0.001");
        assert_eq!(list(["a", "b", "c"]), "a, b and c");
        assert_eq!(
            [plural(1, "step"), plural(2, "step")],
            ["1 step", "2 steps"]
        );
        assert_eq!(printable("a\u{1b}[2J\tb\nc"), "a\\u001b[2J b\nc");
    }
}
