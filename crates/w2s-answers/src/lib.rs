//! Final answers of worked solutions: found, normalised, compared, voted on and paired. Text in, decisions out: no model, no
//! file.
//!
//! [`Rules`] find the final answer of a solution and bring it into one form, an [`Answer`]. There are three sets of them: what the
//! public code of weak-to-strong reasoning (arXiv 2407.13647) does, quirks included, a corrected form, and the plain rule of GSM8K. Two answers are
//! equal if their keys are, so they can be counted: [`vote`] finds the most frequent, [`decide`] makes a preference of what
//! a weak model and the vote of a strong one say, and [`pass_at_k`] says how often one of several samples is right.
//!
//! Nothing here panics on any text, and all of it takes time that is linear in the length of the text.
//!
//! ```
//! use w2s_answers::{Rules, vote};
//!
//! let rules = Rules::Corrected;
//! let gold = rules.gold("He pays 3 * 9 2/3 dollars.\n#### 29");
//! let samples = ["It is 30.\n#### 30", "3 * 29/3 = 29\n#### $29.00", "So \\boxed{29}."];
//! let answers = samples.map(|text| rules.find(text));
//! let vote = vote(&answers).unwrap();
//! assert_eq!(answers[vote.first], gold);
//! assert_eq!((vote.votes, vote.total), (2, 3));
//! ```

#![deny(missing_docs)]

mod rules;

mod published;

mod corrected;

mod value;

mod vote;

mod contrast;

mod pass;

pub use crate::{
    contrast::{Decision, NoPair, Thresholds, decide},
    pass::pass_at_k,
    published::{PUBLISHED_KEYS, published_answer, published_form},
    rules::{Answer, Rules, RulesError},
    vote::{Vote, vote},
};
