//! The subcommands of `w2s-data` that supervise pairs: which part learns from which, in whose order, and mixed with what.

use std::collections::HashSet;

use anyhow::{anyhow, bail};
use serde::Serialize;
use serde_json::{Value, json};
use w2s_artifact::{
    Artifact, ArtifactRef, Input, Kind, Label, Pair, Split,
    summary::{LabelsSummary, MixedSummary, PAIR_CLASSES, PairsSummary},
};
use w2s_stage::{ArtifactArg, HintExt, Inputs, Operation, Step};

use crate::{
    error::{DataError, quoted},
    operations::hinted,
    pairs::{LabelFilters, Pairing},
    split::SplitParams,
};

/// Deals pairs out to gold, transfer and test, and leaves one of the parts.
#[derive(Clone, Debug, Serialize, clap::Args)]
pub struct Deal {
    /// Pairs to deal out
    #[arg(long, value_name = "PAIRS")]
    #[serde(skip)]
    pub pairs: ArtifactArg,
    /// The part to leave: pairs of one prompt or one group are in one part only
    #[arg(long, value_parser = w2s_stage::choices(Split::ALL), value_name = "PART")]
    pub take: Split,
    /// Leave out what these pairs ask, such as those of a test that was divided elsewhere; more than one by repeating the flag
    #[arg(long, value_name = "PAIRS")]
    #[serde(skip)]
    pub apart_from: Vec<ArtifactArg>,
    /// Pairs in the order of the truth, for the weak model [default: half of what the test leaves]
    #[arg(long, value_parser = w2s_stage::count(0..=10_000_000), value_name = "N")]
    pub gold_rows: Option<usize>,
    /// Pairs the weak model orders for the strong one [default: the rest]
    #[arg(long, value_parser = w2s_stage::count(0..=10_000_000), value_name = "N")]
    pub transfer_rows: Option<usize>,
    /// Pairs nobody trains on; 0 where those are other pairs [default: a fifth]
    #[arg(long, value_parser = w2s_stage::count(0..=10_000_000), value_name = "N")]
    pub test_rows: Option<usize>,
    /// Decides which pairs become gold and which transfer
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub seed: u64,
    /// Decides which pairs become test, so that all seeds are tested on the same pairs
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub test_seed: u64,
}

impl Deal {
    fn params(&self) -> SplitParams {
        SplitParams {
            seed: self.seed,
            test_seed: self.test_seed,
            gold_rows: self.gold_rows,
            transfer_rows: self.transfer_rows,
            test_rows: self.test_rows,
            ..SplitParams::default()
        }
    }
}

impl Operation for Deal {
    const NAME: &'static str = "deal";
    const VERSION: u32 = 1;
    const KIND: Kind = Kind::Pairs;
    const ABOUT: &'static str =
        "Deals pairs out to gold, transfer and test by prompt, and leaves those of one part";

    fn inputs(&self, inputs: &mut Inputs) {
        inputs.artifact("pairs", &self.pairs).of(Kind::Pairs);
        inputs
            .artifact("apart-from", &self.apart_from)
            .of(Kind::Pairs);
    }

    fn check(&self) -> anyhow::Result<()> {
        let mut params = self.params();
        if self.test_rows == Some(0) {
            if self.take == Split::Test {
                bail!("--test-rows 0: nothing would be left");
            }
            params.test_rows = None;
        }
        Ok(params.check()?)
    }

    fn run(&self, step: &Step) -> anyhow::Result<Value> {
        let mut pairing = Pairing::new(step.artifact("pairs")?.records()?);
        for other in step.artifacts("apart-from")? {
            pairing.take_out(&other.records::<Pair>()?);
        }
        if pairing.pairs.is_empty() {
            bail!("no pair is left: what they ask is all asked by --apart-from");
        }
        step.stop_if_interrupted()?;
        let deal = match pairing.deal(self.take, &self.params()) {
            Err(error @ (DataError::TooFewRows { .. } | DataError::EmptySplit { .. })) => {
                return Err(error).hint(
                    "lower `--gold-rows`, `--transfer-rows` or `--test-rows`, or give more pairs",
                );
            }
            deal => deal?,
        };
        step.write_records(&pairing.pairs)?;
        step.headline(format!(
            "{} pairs of {}, {} dealt",
            pairing.pairs.len(),
            deal.part,
            deal.gold + deal.transfer + deal.test
        ));
        Ok(json!(PairsSummary {
            deal: Some(deal),
            ..pairing.summary(pairing.length_unit())
        }))
    }
}

/// Puts pairs into the order that a model's labels give them.
#[derive(Clone, Debug, Serialize, clap::Args)]
pub struct Relabel {
    /// Pairs that were labelled, or pairs dealt from them
    #[arg(long, value_name = "PAIRS")]
    #[serde(skip)]
    pub pairs: ArtifactArg,
    /// Probability of each side to be the better one
    #[arg(long, value_name = "LABELS")]
    #[serde(skip)]
    pub labels: ArtifactArg,
    /// Leave out pairs whose better side has a lower probability, between 0.5 and 1
    #[arg(long, value_name = "X")]
    pub min_confidence: Option<f64>,
    /// An oracle, as in published code: leave out pairs that the labels order otherwise than the truth, which no filter of
    /// weak supervision can know
    #[arg(long)]
    pub oracle_only_right: bool,
}

impl Relabel {
    fn filters(&self) -> LabelFilters {
        LabelFilters {
            min_confidence: self.min_confidence,
            only_right: self.oracle_only_right,
        }
    }
}

impl Operation for Relabel {
    const NAME: &'static str = "relabel";
    const VERSION: u32 = 1;
    const KIND: Kind = Kind::Pairs;
    const ABOUT: &'static str = "Puts pairs into the order that a model's labels give them";

    fn inputs(&self, inputs: &mut Inputs) {
        inputs.artifact("pairs", &self.pairs).of(Kind::Pairs);
        inputs.artifact("labels", &self.labels).of(Kind::Labels);
    }

    fn check(&self) -> anyhow::Result<()> {
        Ok(self.filters().check()?)
    }

    fn run(&self, step: &Step) -> anyhow::Result<Value> {
        let (pairs, labels) = (step.artifact("pairs")?, step.artifact("labels")?);
        let rows: Vec<Label> = labels.records()?;
        let mut pairing = Pairing::new(pairs.records()?);
        check_labels(&labels, &rows, &pairs, &pairing.pairs)?;
        let before = pairing.pairs.len();
        let relabel = hinted(pairing.relabel(&rows, self.filters()))?;
        step.write_records(&pairing.pairs)?;
        step.headline(format!(
            "{} of {before} pairs{}, {:.2} % in the right order",
            pairing.pairs.len(),
            if relabel.oracle { " by an oracle" } else { "" },
            100.0 * relabel.accuracy_kept
        ));
        Ok(json!(PairsSummary {
            relabel: Some(relabel),
            ..pairing.summary(pairing.length_unit())
        }))
    }
}

/// Refuses labels that are not about pairs, or about others. Numbers alone tell little, since every artifact begins with 0: what
/// the labels were made of counts, where it is known.
fn check_labels(
    labels: &Artifact,
    rows: &[Label],
    pairs: &Artifact,
    labelled: &[Pair],
) -> anyhow::Result<()> {
    let (theirs, ours) = (labels.reference.short(), pairs.reference.short());
    let classes = labels.summary::<LabelsSummary>()?.classes;
    if classes != PAIR_CLASSES {
        bail!(
            "--labels {theirs} has the classes {}; labels of pairs have {}",
            quoted(&classes),
            quoted(&PAIR_CLASSES)
        );
    }
    let hint = "name the pairs that were labelled, or pairs that `w2s-data deal` made of them";
    let read = pairs_read(labels);
    let Some(other) = read.first() else {
        let known: HashSet<u64> = labelled.iter().map(|pair| pair.id).collect();
        return match rows.iter().find(|label| !known.contains(&label.id)) {
            Some(Label { id, .. }) => Err(anyhow!(
                "--labels {theirs} has a label of the pair {id}, which --pairs {ours} does not have"
            ))
            .hint(hint),
            None => Ok(()),
        };
    };
    let mut same = vec![pairs.reference];
    if (&*pairs.manifest.stage, &*pairs.manifest.operation) == ("data", Deal::NAME) {
        same.extend(pairs_read(pairs));
    }
    if read.iter().any(|read| same.contains(read)) {
        return Ok(());
    }
    Err(anyhow!(
        "--labels {theirs} has labels of {}, not of --pairs {ours}",
        other.short()
    ))
    .hint(hint)
}

/// The pairs that an artifact was made of.
fn pairs_read(artifact: &Artifact) -> Vec<ArtifactRef> {
    let inputs = artifact.manifest.inputs.iter();
    let read = inputs.filter_map(|input| match input {
        Input::Artifact { artifact, .. } if artifact.kind == Kind::Pairs => Some(*artifact),
        _ => None,
    });
    read.collect()
}

/// Mixes pairs of several artifacts, to learn from all of them.
#[derive(Clone, Debug, Serialize, clap::Args)]
pub struct Mix {
    /// Pairs, each with the same weight; two or more by repeating the flag
    #[arg(long, required = true, value_name = "PAIRS")]
    #[serde(skip)]
    pub pairs: Vec<ArtifactArg>,
    /// Take as many pairs of each as the first has, their first ones
    #[arg(long)]
    pub rows_as_first: bool,
    /// Decides the random order
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub seed: u64,
}

impl Operation for Mix {
    const NAME: &'static str = "mix";
    const VERSION: u32 = 1;
    const KIND: Kind = Kind::Pairs;
    const ABOUT: &'static str =
        "Mixes pairs, such as those of two objectives, in a random order with equal weight";

    fn inputs(&self, inputs: &mut Inputs) {
        inputs.artifact("pairs", &self.pairs).of(Kind::Pairs);
    }

    fn check(&self) -> anyhow::Result<()> {
        if self.pairs.len() < 2 {
            bail!("--pairs is given once: a mix needs two or more");
        }
        let names = self.pairs.iter().map(ArtifactArg::as_str);
        let names: Vec<&str> = names.collect();
        let repeated = (1..names.len()).find(|&place| names[..place].contains(&names[place]));
        match repeated {
            Some(place) => bail!("--pairs {} is given twice", names[place]),
            None => Ok(()),
        }
    }

    fn run(&self, step: &Step) -> anyhow::Result<Value> {
        let artifacts = step.artifacts("pairs")?;
        let sources = artifacts.iter().map(Artifact::records::<Pair>);
        let sources: Vec<Vec<Pair>> = sources.collect::<Result<_, _>>()?;
        let rows = if self.rows_as_first {
            sources[0].len()
        } else {
            usize::MAX
        };
        let told = artifacts.iter().zip(&sources);
        let told = told.map(|(artifact, pairs)| MixedSummary {
            pairs: artifact.reference.short(),
            rule: pairs.first().map(|pair| pair.rule.clone()),
            of: pairs.len(),
            rows: pairs.len().min(rows),
        });
        let told: Vec<MixedSummary> = told.collect();
        let pairing = hinted(Pairing::mix(sources, self.rows_as_first, self.seed))?;
        step.write_records(&pairing.pairs)?;
        Ok(json!(PairsSummary {
            rule: Some("mix".to_owned()),
            sources: told,
            ..pairing.summary(pairing.length_unit())
        }))
    }
}
