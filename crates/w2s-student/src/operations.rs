//! The operation of the binary.

use crate::methods::{Confidence, Naive, Product};
use crate::{Supervision, Trained};
use anyhow::{Result, bail};
use serde_json::{Value, json};
use w2s_artifact::{Kind, Label, Split};
use w2s_lm::{Classifier, ClassifierArgs, LabelledRows};
use w2s_losses::ConfidenceVariant;
use w2s_stage::{ArtifactArg, Inputs, Operation, Step};
use w2s_train::{EarlyStoppingArgs, Objective, TrainArgs};

/// Trains a student on weak labels, or the ceiling on gold ones.
#[derive(Clone, Debug, clap::Args, serde::Serialize)]
pub struct Train {
    /// Base model
    #[arg(long, value_name = "ARTIFACT")]
    #[serde(skip)]
    pub base: ArtifactArg,
    /// Examples, of which the transfer split is trained on
    #[arg(long, value_name = "ARTIFACT")]
    #[serde(skip)]
    pub data: ArtifactArg,
    /// The teacher's labels of the transfer split
    #[arg(long, value_name = "ARTIFACT", required_unless_present = "gold")]
    #[serde(skip)]
    pub labels: Option<ArtifactArg>,
    /// Train on gold labels instead: the strong ceiling
    #[arg(long, conflicts_with = "labels")]
    pub gold: bool,
    /// Loss: cross-entropy, confidence, product
    #[arg(long, default_value = "cross-entropy", value_name = "NAME")]
    pub loss: String,
    /// Variant of the confidence loss: paper, openai, openai-fixed
    #[arg(long, default_value = "paper", value_name = "NAME")]
    pub confidence: String,
    /// Weight of the student's own prediction after warm-up, in the confidence loss
    #[arg(long, default_value_t = 0.5, value_name = "WEIGHT")]
    pub max_weight: f64,
    /// Part of the training over which that weight rises [default: 0.2 for paper, 0.1 for the others]
    #[arg(long, value_name = "PART")]
    pub weight_warmup: Option<f64>,
    /// Exponent of the label in the product loss
    #[arg(long, default_value_t = 1.0, value_name = "POWER")]
    pub alpha: f64,
    /// Exponent of the student's own prediction in the product loss
    #[arg(long, default_value_t = 1.0, value_name = "POWER")]
    pub beta: f64,
    /// Rows in a batch
    #[arg(long, default_value_t = 32, value_name = "N")]
    pub batch: usize,
    #[command(flatten)]
    #[serde(flatten)]
    #[expect(
        missing_docs,
        reason = "a doc comment on a flattened field replaces the command's about"
    )]
    pub classifier: ClassifierArgs,
    #[command(flatten)]
    #[serde(flatten)]
    #[expect(
        missing_docs,
        reason = "a doc comment on a flattened field replaces the command's about"
    )]
    pub train: TrainArgs,
    #[command(flatten)]
    #[serde(flatten)]
    #[expect(
        missing_docs,
        reason = "a doc comment on a flattened field replaces the command's about"
    )]
    pub stopping: EarlyStoppingArgs,
}

impl Train {
    fn confidence(&self) -> Result<w2s_losses::Confidence> {
        let variant: ConfidenceVariant = self.confidence.parse()?;
        let mut confidence = w2s_losses::Confidence::new(variant);
        confidence.max_weight = self.max_weight;
        if let Some(warmup) = self.weight_warmup {
            confidence.warmup_fraction = warmup;
        }
        confidence.check()?;
        Ok(confidence)
    }

    /// Runs the method that `make` builds.
    fn with<O: Objective<Classifier>>(
        &self,
        step: &Step,
        make: impl FnOnce(LabelledRows, LabelledRows) -> O,
    ) -> Result<Trained> {
        let data = step.artifact("data")?;
        let supervision = match step.optional_artifact("labels")? {
            Some(labels) => Supervision::Weak(labels.records::<Label>()?),
            None => Supervision::Gold,
        };
        let mut watch = step.watch("step");
        crate::train(
            &step.artifact("base")?.path,
            &data.examples(Split::Transfer)?,
            &data.classes()?,
            &supervision,
            self.batch,
            &self.classifier,
            &self.train,
            &self.stopping,
            &w2s_lm::device(step.device())?,
            step.dir(),
            &step.scratch()?,
            make,
            &mut |metrics, steps| watch(metrics.step as u64, steps as u64, metrics.line()),
        )
    }
}

impl Operation for Train {
    const NAME: &'static str = "train";
    const VERSION: u32 = 1;
    const KIND: Kind = Kind::Checkpoint;
    const ABOUT: &'static str = "Trains a student on weak labels, or the ceiling on gold ones";

    fn inputs(&self, inputs: &mut Inputs) {
        inputs.artifact("base", &self.base).of(Kind::Checkpoint);
        inputs.artifact("data", &self.data).of(Kind::Examples);
        inputs.artifact("labels", &self.labels).of(Kind::Labels);
    }

    fn check(&self) -> Result<()> {
        if !["cross-entropy", "confidence", "product"].contains(&self.loss.as_str()) {
            bail!(
                "unknown loss `{}`; there are cross-entropy, confidence, product",
                self.loss
            );
        }
        self.confidence()?;
        if self.batch == 0 {
            bail!("--batch is 0; it must be above zero");
        }
        self.classifier.check().map_err(anyhow::Error::msg)?;
        self.train.check().map_err(anyhow::Error::msg)?;
        self.stopping.check().map_err(anyhow::Error::msg)
    }

    fn run(&self, step: &Step) -> Result<Value> {
        let trained = match self.loss.as_str() {
            "confidence" => {
                let confidence = self.confidence()?;
                self.with(step, |rows, held_out| {
                    Confidence::new(rows, held_out, confidence)
                })?
            }
            "product" => self.with(step, |rows, held_out| Product {
                rows,
                held_out,
                alpha: self.alpha,
                beta: self.beta,
            })?,
            _ => self.with(step, |rows, held_out| Naive { rows, held_out })?,
        };
        Ok(json!(trained))
    }
}
