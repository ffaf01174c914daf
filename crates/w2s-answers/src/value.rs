//! Numbers as people and LaTeX write them, exactly: a rational times the square root of an integer.

use std::fmt;

/// No number is longer; what is, is compared as a text.
const LONGEST: usize = 200;

/// Brackets inside brackets, at most.
const DEEPEST: usize = 8;

/// The largest integer whose square factors are looked for.
const LARGEST_RADICAND: i128 = 10_000_000_000;

/// A rational, in lowest terms with a positive denominator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Rational {
    numerator: i128,
    denominator: i128,
}

impl Rational {
    const ONE: Self = Self {
        numerator: 1,
        denominator: 1,
    };

    fn new(numerator: i128, denominator: i128) -> Option<Self> {
        if denominator == 0 {
            return None;
        }
        let divisor = greatest_common_divisor(numerator, denominator)?;
        let sign = denominator.signum();
        Some(Self {
            numerator: numerator.checked_div(divisor)?.checked_mul(sign)?,
            denominator: denominator.checked_div(divisor)?.checked_mul(sign)?,
        })
    }

    fn times(self, other: Self) -> Option<Self> {
        Self::new(
            self.numerator.checked_mul(other.numerator)?,
            self.denominator.checked_mul(other.denominator)?,
        )
    }

    fn over(self, other: Self) -> Option<Self> {
        self.times(Self::new(other.denominator, other.numerator)?)
    }

    fn plus(self, other: Self) -> Option<Self> {
        let one = self.numerator.checked_mul(other.denominator)?;
        let two = other.numerator.checked_mul(self.denominator)?;
        Self::new(
            one.checked_add(two)?,
            self.denominator.checked_mul(other.denominator)?,
        )
    }
}

fn greatest_common_divisor(one: i128, other: i128) -> Option<i128> {
    let (mut one, mut other) = (one.checked_abs()?, other.checked_abs()?);
    while other != 0 {
        (one, other) = (other, one % other);
    }
    Some(one)
}

/// A number: `factor * sqrt(radicand)`, the radicand without square factors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Value {
    factor: Rational,
    radicand: i128,
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.factor.numerator)?;
        if self.factor.denominator != 1 {
            write!(f, "/{}", self.factor.denominator)?;
        }
        match self.radicand {
            1 => Ok(()),
            radicand => write!(f, "*sqrt({radicand})"),
        }
    }
}

impl Value {
    fn rational(factor: Rational) -> Self {
        Self {
            factor,
            radicand: 1,
        }
    }

    /// The rational, where there is no root.
    fn as_rational(self) -> Option<Rational> {
        (self.radicand == 1).then_some(self.factor)
    }

    fn times(self, other: Self) -> Option<Self> {
        let root = Self::root(self.radicand.checked_mul(other.radicand)?)?;
        Some(Self {
            factor: self.factor.times(other.factor)?.times(root.factor)?,
            radicand: root.radicand,
        })
    }

    fn over(self, other: Self) -> Option<Self> {
        // 1 / sqrt(a) is sqrt(a) / a.
        let scale = Rational::new(other.radicand, 1)?;
        let numerator = self.times(Self {
            factor: Rational::ONE,
            radicand: other.radicand,
        })?;
        Some(Self {
            factor: numerator.factor.over(other.factor.times(scale)?)?,
            ..numerator
        })
    }

    /// The square root of an integer.
    fn root(radicand: i128) -> Option<Self> {
        if !(0..=LARGEST_RADICAND).contains(&radicand) {
            return None;
        }
        if radicand == 0 {
            return Some(Self::rational(Rational::new(0, 1)?));
        }
        let (mut factor, mut left, mut divisor) = (1, radicand, 2);
        while divisor * divisor <= left {
            while left % (divisor * divisor) == 0 {
                left /= divisor * divisor;
                factor *= divisor;
            }
            divisor += 1;
        }
        Some(Self {
            factor: Rational::new(factor, 1)?,
            radicand: left,
        })
    }

    fn square_root(self) -> Option<Self> {
        // sqrt(p / q) is sqrt(p q) / q.
        let Rational {
            numerator,
            denominator,
        } = self.as_rational()?;
        let root = Self::root(numerator.checked_mul(denominator)?)?;
        Some(Self {
            factor: root.factor.over(Rational::new(denominator, 1)?)?,
            ..root
        })
    }

    /// Reads a number: an integer or decimal with or without commas between thousands, a fraction `3/4`, `\frac{3}{4}` or
    /// `\frac34`, a mixed number `1 3/4` or `1\frac34`, a root `\sqrt{2}`, products and quotients of these. `None` for
    /// anything else, and for what does not fit 128 bits.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        if text.len() > LONGEST {
            return None;
        }
        let mut parser = Parser {
            rest: text.trim(),
            depth: 0,
        };
        let value = parser.quotient()?;
        parser.rest.is_empty().then_some(value)
    }
}

struct Parser<'a> {
    rest: &'a str,
    depth: usize,
}

impl Parser<'_> {
    fn take(&mut self, token: &str) -> bool {
        match self.rest.strip_prefix(token) {
            Some(rest) => {
                self.rest = rest.trim_start();
                true
            }
            None => false,
        }
    }

    /// A product, perhaps over one factor.
    fn quotient(&mut self) -> Option<Value> {
        let negative = self.take("-");
        if !negative {
            self.take("+");
        }
        let mut value = self.product()?;
        if self.take("/") {
            value = value.over(self.factor()?)?;
        }
        if negative {
            value.factor.numerator = value.factor.numerator.checked_neg()?;
        }
        Some(value)
    }

    fn product(&mut self) -> Option<Value> {
        let whole = self.integer_before_a_fraction();
        let mut value = self.factor()?;
        if whole {
            return self.mixed(value);
        }
        loop {
            let sign = self.take(r"\cdot") || self.take(r"\times");
            if self.rest.starts_with(|c: char| c.is_ascii_digit()) && !sign {
                return None;
            }
            match self.rest.starts_with(['\\', '(']) || sign {
                true => value = value.times(self.factor()?)?,
                false => return Some(value),
            }
        }
    }

    /// Whether an integer comes with a fraction behind it, `1 3/4` or `1\frac34`.
    fn integer_before_a_fraction(&self) -> bool {
        let digits = self.rest.trim_start_matches(|c: char| c.is_ascii_digit());
        let behind = digits.trim_start();
        let spaced = behind.len() < digits.len();
        digits.len() < self.rest.len()
            && (behind.starts_with(r"\frac")
                || (spaced && behind.starts_with(|c: char| c.is_ascii_digit())))
    }

    /// An integer plus a fraction below one.
    fn mixed(&mut self, whole: Value) -> Option<Value> {
        let part = match self.rest.starts_with(r"\frac") {
            true => self.factor()?,
            false => {
                let numerator = self.number()?;
                let true = self.take("/") else { return None };
                numerator.over(self.number()?)?
            }
        };
        let part = part.as_rational()?;
        if !(0..part.denominator).contains(&part.numerator) {
            return None;
        }
        Some(Value::rational(whole.as_rational()?.plus(part)?))
    }

    fn factor(&mut self) -> Option<Value> {
        if self.take(r"\frac") {
            let numerator = self.argument()?;
            return numerator.over(self.argument()?);
        }
        if self.take(r"\sqrt") {
            return self.argument()?.square_root();
        }
        match self.rest.starts_with('(') {
            true => self.within("(", ")"),
            false => self.number(),
        }
    }

    /// What a LaTeX command is applied to: a group, or a single digit.
    fn argument(&mut self) -> Option<Value> {
        if self.rest.starts_with('{') {
            return self.within("{", "}");
        }
        let digit = self.rest.chars().next()?.to_digit(10)?;
        self.rest = self.rest[1..].trim_start();
        Some(Value::rational(Rational::new(i128::from(digit), 1)?))
    }

    fn within(&mut self, open: &str, close: &str) -> Option<Value> {
        if self.depth == DEEPEST || !self.take(open) {
            return None;
        }
        self.depth += 1;
        let value = self.quotient()?;
        self.depth -= 1;
        self.take(close).then_some(value)
    }

    fn number(&mut self) -> Option<Value> {
        let end = self
            .rest
            .find(|c: char| !(c.is_ascii_digit() || c == '.' || c == ','))
            .unwrap_or(self.rest.len());
        let (written, rest) = self.rest.split_at(end);
        self.rest = rest.trim_start();
        let (whole, decimals) = written.split_once('.').unwrap_or((written, ""));
        let digits: String = match thousands(whole) {
            true => whole.replace(',', ""),
            false => whole.to_owned(),
        };
        let all = digits + decimals;
        if all.is_empty() || !all.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let scale = 10_i128.checked_pow(decimals.len() as u32)?;
        Some(Value::rational(Rational::new(all.parse().ok()?, scale)?))
    }
}

/// Whether commas stand between thousands, and only there.
fn thousands(whole: &str) -> bool {
    let mut groups = whole.split(',');
    let first = groups.next().unwrap_or_default();
    (1..=3).contains(&first.len()) && groups.all(|group| group.len() == 3)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn canonical(text: &str) -> Option<String> {
        Value::parse(text).map(|value| value.to_string())
    }

    #[test]
    fn ways_to_write_a_number() {
        let all = [
            ("18", "18"),
            ("+18.", "18"),
            ("-615,000", "-615000"),
            ("1,234,567.50", "2469135/2"),
            (".5", "1/2"),
            ("0.50", "1/2"),
            ("1/2", "1/2"),
            (r"\frac12", "1/2"),
            (r"\frac{ 2 }{ 4 }", "1/2"),
            (r"-\frac{3}{6}", "-1/2"),
            (r"\frac{-3}{6}", "-1/2"),
            ("(-1)/2", "-1/2"),
            ("27 1/2", "55/2"),
            (r"1\frac34", "7/4"),
            (r"\sqrt2", "1*sqrt(2)"),
            (r"\sqrt{8}", "2*sqrt(2)"),
            (r"\sqrt{9}", "3"),
            (r"\sqrt{\frac{1}{2}}", "1/2*sqrt(2)"),
            (r"\frac{1}{\sqrt{2}}", "1/2*sqrt(2)"),
            (r"\sqrt2\sqrt{2}", "2"),
            (r"3 \cdot 4", "12"),
            (r"2\sqrt{3}/3", "2/3*sqrt(3)"),
            (r"\sqrt{0}", "0"),
        ];
        for (text, value) in all {
            assert_eq!(canonical(text).as_deref(), Some(value), "{text}");
        }
    }

    #[test]
    fn what_is_no_number() {
        let none = [
            "",
            "-",
            ".",
            ",",
            "x",
            "5x",
            "9 16",
            "1 5/4",
            "1,2345",
            "12,34",
            "1.2.3",
            "1/0",
            r"\frac{1}{0}",
            r"\sqrt{-1}",
            r"\frac{1}",
            r"\sqrt",
            r"\sqrt{é}",
            r"\sqrté",
            "1/2/3",
            "(1",
            "((((((((((1))))))))))",
        ];
        for text in none {
            assert_eq!(canonical(text), None, "{text}");
        }
        // Beyond 128 bits, and too long to look at.
        assert_eq!(canonical(&"9".repeat(40)), None);
        assert_eq!(canonical(&"0".repeat(201)), None);
        assert_eq!(
            canonical(&format!("{}/3", i128::MAX))
                .as_deref()
                .map(str::len),
            Some(41)
        );
    }
}
