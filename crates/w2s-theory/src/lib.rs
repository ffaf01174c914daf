//! The linear theory of delta learning (arXiv 2507.06187): can two weak teachers improve a student that is better than both?
//!
//! Inputs are `x ~ N(0, I_d)`, the truth is a unit vector `u*`, a teacher labels `x` with `1{theta . x > 0}`, and the student
//! is a logistic regression `p(y = 1 | x) = sigmoid(theta_0 . x)` that climbs `log p(y_chosen | x) - log p(y_rejected | x)`.
//! The sigmoid cancels in its gradient, `(y_chosen - y_rejected) x`, so that in expectation the student moves along the
//! constant `theta_chosen / |theta_chosen| - theta_rejected / |theta_rejected|`. Everything depends on three cosines with
//! the truth: a [`Case`].
//!
//! [`Case::closed_form`] says what happens in many dimensions: whether the student rises, how far, when to stop, and where it
//! ends if nobody stops. [`simulate`] draws the teachers' errors at random in a given dimension and counts. [`Flow`] and
//! [`Sgd`] follow whole trajectories, [`Flow`] in expectation and [`Sgd`] on finite batches, of the four ways of training
//! in [`Arm`]. [`study()`] does all of it for a list of cases.
//!
//! A reader of end points is misled by this model: learning from the better teacher alone *also* helps before it
//! collapses onto the teacher, often by more. So trajectories are kept, not only their best or last point.
//!
//! ```
//! use w2s_theory::{Arm, Case, Flow};
//!
//! // A student with cosine 0.8 learns from teachers with 0.6 and 0.4.
//! let case = Case::new(0.6, 0.4, 0.8)?;
//! let theory = case.closed_form();
//! assert!(theory.best_cosine > 0.8 && theory.limit < 0.2, "it helps, and then it harms");
//!
//! let flow = Flow { steps: 2000, ..Flow::default() };
//! let delta = flow.run(case, Arm::Delta);
//! assert!((delta.best.cosine - theory.best_cosine).abs() < 1e-4);
//! assert!(flow.run(case, Arm::Sft).best.cosine > delta.best.cosine, "so does imitation, stopped in time");
//! # Ok::<(), w2s_theory::CaseError>(())
//! ```

#![deny(missing_docs)]

mod case;
pub use case::{Case, CaseError, ClosedForm, accuracy};

mod simulation;
pub use simulation::{Mean, Simulation, simulate};

mod trajectory;
pub use trajectory::{Arm, Point, Trajectory};

mod flow;
pub use flow::Flow;

mod sgd;
pub use sgd::Sgd;

mod study;
pub use study::{CaseStudy, Run, Settings, Study, THEORY_FILE, study};

mod geometry;
