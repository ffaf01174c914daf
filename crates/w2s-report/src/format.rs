//! Numbers as the pages write them: scores with three decimals, shares of a gap in percent, counts with separators.

use serde::{Deserialize, Serialize};

/// How the values of a metric are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Unit {
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
    /// The value as it is written.
    pub fn write(self, value: f64) -> String {
        match self {
            Self::Score => score(value),
            Self::Percent => percent(value),
            Self::Points => points(value),
            Self::Tenths => minus(format!("{value:.1}")),
        }
    }

    /// The value with its interval: `0.743 [0.701, 0.785]`, and in percent `45 % [20 to 70 %]`; a dash where there is no value.
    pub fn estimate(self, mean: Option<f64>, ci95: Option<[f64; 2]>) -> String {
        let Some(mean) = mean else {
            return "–".to_owned();
        };
        match ci95 {
            Some(range) => format!("{} [{}]", self.write(mean), self.range(range)),
            None => self.write(mean),
        }
    }

    /// The ends of an interval.
    pub fn range(self, [low, high]: [f64; 2]) -> String {
        match self {
            Self::Percent => percent_range(low, high),
            unit => format!("{}, {}", unit.write(low), unit.write(high)),
        }
    }
}

/// "20 to 70 %".
pub(crate) fn percent_range(low: f64, high: f64) -> String {
    let low = percent(low);
    format!("{} to {}", low.trim_end_matches(" %"), percent(high))
}

/// A score such as an accuracy.
pub(crate) fn score(value: f64) -> String {
    minus(format!("{value:.3}"))
}

/// A share as a whole percentage.
pub(crate) fn percent(value: f64) -> String {
    minus(format!("{:.0} %", 100.0 * value))
}

/// A difference of two accuracies in percentage points, without a sign when positive.
pub(crate) fn points(value: f64) -> String {
    minus(format!("{:.1}", 100.0 * value))
}

/// A p-value: three decimals, or the bound that it is below.
pub(crate) fn p_value(value: f64) -> String {
    if value < 0.001 {
        "< 0.001".to_owned()
    } else {
        format!("{value:.3}")
    }
}

/// A whole number with a comma every three digits.
pub(crate) fn count(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A duration: tenths of a second below two minutes, then minutes, then hours.
pub(crate) fn duration(seconds: f64) -> String {
    if seconds < 119.95 {
        return format!("{seconds:.1} s");
    }
    let seconds = seconds.round() as u64;
    if seconds < 7200 {
        format!("{} min {:02} s", seconds / 60, seconds % 60)
    } else {
        format!("{} h {:02} min", seconds / 3600, seconds % 3600 / 60)
    }
}

/// "a", "a and b", "a, b and c".
pub(crate) fn list(items: &[String]) -> String {
    match items {
        [] => String::new(),
        [only] => only.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
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
        assert_eq!(percent(0.447), "45 %");
        assert_eq!(percent(-0.447), "−45 %");
        assert_eq!(percent(-0.001), "0 %");
        assert_eq!(points(0.1214), "12.1");
        assert_eq!(count(7), "7");
        assert_eq!(count(12_000), "12,000");
        assert_eq!(count(1_234_567), "1,234,567");
        assert_eq!(duration(42.13), "42.1 s");
        assert_eq!(duration(185.0), "3 min 05 s");
        assert_eq!(duration(7260.0), "2 h 01 min");
        assert_eq!(p_value(0.0000001), "< 0.001");
        assert_eq!(list(&["a".into(), "b".into(), "c".into()]), "a, b and c");
    }
}
