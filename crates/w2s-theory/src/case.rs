//! A case of the theory, three cosines, and what follows from them in closed form.

use std::f64::consts::PI;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Three cosines with the truth: of the teacher whose label is chosen, of the one whose label is rejected, and of the
/// student before training.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Case {
    chosen: f64,
    rejected: f64,
    student: f64,
}

/// Why three numbers are no case.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum CaseError {
    /// A teacher that has no error, or whose cosine is no cosine.
    #[error("the cosine of the {teacher} teacher is {cosine}, not between -1 and 1")]
    Teacher {
        /// `chosen` or `rejected`.
        teacher: &'static str,
        /// What was given.
        cosine: f64,
    },
    /// A student that is no better than chance, or perfect.
    #[error("the cosine of the student is {cosine}, not between 0 and 1")]
    Student {
        /// What was given.
        cosine: f64,
    },
    /// A text without three numbers.
    #[error("`{text}` is not three cosines with commas between them, such as 0.6,0.4,0.8")]
    NotThree {
        /// What was given.
        text: String,
    },
}

impl Case {
    /// The cases whose numbers are published with the derivation: four with a gap between weak teachers, a reversed one, and
    /// two with a large gap.
    pub const PUBLISHED: [Self; 7] = [
        Self::literal(0.6, 0.4, 0.8),
        Self::literal(0.5, 0.45, 0.9),
        Self::literal(0.3, 0.0, 0.9),
        Self::literal(0.6, 0.4, 0.5),
        Self::literal(0.4, 0.6, 0.8),
        Self::literal(0.6, 0.0, 0.9),
        Self::literal(0.6, -0.6, 0.9),
    ];

    const fn literal(chosen: f64, rejected: f64, student: f64) -> Self {
        Self {
            chosen,
            rejected,
            student,
        }
    }

    /// Teachers with cosines between -1 and 1, a student with one between 0 and 1, all bounds excluded.
    pub fn new(chosen: f64, rejected: f64, student: f64) -> Result<Self, CaseError> {
        for (teacher, cosine) in [("chosen", chosen), ("rejected", rejected)] {
            if !(cosine > -1.0 && cosine < 1.0) {
                return Err(CaseError::Teacher { teacher, cosine });
            }
        }
        if !(student > 0.0 && student < 1.0) {
            return Err(CaseError::Student { cosine: student });
        }
        Ok(Self::literal(chosen, rejected, student))
    }

    /// Cosine of the teacher whose label is chosen.
    pub fn chosen(self) -> f64 {
        self.chosen
    }

    /// Cosine of the teacher whose label is rejected.
    pub fn rejected(self) -> f64 {
        self.rejected
    }

    /// Cosine of the student before training.
    pub fn student(self) -> f64 {
        self.student
    }

    /// The same teachers with their roles exchanged.
    pub fn reversed(self) -> Self {
        Self::literal(self.rejected, self.chosen, self.student)
    }

    /// Two teachers as good as the chosen one that err in different directions.
    pub fn tied(self) -> Self {
        Self::literal(self.chosen, self.chosen, self.student)
    }

    /// What happens in infinitely many dimensions, where the errors of teachers and student are orthogonal.
    ///
    /// With `a` for the cosines, `t` for the path length in units of `|theta_0|` along the unnormalised difference of the unit
    /// teachers: `t* = (a_c - a_r)(1 - a_0^2) / ((2 - a_c^2 - a_r^2) a_0)`, where
    /// `cot^2 = a_0^2 / (1 - a_0^2) + (a_c - a_r)^2 / (2 - a_c^2 - a_r^2)`.
    pub fn closed_form(self) -> ClosedForm {
        let Self {
            chosen,
            rejected,
            student,
        } = self;
        let gap = chosen - rejected;
        let errors = 2.0 - chosen * chosen - rejected * rejected;
        let start = student * student / (1.0 - student * student);
        let (best_time, best_cosine) = if gap > 0.0 {
            let best = start + gap * gap / errors;
            let time = gap * (1.0 - student * student) / (errors * student);
            (time, (best / (1.0 + best)).sqrt())
        } else {
            (0.0, student)
        };
        ClosedForm {
            rise: gap * (1.0 - student * student),
            best_cosine,
            best_time,
            limit: gap / (2.0 - 2.0 * chosen * rejected).sqrt(),
            accuracy_start: accuracy(student),
            accuracy_best: accuracy(best_cosine),
        }
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{},{},{}", self.chosen, self.rejected, self.student)
    }
}

impl FromStr for Case {
    type Err = CaseError;

    fn from_str(text: &str) -> Result<Self, CaseError> {
        let not_three = || CaseError::NotThree {
            text: text.to_owned(),
        };
        let cosines: Vec<f64> = text
            .split(',')
            .map(|part| part.trim().parse().map_err(|_| not_three()))
            .collect::<Result<_, _>>()?;
        let [chosen, rejected, student] = cosines[..] else {
            return Err(not_three());
        };
        Self::new(chosen, rejected, student)
    }
}

/// What [`Case::closed_form`] says.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClosedForm {
    /// The first change of the cosine, up to a positive factor: the student improves at first if it is above 0.
    pub rise: f64,
    /// The highest cosine with the truth on the way.
    pub best_cosine: f64,
    /// Where it is reached, t*, in units of `|theta_0|`; 0 where training never helps.
    pub best_time: f64,
    /// Where the cosine ends without stopping.
    pub limit: f64,
    /// Accuracy of the student before training.
    pub accuracy_start: f64,
    /// Accuracy at the best point.
    pub accuracy_best: f64,
}

/// How often a classifier with this cosine agrees with the truth on `N(0, I)`: `1 - arccos(cosine) / pi`.
pub fn accuracy(cosine: f64) -> f64 {
    1.0 - cosine.clamp(-1.0, 1.0).acos() / PI
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_hand() {
        // Gap 0.2, errors 2 - 0.36 - 0.16 = 1.48, start 0.64 / 0.36: cot^2 = 1.7777778 + 0.04 / 1.48 = 1.8048048,
        // cos = sqrt(1.8048048 / 2.8048048) = 0.8021652; t* = 0.2 * 0.36 / (1.48 * 0.8) = 0.0608108;
        // limit = 0.2 / sqrt(2 - 0.48) = 0.1622214.
        let form = Case::new(0.6, 0.4, 0.8).unwrap().closed_form();
        assert!((form.best_cosine - 0.802_165_2).abs() < 1e-7);
        assert!((form.best_time - 0.060_810_8).abs() < 1e-7);
        assert!((form.limit - 0.162_221_4).abs() < 1e-7);
        assert!((form.rise - 0.072).abs() < 1e-12);
        assert!((accuracy(0.5) - 2.0 / 3.0).abs() < 1e-12);
    }

    #[test]
    fn without_a_gap_training_never_helps() {
        let case = Case::new(0.6, 0.4, 0.8).unwrap();
        for worse in [case.reversed(), case.tied()] {
            let form = worse.closed_form();
            assert_eq!((form.best_time, form.best_cosine), (0.0, 0.8));
            assert_eq!(form.accuracy_best, form.accuracy_start);
        }
        assert_eq!(
            case.reversed().closed_form().limit,
            -case.closed_form().limit
        );
        assert_eq!(case.tied().closed_form().limit, 0.0);
    }

    #[test]
    fn text_is_read_back() {
        for case in Case::PUBLISHED {
            assert_eq!(case.to_string().parse::<Case>(), Ok(case));
        }
        assert_eq!("0.6, -0.6 ,0.9".parse::<Case>(), Case::new(0.6, -0.6, 0.9));
    }

    #[test]
    fn impossible_cases_are_refused() {
        let message = |text: &str| text.parse::<Case>().unwrap_err().to_string();
        assert_eq!(
            message("0.6,1,0.8"),
            "the cosine of the rejected teacher is 1, not between -1 and 1"
        );
        assert_eq!(
            message("NaN,0,0.8"),
            "the cosine of the chosen teacher is NaN, not between -1 and 1"
        );
        assert_eq!(
            message("0.6,0.4,0"),
            "the cosine of the student is 0, not between 0 and 1"
        );
        for text in ["0.6,0.4", "0.6,0.4,0.8,0.9", "a,b,c", ""] {
            assert_eq!(
                message(text),
                format!(
                    "`{text}` is not three cosines with commas between them, such as 0.6,0.4,0.8"
                )
            );
        }
    }
}
