//! Parameters and optimiser state: in memory as flat tensors, on disk as one file that is replaced whole: safetensors, and behind
//! them the hash of all before it. A state that is not what was written is never gone on from.
//!
//! All of it is of the parameters that are trained: a frozen one ([`Param::set_require_grad`]) has no gradient, no
//! moments and no place in the saved state.

use crate::TrainError;
use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{Device, Gradients, Tensor, TensorData};
use safetensors::tensor::{Dtype, View};
use safetensors::{SafeTensors, serialize_to_file};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;
use w2s_ops::{AdamW, adamw_update, sum_squares};

/// A tensor of any rank as one row.
fn flat<const D: usize>(tensor: Tensor<D>) -> Tensor<1> {
    let size = tensor.shape().num_elements();
    tensor.reshape([size])
}

fn trained<const D: usize>(param: &Param<Tensor<D>>) -> bool {
    param.base().is_require_grad()
}

/// Gradients of the trained parameters of a module in the order of its tree; `None` for one that had no part in the
/// loss.
pub(crate) type FlatGradients = Vec<Option<Tensor<1>>>;

pub(crate) fn take_gradients<M: Module>(model: &M, grads: &mut Gradients) -> FlatGradients {
    struct Take<'a>(&'a mut Gradients, FlatGradients);
    impl ModuleVisitor for Take<'_> {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            if trained(param) {
                self.1.push(param.base().grad_remove(self.0).map(flat));
            }
        }
    }
    let mut take = Take(grads, Vec::new());
    model.visit(&mut take);
    take.1
}

pub(crate) fn add_gradients(sum: &mut FlatGradients, more: FlatGradients) {
    for (sum, more) in sum.iter_mut().zip(more) {
        *sum = match (sum.take(), more) {
            (Some(a), Some(b)) => Some(a + b),
            (a, b) => a.or(b),
        };
    }
}

/// Euclidean length of all gradients together.
pub(crate) fn norm(gradients: &FlatGradients) -> f64 {
    let squares = gradients.iter().flatten().map(|g| {
        let square: f32 = sum_squares(g.clone()).into_scalar();
        f64::from(square)
    });
    squares.sum::<f64>().sqrt()
}

/// First and second moments, one pair a parameter.
#[derive(Default)]
pub(crate) struct Moments(Vec<(Tensor<1>, Tensor<1>)>);

impl Moments {
    /// Moments of zero for every trained parameter of `model`.
    pub(crate) fn zeros<M: Module>(model: &M) -> Self {
        struct Zeros(Vec<(Tensor<1>, Tensor<1>)>);
        impl ModuleVisitor for Zeros {
            fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
                if trained(param) {
                    let zeros = flat(param.base().inner().zeros_like());
                    self.0.push((zeros.zeros_like(), zeros));
                }
            }
        }
        let mut zeros = Zeros(Vec::new());
        model.visit(&mut zeros);
        Self(zeros.0)
    }

    /// The size of a saved state: both moments and the parameters they belong to.
    pub(crate) fn saved_bytes(&self) -> usize {
        let values: usize = self.0.iter().map(|(m, _)| m.dims()[0]).sum();
        3 * size_of::<f32>() * values
    }

    /// One optimiser step on every parameter that has a gradient.
    pub(crate) fn update<M: Module>(
        &mut self,
        model: M,
        gradients: FlatGradients,
        settings: AdamW,
    ) -> M {
        struct Update<'a> {
            moments: std::slice::IterMut<'a, (Tensor<1>, Tensor<1>)>,
            gradients: std::vec::IntoIter<Option<Tensor<1>>>,
            settings: AdamW,
        }
        impl ModuleMapper for Update<'_> {
            fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
                if !trained(&param) {
                    return param;
                }
                let moments = self.moments.next().expect("moments for every parameter");
                let Some(gradient) = self.gradients.next().flatten() else {
                    return param;
                };
                let (id, value, mapper) = param.consume();
                let shape = value.shape();
                // The moments are moved out, so that nobody else holds them and the update happens in place.
                let nothing = Tensor::empty([0], &gradient.device());
                let (m, v) = std::mem::replace(moments, (nothing.clone(), nothing));
                let (value, m, v) =
                    adamw_update(flat(value.inner()), gradient, m, v, self.settings);
                *moments = (m, v);
                let value = Tensor::from_inner(value.reshape(shape)).require_grad();
                Param::from_mapped_value(id, value, mapper)
            }
        }
        model.map(&mut Update {
            moments: self.0.iter_mut(),
            gradients: gradients.into_iter(),
            settings,
        })
    }
}

/// The values of the trained parameters, flat, on the host.
#[derive(Clone)]
pub(crate) struct Values(Vec<Vec<f32>>);

impl Values {
    pub(crate) fn of<M: Module>(model: &M) -> Self {
        struct Collect(Vec<Vec<f32>>);
        impl ModuleVisitor for Collect {
            fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
                if trained(param) {
                    self.0.push(to_host(flat(param.base().inner())));
                }
            }
        }
        let mut collect = Collect(Vec::new());
        model.visit(&mut collect);
        Self(collect.0)
    }

    /// A model with these values.
    pub(crate) fn restore<M: Module>(self, model: M) -> M {
        struct Put(std::vec::IntoIter<Vec<f32>>);
        impl ModuleMapper for Put {
            fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
                if !trained(&param) {
                    return param;
                }
                let values = self.0.next().expect("values for every parameter");
                let (id, old, mapper) = param.consume();
                let shape = old.shape();
                let data = TensorData::new(values, shape);
                let value = Tensor::from_data(data, &old.inner().device());
                Param::from_mapped_value(id, Tensor::from_inner(value).require_grad(), mapper)
            }
        }
        model.map(&mut Put(self.0.into_iter()))
    }
}

fn to_host(tensor: Tensor<1>) -> Vec<f32> {
    tensor.into_data().try_to_vec().expect("parameters are f32")
}

/// Where a run stands.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Cursor {
    pub step: usize,
    pub tokens: u64,
    pub seconds: f64,
    pub metrics_bytes: u64,
    /// Hash of so many bytes of the training log.
    pub metrics_hash: String,
    pub best: Option<Best>,
    pub stale: usize,
}

/// The best held-out score so far.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Best {
    pub step: usize,
    pub score: f64,
}

/// Values on their way into a file: on the device until their bytes are asked for, or on the host already.
enum Source<'a> {
    Device(Box<Tensor<1>>),
    Host(&'a [f32]),
}

struct Stored<'a> {
    source: Source<'a>,
    shape: [usize; 1],
}

impl<'a> Stored<'a> {
    fn tensor(tensor: Tensor<1>) -> Self {
        Self {
            shape: tensor.dims(),
            source: Source::Device(Box::new(tensor)),
        }
    }

    fn host(values: &'a [f32]) -> Self {
        Self {
            shape: [values.len()],
            source: Source::Host(values),
        }
    }
}

impl View for Stored<'_> {
    fn dtype(&self) -> Dtype {
        Dtype::F32
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        // The file is little-endian, as is every machine that burn's backends run on.
        Cow::Owned(match &self.source {
            Source::Device(tensor) => tensor.to_data().as_bytes().to_vec(),
            Source::Host(values) => values.iter().flat_map(|v| v.to_le_bytes()).collect(),
        })
    }

    fn data_len(&self) -> usize {
        4 * self.shape[0]
    }
}

/// All that a run needs to go on: cursor, parameters, moments, and the best parameters if they are kept.
pub(crate) struct Saved {
    pub cursor: Cursor,
    pub parameters: Values,
    pub moments: Moments,
    pub best: Option<Values>,
}

impl Saved {
    /// Writes a new file and renames it over the old one. Tensors are brought to the host one after the other, so that
    /// saving needs no second copy of the model.
    pub(crate) fn write<M: Module>(
        path: &Path,
        cursor: &Cursor,
        model: &M,
        moments: &Moments,
        best: Option<&Values>,
    ) -> Result<(), TrainError> {
        struct Collect(Vec<(String, Stored<'static>)>);
        impl ModuleVisitor for Collect {
            fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
                if trained(param) {
                    let name = format!("p.{:04}", self.0.len());
                    self.0
                        .push((name, Stored::tensor(flat(param.base().inner()))));
                }
            }
        }
        let mut parameters = Collect(Vec::new());
        model.visit(&mut parameters);
        let mut named: Vec<(String, Stored)> = parameters.0;
        for (i, (m, v)) in moments.0.iter().enumerate() {
            named.push((format!("m.{i:04}"), Stored::tensor(m.clone())));
            named.push((format!("v.{i:04}"), Stored::tensor(v.clone())));
        }
        for (i, values) in best.iter().flat_map(|b| &b.0).enumerate() {
            named.push((format!("b.{i:04}"), Stored::host(values)));
        }
        let cursor = serde_json::to_string(cursor).expect("a cursor serializes");
        let metadata = [("cursor".to_string(), cursor)].into();
        let fresh = path.with_extension("new");
        serialize_to_file(named, Some(metadata), &fresh)
            .map_err(|e| TrainError::state(&fresh, e))?;
        seal(&fresh).map_err(|e| TrainError::state(&fresh, e))?;
        std::fs::rename(&fresh, path).map_err(|e| TrainError::state(path, e))?;
        // The new name is on the disk only when its folder is.
        let folder = path.parent().expect("a file lies in a folder");
        let synced = File::open(folder).and_then(|folder| folder.sync_all());
        synced.map_err(|e| TrainError::state(folder, e))
    }

    /// Whether it is a state of this model: one value and two moments for each trained parameter, of its size.
    pub(crate) fn fits<M: Module>(&self, model: &M) -> bool {
        struct Sizes(Vec<usize>);
        impl ModuleVisitor for Sizes {
            fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
                if trained(param) {
                    self.0.push(param.base().shape().num_elements());
                }
            }
        }
        let mut sizes = Sizes(Vec::new());
        model.visit(&mut sizes);
        let of = |values: &Values| values.0.iter().map(Vec::len).collect::<Vec<_>>();
        let moments = |of: fn(&(Tensor<1>, Tensor<1>)) -> &Tensor<1>| {
            let moments = self.moments.0.iter().map(of);
            moments.map(|tensor| tensor.dims()[0]).collect::<Vec<_>>()
        };
        let best = self.best.as_ref().is_none_or(|best| of(best) == sizes.0);
        best && of(&self.parameters) == sizes.0
            && moments(|(m, _)| m) == sizes.0
            && moments(|(_, v)| v) == sizes.0
    }

    /// What was saved, or `None` if nothing usable is there.
    pub(crate) fn read(path: &Path, device: &Device) -> Option<Self> {
        let bytes = std::fs::read(path).ok()?;
        let read = || -> Option<Self> {
            let bytes = unsealed(&bytes)?;
            let (_, metadata) = SafeTensors::read_metadata(bytes).ok()?;
            let cursor = metadata.metadata().as_ref()?.get("cursor")?;
            let cursor: Cursor = serde_json::from_str(cursor).ok()?;
            let file = SafeTensors::deserialize(bytes).ok()?;
            let values = |kind: char| -> Option<Vec<Vec<f32>>> {
                let mut out = Vec::new();
                while let Ok(view) = file.tensor(&format!("{kind}.{:04}", out.len())) {
                    let floats = view.data().chunks_exact(4);
                    out.push(
                        floats
                            .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
                            .collect(),
                    );
                }
                Some(out)
            };
            let tensor = |values: Vec<f32>| {
                let size = [values.len()];
                Tensor::<1>::from_data(TensorData::new(values, size), device)
            };
            let moments = values('m')?.into_iter().zip(values('v')?);
            let best = values('b')?;
            Some(Self {
                cursor,
                parameters: Values(values('p')?),
                moments: Moments(moments.map(|(m, v)| (tensor(m), tensor(v))).collect()),
                best: (!best.is_empty()).then_some(Values(best)),
            })
        };
        let saved = read();
        if saved.is_none() {
            tracing::warn!("`{}` is damaged; training starts over", path.display());
        }
        saved
    }
}

/// Writes the hash of a file behind it, and all of it to the disk.
fn seal(path: &Path) -> std::io::Result<()> {
    let mut file = OpenOptions::new().read(true).append(true).open(path)?;
    let mut hash = blake3::Hasher::new();
    std::io::copy(&mut file, &mut hash)?;
    file.write_all(hash.finalize().as_bytes())?;
    file.sync_all()
}

/// What a hash was written behind, if it is still that.
fn unsealed(bytes: &[u8]) -> Option<&[u8]> {
    let (content, hash) = bytes.split_last_chunk::<{ blake3::OUT_LEN }>()?;
    (blake3::hash(content) == *hash).then_some(content)
}
