//! The operation `theory`.

use w2s_artifact::Kind;
use w2s_stage::{Inputs, Interrupted, Operation, Step};
use w2s_theory::{Case, Flow, Settings, Sgd, THEORY_FILE, study};

/// Computes the linear theory of delta learning.
#[derive(Clone, Debug, clap::Args, serde::Serialize)]
pub struct TheoryOperation {
    /// Cosines with the truth of the chosen teacher, the rejected teacher and the student; repeat the flag for each case
    #[arg(long, value_name = "C,R,S", default_values_t = Case::PUBLISHED)]
    pub case: Vec<Case>,
    /// Dimension of the simulation; repeat the flag for more
    #[arg(long, value_parser = w2s_stage::count(1..=100_000), value_name = "N", default_values_t = [10, 100, 1000])]
    pub dimension: Vec<usize>,
    /// Draws of random errors in each dimension
    #[arg(long, value_parser = w2s_stage::count(1..=1_000_000), value_name = "N", default_value_t = 200)]
    pub draws: usize,
    /// Steps of training in expectation
    #[arg(long, value_parser = w2s_stage::count(1..=1_000_000), value_name = "N", default_value_t = Flow::default().steps)]
    pub steps: usize,
    /// Learning rate, in expectation and on batches
    #[arg(long, value_name = "RATE", default_value_t = Flow::default().lr)]
    pub lr: f64,
    /// Length of the untrained student
    #[arg(long, value_name = "LENGTH", default_value_t = Flow::default().norm)]
    pub norm: f64,
    /// Inputs a step of training on batches
    #[arg(long, value_parser = w2s_stage::count(1..=1_000_000), value_name = "N", default_value_t = Sgd::default().batch)]
    pub batch: usize,
    /// Steps of training on batches
    #[arg(long, value_parser = w2s_stage::count(1..=1_000_000), value_name = "N", default_value_t = Sgd::default().steps)]
    pub batch_steps: usize,
    /// Dimension of training on batches
    #[arg(long, value_parser = w2s_stage::count(1..=100_000), value_name = "N", default_value_t = Sgd::default().dimension)]
    pub batch_dimension: usize,
    /// Runs on batches, each with its own seed; 0 leaves them out
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=10_000), value_name = "N", default_value_t = 3)]
    pub runs: u64,
    /// Seed of the simulation and of the first run
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,
}

impl Operation for TheoryOperation {
    const NAME: &'static str = "theory";
    const VERSION: u32 = 1;
    const KIND: Kind = Kind::Theory;
    const ABOUT: &'static str = "Computes the linear theory of delta learning";

    fn inputs(&self, _inputs: &mut Inputs) {}

    fn check(&self) -> anyhow::Result<()> {
        let two = |name: &str, value: usize| match value {
            0 | 1 => anyhow::bail!("--{name} is {value}; an error needs at least 2 dimensions"),
            _ => Ok(()),
        };
        self.dimension
            .iter()
            .try_for_each(|&n| two("dimension", n))?;
        two("batch-dimension", self.batch_dimension)?;
        for (name, value) in [
            ("draws", self.draws as f64),
            ("lr", self.lr),
            ("norm", self.norm),
            ("batch", self.batch as f64),
        ] {
            anyhow::ensure!(
                value > 0.0 && value.is_finite(),
                "--{name} is {value}; it must be above zero"
            );
        }
        Ok(())
    }

    fn run(&self, step: &Step) -> anyhow::Result<serde_json::Value> {
        let settings = Settings {
            dimensions: self.dimension.clone(),
            draws: self.draws,
            flow: Flow {
                norm: self.norm,
                lr: self.lr,
                steps: self.steps,
            },
            sgd: Sgd {
                norm: self.norm,
                lr: self.lr,
                batch: self.batch,
                steps: self.batch_steps,
                dimension: self.batch_dimension,
            },
            runs: self.runs,
            seed: self.seed,
        };
        let total = self.case.len() as u64;
        let mut watch = step.watch("case");
        let study = study(&self.case, &settings, &mut |cases| {
            watch(cases as u64, total, String::new())
        })
        .ok_or(Interrupted)?;
        step.write_file(THEORY_FILE, serde_json::to_vec(&study)?)?;
        Ok(serde_json::json!({
            "cases": study.cases.len(),
            "dimensions": settings.dimensions,
            "draws": settings.draws,
            "runs": settings.runs,
        }))
    }
}
