//! Linear probes: a head on features that were made beforehand, by a frozen decoder or by anything else
//! (arXiv 2312.09390, appendix D.2). A probe's folder holds its head and what it reads, and no model.

use crate::classify::rows_of;
use crate::decoder::Linear;
use crate::save::{write_json, write_tensors};
use crate::weights::{read_json, values};
use crate::{ClassModel, LmError};
use burn::module::{Module, Param};
use burn::tensor::activation::softmax;
use burn::tensor::{Device, Tensor, TensorData};
use safetensors::SafeTensors;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::HashMap;
use std::path::Path;
use w2s_artifact::{Artifact, FeatureOrigin, Features};

/// What `config.json` of a probe says in place of a model's family.
pub(crate) const MODEL_TYPE: &str = "w2s-probe";
const CONFIG: &str = "config.json";
const HEAD: &str = "head.safetensors";
const WEIGHT: &str = "score.weight";
const BIAS: &str = "score.bias";

/// Rows whose probabilities are computed at once.
const ROWS: usize = 4096;

/// A linear head, with a bias, on features.
#[derive(Module, Debug)]
pub struct Probe {
    /// `[classes, width]`, and a bias a class.
    pub score: Linear,
}

impl Probe {
    /// A probe of zeros: every class starts equally likely.
    pub fn zeros(classes: usize, width: usize, device: &Device) -> Self {
        Self::of(vec![0.0; classes * width], vec![0.0; classes], device)
    }

    /// A probe with a row of weights and a bias for each class.
    fn of(weight: Vec<f32>, bias: Vec<f32>, device: &Device) -> Self {
        let classes = bias.len();
        let shape = [classes, weight.len() / classes];
        Self {
            score: Linear {
                weight: Param::from_data(TensorData::new(weight, shape), device),
                bias: Some(Param::from_data(TensorData::new(bias, [classes]), device)),
                lora: None,
            },
        }
    }

    /// Weights and biases as values.
    fn values(&self) -> (Vec<f32>, Vec<f32>) {
        let bias = self.score.bias.as_ref().expect("a probe has a bias");
        let (weight, bias) = (self.score.weight.val().into_data(), bias.val().into_data());
        (
            weight.try_to_vec().expect("parameters are f32"),
            bias.try_to_vec().expect("parameters are f32"),
        )
    }
}

impl ClassModel for Probe {
    /// Features.
    type Row = Vec<f32>;

    fn logits_of(&self, rows: &[&Vec<f32>]) -> (Tensor<2>, usize) {
        let [_, width] = self.score.weight.dims();
        let values: Vec<f32> = rows.iter().flat_map(|row| row.iter().copied()).collect();
        let device = self.score.weight.val().device();
        let features = Tensor::from_data(TensorData::new(values, [rows.len(), width]), &device);
        (self.score.forward(features), 0)
    }

    fn probabilities(
        &self,
        rows: &[Vec<f32>],
        each: &mut dyn FnMut(usize) -> bool,
    ) -> Option<Vec<Vec<f32>>> {
        let mut out = Vec::with_capacity(rows.len());
        for part in rows.chunks(ROWS) {
            let part: Vec<&Vec<f32>> = part.iter().collect();
            out.extend(rows_of(softmax(self.logits_of(&part).0, 1)));
            if !each(part.len()) {
                return None;
            }
        }
        Some(out)
    }
}

/// Mean and standard deviation of each feature over some rows, to bring features of any size to one scale.
#[derive(Clone, Debug, PartialEq)]
pub struct FeatureScale {
    mean: Vec<f64>,
    deviation: Vec<f64>,
}

impl FeatureScale {
    /// Of rows of one width, at least one. A feature that is the same in all of them keeps its size.
    pub fn of(rows: &[Vec<f32>]) -> Self {
        let n = rows.len() as f64;
        let column = |f: &dyn Fn(usize) -> f64| (0..rows[0].len()).map(f).collect::<Vec<_>>();
        let mean = column(&|j| rows.iter().map(|row| f64::from(row[j])).sum::<f64>() / n);
        let deviation = column(&|j| {
            let squares = rows.iter().map(|row| (f64::from(row[j]) - mean[j]).powi(2));
            match (squares.sum::<f64>() / n).sqrt() {
                0.0 => 1.0,
                deviation => deviation,
            }
        });
        Self { mean, deviation }
    }

    /// Brings rows to mean 0 and deviation 1.
    pub fn apply(&self, rows: &mut [Vec<f32>]) {
        for row in rows {
            for ((value, mean), deviation) in row.iter_mut().zip(&self.mean).zip(&self.deviation) {
                *value = ((f64::from(*value) - mean) / deviation) as f32;
            }
        }
    }

    /// The probe that computes of features as they are what `probe` computes of scaled ones.
    pub fn fold(&self, probe: &Probe) -> Probe {
        let (mut weight, mut bias) = probe.values();
        for (row, bias) in weight.chunks_mut(self.mean.len()).zip(&mut bias) {
            let mut shift = 0.0;
            for ((weight, mean), deviation) in row.iter_mut().zip(&self.mean).zip(&self.deviation) {
                let folded = f64::from(*weight) / deviation;
                shift += folded * mean;
                *weight = folded as f32;
            }
            *bias = (f64::from(*bias) - shift) as f32;
        }
        Probe::of(weight, bias, &probe.score.weight.val().device())
    }
}

/// What a probe needs beside its head, as `config.json` says it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProbeSettings {
    /// Class names in the order of the head's rows.
    pub classes: Vec<String>,
    /// Features of a row.
    pub width: usize,
    /// What made the features that it was trained on, and must make those that it reads.
    pub features: FeatureOrigin,
}

impl ProbeSettings {
    /// Whether a folder holds a probe.
    pub fn are_in(folder: &Path) -> bool {
        let json = read_json(&folder.join(CONFIG)).unwrap_or_default();
        json["model_type"] == MODEL_TYPE
    }

    /// Writes a probe into a folder.
    ///
    /// # Errors
    ///
    /// A file that cannot be written.
    pub fn save(&self, probe: &Probe, folder: &Path) -> Result<(), LmError> {
        let mut config = json!(self);
        config["model_type"] = json!(MODEL_TYPE);
        write_json(&folder.join(CONFIG), &config)?;
        let (weight, bias) = probe.values();
        let shape = vec![self.classes.len(), self.width];
        let tensors = [
            (WEIGHT.into(), (shape, weight)),
            (BIAS.into(), (vec![bias.len()], bias)),
        ];
        write_tensors(&folder.join(HEAD), &tensors.into())
    }

    /// Reads a probe from a folder.
    ///
    /// # Errors
    ///
    /// A file that cannot be read, or a head of other sizes than its settings say.
    pub fn load(folder: &Path, device: &Device) -> Result<(Self, Probe), LmError> {
        let file = folder.join(CONFIG);
        let settings: Self =
            serde_json::from_value(read_json(&file)?).map_err(|e| LmError::malformed(&file, e))?;
        let file = folder.join(HEAD);
        let bytes = std::fs::read(&file).map_err(|e| LmError::read(&file, e))?;
        let tensors = SafeTensors::deserialize(&bytes).map_err(|e| LmError::malformed(&file, e))?;
        let read = |name: &str, expected: &[usize]| {
            let view = tensors
                .tensor(name)
                .map_err(|_| LmError::malformed(&file, format!("it has no tensor `{name}`")))?;
            if view.shape() != expected {
                return Err(LmError::Misshapen {
                    path: folder.into(),
                    name: name.into(),
                    found: view.shape().into(),
                    expected: expected.into(),
                });
            }
            values(&file, name, &view)
        };
        let classes = settings.classes.len();
        let weight = read(WEIGHT, &[classes, settings.width])?;
        let bias = read(BIAS, &[classes])?;
        Ok((settings, Probe::of(weight, bias, device)))
    }
}

/// The features of some examples, by the examples' ids.
#[derive(Clone, Debug)]
pub struct FeatureTable {
    rows: HashMap<u64, Vec<f32>>,
    /// Features of a row.
    pub width: usize,
    /// What made them.
    pub origin: FeatureOrigin,
}

impl FeatureTable {
    /// Reads features of the examples in `data`.
    ///
    /// # Errors
    ///
    /// Features that were made of other examples, that differ in width, or that cannot be read.
    pub fn read(features: &Artifact, data: &Artifact) -> Result<Self, LmError> {
        let made_of = features.manifest.input("data");
        if made_of != Some(data.reference) {
            return Err(LmError::Mismatch(format!(
                "{} was made from {}, but --data is {}\n\
                 hint: make it anew with `w2s-{} {}` from these examples",
                features.reference.short(),
                made_of.map_or("something else".to_owned(), |r| r.short()),
                data.reference.short(),
                features.manifest.stage,
                features.manifest.operation
            )));
        }
        let records = features.records::<Features>()?;
        let width = records.first().map_or(0, |row| row.values.len());
        if let Some(row) = records.iter().find(|row| row.values.len() != width) {
            return Err(LmError::Mismatch(format!(
                "{} has {width} features of row {}, but {} of row {}",
                features.reference.short(),
                records[0].id,
                row.values.len(),
                row.id
            )));
        }
        Ok(Self {
            rows: records
                .into_iter()
                .map(|row| (row.id, row.values))
                .collect(),
            width,
            origin: FeatureOrigin::of(&features.manifest),
        })
    }

    /// The features of an example, taken out; `None` where its text was too long for the model that made them.
    pub fn take(&mut self, id: u64) -> Option<Vec<f32>> {
        self.rows.remove(&id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flex() -> Device {
        Device::flex()
    }

    #[test]
    fn a_probe_by_hand() {
        // [1 2] . [1 0; 0 1] + [0 1] = [1 3].
        let probe = Probe::of(vec![1.0, 0.0, 0.0, 1.0], vec![0.0, 1.0], &flex());
        let (logits, tokens) = probe.logits_of(&[&vec![1.0, 2.0]]);
        let logits: Vec<f32> = logits.into_data().try_to_vec().unwrap();
        assert_eq!((logits, tokens), (vec![1.0, 3.0], 0));
        let zeros = Probe::zeros(4, 2, &flex());
        let even = zeros.probabilities(&[vec![5.0, -1.0]], &mut |_| true);
        assert_eq!(even.unwrap(), [vec![0.25; 4]]);
        assert_eq!(zeros.probabilities(&[vec![0.0; 2]], &mut |_| false), None);
    }

    #[test]
    fn scaled_features_have_mean_0_and_deviation_1_and_the_scale_folds_into_the_head() {
        let rows = vec![vec![1.0, 100.0, 7.0], vec![3.0, 300.0, 7.0]];
        let scale = FeatureScale::of(&rows);
        let mut scaled = rows.clone();
        scale.apply(&mut scaled);
        assert_eq!(scaled, [vec![-1.0, -1.0, 0.0], vec![1.0, 1.0, 0.0]]);
        let probe = Probe::of(
            vec![0.5, -1.0, 2.0, 1.5, 0.25, -1.0],
            vec![0.1, -0.2],
            &flex(),
        );
        let folded = scale.fold(&probe);
        let logits = |probe: &Probe, row: &Vec<f32>| -> Vec<f32> {
            probe.logits_of(&[row]).0.into_data().try_to_vec().unwrap()
        };
        for (row, scaled) in rows.iter().zip(&scaled) {
            for (a, b) in logits(&folded, row).iter().zip(logits(&probe, scaled)) {
                assert!((a - b).abs() < 1e-5, "{a} and {b}");
            }
        }
    }

    #[test]
    fn a_probe_reads_back_and_is_no_model_folder() {
        let settings = ProbeSettings {
            classes: vec!["no".into(), "yes".into()],
            width: 3,
            features: FeatureOrigin {
                operation: "data features".into(),
                version: 1,
                parameters: json!({}),
                sources: vec![],
            },
        };
        let probe = Probe::of(vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0], vec![7.0, 8.0], &flex());
        let folder = tempfile::tempdir().unwrap();
        settings.save(&probe, folder.path()).unwrap();
        assert!(ProbeSettings::are_in(folder.path()));
        let (read, again) = ProbeSettings::load(folder.path(), &flex()).unwrap();
        assert_eq!((read, again.values()), (settings.clone(), probe.values()));
        let error = crate::ModelFolder::open(folder.path()).unwrap_err();
        assert!(error.to_string().contains("is a linear probe"), "{error}");
        // The head must be what the settings say.
        let wider = ProbeSettings {
            width: 4,
            ..settings
        };
        let config = json!(wider).to_string();
        std::fs::write(folder.path().join("config.json"), config).unwrap();
        let error = ProbeSettings::load(folder.path(), &flex()).unwrap_err();
        assert!(
            error
                .to_string()
                .ends_with("is [2, 3], but its config.json says [2, 4]"),
            "{error}"
        );
        assert!(!ProbeSettings::are_in(folder.path()));
    }
}
