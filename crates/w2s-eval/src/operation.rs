//! The operations of the `w2s-eval` binary.

mod predict;
pub use predict::PredictOperation;

mod scoring;
pub use scoring::ScoringArgs;

mod respond;
pub use respond::RespondOperation;

mod score;
pub use score::ScoreOperation;

mod choices;
pub use choices::ChoicesOperation;

mod likelihood;
pub use likelihood::LikelihoodOperation;

mod margins;
pub use margins::MarginsOperation;

mod theory;
pub use theory::TheoryOperation;
