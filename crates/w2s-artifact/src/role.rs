//! What a model is in its experiment.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What an arm is in its experiment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// The model that students start from.
    Base,
    /// A weak model that others learn from.
    Teacher,
    /// A strong model that learnt from teachers.
    Student,
    /// The strong model that learnt from the truth.
    Ceiling,
    /// Something trivial to read the others against.
    Baseline,
}

impl Role {
    /// Every role, in the order in which reports list them.
    pub const ALL: [Self; 5] = [
        Self::Base,
        Self::Teacher,
        Self::Student,
        Self::Ceiling,
        Self::Baseline,
    ];

    /// The word used in flags, files and reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Base => "base",
            Self::Teacher => "teacher",
            Self::Student => "student",
            Self::Ceiling => "ceiling",
            Self::Baseline => "baseline",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl std::str::FromStr for Role {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let named = Self::ALL.into_iter().find(|role| role.name() == text);
        named.ok_or_else(|| {
            let names = Self::ALL.map(Self::name).join(", ");
            format!("`{text}` is not a role; the roles are {names}")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_has_one_word_everywhere() {
        for role in Role::ALL {
            assert_eq!(role.to_string().parse(), Ok(role));
            assert_eq!(serde_json::to_value(role).unwrap(), role.name());
        }
        assert_eq!(
            "weak".parse::<Role>().unwrap_err(),
            "`weak` is not a role; the roles are base, teacher, student, ceiling, baseline"
        );
    }
}
