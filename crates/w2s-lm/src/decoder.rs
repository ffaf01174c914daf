//! The decoder itself: one set of layers for every family, chosen by configuration.

use crate::{Batch, DecoderConfig, Family, LmError, Lora, LoraSettings};
use burn::module::{Module, Param, ParamId};
use burn::tensor::{Device, Tensor, TensorData};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use w2s_ops::{AttentionSpec, Rotary, Targets};

/// A linear layer with the weight as model folders store it, `[out, in]`, perhaps with an adapter beside it.
#[derive(Module, Debug)]
pub struct Linear {
    /// `[out, in]`.
    pub weight: Param<Tensor<2>>,
    /// `[out]`.
    pub bias: Option<Param<Tensor<1>>>,
    /// A low-rank update of the weight.
    pub lora: Option<Lora>,
}

impl Linear {
    /// `[tokens, in]` to `[tokens, out]`.
    pub fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        let y = match &self.lora {
            None => w2s_ops::linear(x, self.weight.val()),
            Some(lora) => w2s_ops::linear(x.clone(), self.weight.val()) + lora.forward(x),
        };
        match &self.bias {
            None => y,
            Some(bias) => y + bias.val().unsqueeze(),
        }
    }
}

/// An embedding table.
#[derive(Module, Debug)]
pub struct Embedding {
    /// `[rows, dim]`.
    pub weight: Param<Tensor<2>>,
}

/// RMSNorm, or LayerNorm where there is a bias.
#[derive(Module, Debug)]
pub struct Norm {
    /// `[dim]`.
    pub weight: Param<Tensor<1>>,
    /// `[dim]`.
    pub bias: Option<Param<Tensor<1>>>,
    #[module(skip)]
    eps: f64,
}

impl Norm {
    /// `[tokens, dim]` to the same.
    pub fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        let (weight, eps) = (self.weight.val(), self.eps as f32);
        match &self.bias {
            None => w2s_ops::rms_norm(x, weight, eps),
            Some(bias) => w2s_ops::layer_norm(x, weight, bias.val(), eps),
        }
    }
}

/// Grouped-query attention.
#[derive(Module, Debug)]
pub struct Attention {
    /// Queries, `[heads * head_dim, dim]`.
    pub q_proj: Linear,
    /// Keys, `[kv_heads * head_dim, dim]`.
    pub k_proj: Linear,
    /// Values, `[kv_heads * head_dim, dim]`.
    pub v_proj: Linear,
    /// Output, `[dim, heads * head_dim]`.
    pub o_proj: Linear,
}

/// The feed-forward part: SwiGLU with a gate, GELU without.
#[derive(Module, Debug)]
pub struct Mlp {
    /// `[ffn, dim]`.
    pub gate_proj: Option<Linear>,
    /// `[ffn, dim]`.
    pub up_proj: Linear,
    /// `[dim, ffn]`.
    pub down_proj: Linear,
}

impl Mlp {
    fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        let hidden = match &self.gate_proj {
            Some(gate) => w2s_ops::swiglu(gate.forward(x.clone()), self.up_proj.forward(x)),
            None => w2s_ops::gelu_tanh(self.up_proj.forward(x)),
        };
        self.down_proj.forward(hidden)
    }
}

/// One pre-norm block.
#[derive(Module, Debug)]
pub struct Block {
    /// Before attention.
    pub input_layernorm: Norm,
    /// Attention.
    pub self_attn: Attention,
    /// Before the feed-forward part.
    pub post_attention_layernorm: Norm,
    /// Feed-forward part.
    pub mlp: Mlp,
}

impl Block {
    /// `attend` mixes queries, keys and values. With `read`, only those rows are computed beyond the mixing.
    fn forward(
        &self,
        x: Tensor<2>,
        read: Option<&[usize]>,
        attend: impl FnOnce([Tensor<2>; 3]) -> Tensor<2>,
    ) -> Tensor<2> {
        let y = self.input_layernorm.forward(x.clone());
        let attn = &self.self_attn;
        let mixed = attend([
            attn.q_proj.forward(y.clone()),
            attn.k_proj.forward(y.clone()),
            attn.v_proj.forward(y),
        ]);
        let kept = |x| match read {
            None => x,
            Some(rows) => w2s_ops::gather_rows(x, rows),
        };
        let x = kept(x) + attn.o_proj.forward(kept(mixed));
        let y = self.post_attention_layernorm.forward(x.clone());
        x + self.mlp.forward(y)
    }
}

/// Embeddings, blocks and the last norm.
///
/// Fields are named as the tensors of Llama model folders, so that a parameter's path is its name there.
#[derive(Module, Debug)]
pub struct Decoder {
    /// Token embedding, `[vocabulary, dim]`.
    pub embed_tokens: Embedding,
    /// Learned positions, `[positions, dim]`, where positions are not rotary.
    pub embed_positions: Option<Embedding>,
    /// Blocks.
    pub layers: Vec<Block>,
    /// The last norm.
    pub norm: Norm,
    #[module(skip)]
    config: DecoderConfig,
    #[module(skip)]
    rotary: Option<Rotary>,
    #[module(skip)]
    pub(crate) lora: Option<LoraSettings>,
}

impl Decoder {
    /// A decoder with random weights: normal with deviation 0.02, the projections back into the residual stream
    /// scaled down by the root of twice the depth, norms at one.
    pub fn init(config: &DecoderConfig, seed: u64, device: &Device) -> Self {
        Self::build(config, Init::new(seed, device))
    }

    /// A decoder whose parameters have shapes but no values yet, to be loaded.
    pub(crate) fn unfilled(config: &DecoderConfig, device: &Device) -> Self {
        Self::build(config, Init::unfilled(device))
    }

    fn build(config: &DecoderConfig, mut init: Init) -> Self {
        let (dim, q, kv) = (
            config.dim,
            config.heads * config.head_dim,
            config.kv_heads * config.head_dim,
        );
        let layer_norm = config.family == Family::Gpt2;
        let residual = 0.02 / (2.0 * config.layers as f64).sqrt();
        let norm = |init: &mut Init| Norm {
            weight: init.filled(dim, 1.0),
            bias: layer_norm.then(|| init.filled(dim, 0.0)),
            eps: config.eps,
        };
        let embed_tokens = Embedding {
            weight: init.normal([config.vocabulary, dim], 0.02),
        };
        let embed_positions = config.rope.is_none().then(|| Embedding {
            weight: init.normal([config.positions, dim], 0.02),
        });
        let layers = (0..config.layers)
            .map(|_| Block {
                input_layernorm: norm(&mut init),
                self_attn: Attention {
                    q_proj: init.linear([q, dim], config.attention_bias, 0.02),
                    k_proj: init.linear([kv, dim], config.attention_bias, 0.02),
                    v_proj: init.linear([kv, dim], config.attention_bias, 0.02),
                    o_proj: init.linear([dim, q], config.output_bias, residual),
                },
                post_attention_layernorm: norm(&mut init),
                mlp: Mlp {
                    gate_proj: (!layer_norm)
                        .then(|| init.linear([config.ffn, dim], config.mlp_bias, 0.02)),
                    up_proj: init.linear([config.ffn, dim], config.mlp_bias, 0.02),
                    down_proj: init.linear([dim, config.ffn], config.mlp_bias, residual),
                },
            })
            .collect();
        Self {
            embed_tokens,
            embed_positions,
            layers,
            norm: norm(&mut init),
            rotary: config
                .inverse_frequencies()
                .map(|f| Rotary::new(&f, config.longest())),
            config: config.clone(),
            lora: None,
        }
    }

    /// What this decoder is made of.
    pub fn config(&self) -> &DecoderConfig {
        &self.config
    }

    /// The longest sequence it takes, in tokens.
    pub fn max_tokens(&self) -> usize {
        self.config.longest()
    }

    /// The decoder without some of its blocks, counted from 0: a weaker model of the same family (layer pruning, arXiv
    /// 2403.17887, without the finetuning that heals it there).
    ///
    /// # Errors
    ///
    /// [`LmError::Layers`] if a block is not there, or none is left.
    pub fn without_layers(mut self, dropped: &[usize]) -> Result<Self, LmError> {
        let layers = self.layers.len();
        if let Some(layer) = dropped.iter().find(|&&layer| layer >= layers) {
            return Err(LmError::Layers(format!(
                "there is no layer {layer} to drop: the model has {layers}, counted from 0"
            )));
        }
        let kept = self.layers.into_iter().enumerate();
        let kept = kept.filter(|(layer, _)| !dropped.contains(layer));
        self.layers = kept.map(|(_, block)| block).collect();
        if self.layers.is_empty() {
            return Err(LmError::Layers(format!(
                "no layer is left of {layers}: keep at least one"
            )));
        }
        self.config.layers = self.layers.len();
        Ok(self)
    }

    /// Hidden states of some rows of a batch after the last norm, `[rows, dim]`.
    ///
    /// Only those rows pass through the feed-forward part of the last block and the last norm.
    pub fn hidden(&self, batch: &Batch, rows: &[usize]) -> Tensor<2> {
        let spec = AttentionSpec::new(
            batch.boundaries.clone(),
            self.config.heads,
            self.config.kv_heads,
            self.rotary.clone(),
        );
        let positions: Vec<usize> = batch
            .boundaries
            .windows(2)
            .flat_map(|w| 0..w[1] - w[0])
            .collect();
        let x = self.run(&batch.ids, &positions, Some(rows), |_, [q, k, v]| {
            w2s_ops::attention(q, k, v, &spec)
        });
        self.norm.forward(x)
    }

    /// What a classification head reads of each sequence: the hidden state of its last token, `[sequences, dim]`.
    pub fn features(&self, batch: &Batch) -> Tensor<2> {
        self.hidden(batch, &batch.last_rows())
    }

    /// Rotary tables, where positions are rotary.
    pub(crate) fn rotary(&self) -> Option<Rotary> {
        self.rotary.clone()
    }

    /// The residual stream of some tokens after the last block, of the rows `read` if they are given; `attend` gets the
    /// number of a block, and its queries, keys and values.
    pub(crate) fn run(
        &self,
        ids: &[u32],
        positions: &[usize],
        read: Option<&[usize]>,
        mut attend: impl FnMut(usize, [Tensor<2>; 3]) -> Tensor<2>,
    ) -> Tensor<2> {
        let ids: Vec<usize> = ids.iter().map(|&id| id as usize).collect();
        let mut x = w2s_ops::gather_rows(self.embed_tokens.weight.val(), &ids);
        if let Some(table) = &self.embed_positions {
            x = x + w2s_ops::gather_rows(table.weight.val(), positions);
        }
        for (i, layer) in self.layers.iter().enumerate() {
            let read = read.filter(|_| i + 1 == self.layers.len());
            x = layer.forward(x, read, |qkv| attend(i, qkv));
        }
        x
    }
}

/// Random weights from one seed, in the order of the layers.
struct Init<'a> {
    /// None: shapes only, values are loaded later.
    rng: Option<ChaCha8Rng>,
    device: &'a Device,
}

impl<'a> Init<'a> {
    fn new(seed: u64, device: &'a Device) -> Self {
        Self {
            rng: Some(ChaCha8Rng::seed_from_u64(seed)),
            device,
        }
    }

    fn unfilled(device: &'a Device) -> Self {
        Self { rng: None, device }
    }

    fn shaped<const D: usize>(&self, shape: [usize; D]) -> Param<Tensor<D>> {
        Param::uninitialized(
            ParamId::new(),
            move |device, _| Tensor::zeros(shape, device),
            self.device.clone(),
            true,
            shape.into(),
        )
    }

    fn normal(&mut self, shape: [usize; 2], deviation: f64) -> Param<Tensor<2>> {
        let Some(rng) = &mut self.rng else {
            return self.shaped(shape);
        };
        let count = shape[0] * shape[1];
        let mut values = Vec::with_capacity(count + 1);
        while values.len() < count {
            // Box and Muller; the uniform draws come from bits, so that no library's sampling is part of the result.
            let mut uniform = || (rng.next_u64() >> 11) as f64 / (1u64 << 53) as f64;
            let (radius, angle) = (
                (-2.0 * (1.0 - uniform()).ln()).sqrt(),
                std::f64::consts::TAU * uniform(),
            );
            values.push((deviation * radius * angle.cos()) as f32);
            values.push((deviation * radius * angle.sin()) as f32);
        }
        values.truncate(count);
        Param::from_data(TensorData::new(values, shape), self.device)
    }

    fn filled(&self, size: usize, value: f32) -> Param<Tensor<1>> {
        if self.rng.is_none() {
            return self.shaped([size]);
        }
        Param::from_data(TensorData::new(vec![value; size], [size]), self.device)
    }

    fn head(&mut self, config: &DecoderConfig) -> Linear {
        self.linear([config.vocabulary, config.dim], false, 0.02)
    }

    fn linear(&mut self, shape: [usize; 2], bias: bool, deviation: f64) -> Linear {
        Linear {
            weight: self.normal(shape, deviation),
            bias: bias.then(|| self.filled(shape[0], 0.0)),
            lora: None,
        }
    }
}

/// A decoder with an output projection onto the vocabulary.
#[derive(Module, Debug)]
pub struct LanguageModel {
    /// The decoder.
    pub model: Decoder,
    /// `[vocabulary, dim]`; none where the embedding serves.
    pub lm_head: Option<Linear>,
}

impl LanguageModel {
    /// A model with random weights.
    pub fn init(config: &DecoderConfig, seed: u64, device: &Device) -> Self {
        let head = || Init::new(seed ^ 0x6c6d_5f68_6561_6400, device).head(config);
        Self {
            model: Decoder::init(config, seed, device),
            lm_head: (!config.tied).then(head),
        }
    }

    /// A model whose parameters have shapes but no values yet, to be loaded.
    pub(crate) fn unfilled(config: &DecoderConfig, device: &Device) -> Self {
        Self {
            model: Decoder::unfilled(config, device),
            lm_head: (!config.tied).then(|| Init::unfilled(device).head(config)),
        }
    }

    /// The output projection, `[vocabulary, dim]`.
    pub fn unembedding(&self) -> Tensor<2> {
        match &self.lm_head {
            Some(head) => head.weight.val(),
            None => self.model.embed_tokens.weight.val(),
        }
    }

    /// Logits of the given rows of a batch, `[rows, vocabulary]`.
    pub fn logits(&self, batch: &Batch, rows: &[usize]) -> Tensor<2> {
        let hidden = self.model.hidden(batch, rows);
        w2s_ops::linear(hidden, self.unembedding())
    }

    /// Next-token cross entropy in nats over all predicted tokens of a batch times `scale / predicted`; a scalar `[1]`.
    pub fn next_token_loss(&self, batch: &Batch, scale: f32) -> Tensor<1> {
        let (rows, ids) = batch.next_tokens();
        let hidden = self.model.hidden(batch, &rows);
        let mut targets = Targets::mean(ids);
        targets.weights = targets.weights.iter().map(|w| w * scale).collect();
        w2s_ops::cross_entropy(hidden, self.unembedding(), &targets)
    }

    /// Natural log-probability of every token but the first of each sequence, given those before it; one list a
    /// sequence.
    pub fn log_probs(&self, batch: &Batch) -> Vec<Vec<f32>> {
        let (rows, ids) = batch.next_tokens();
        let hidden = self.model.hidden(batch, &rows);
        let flat: Vec<f32> =
            w2s_ops::token_log_probs(hidden, self.unembedding(), &Targets::mean(ids))
                .into_data()
                .try_to_vec()
                .expect("log-probabilities are f32");
        let mut rest = &flat[..];
        batch
            .boundaries
            .windows(2)
            .map(|w| {
                let (head, tail) = rest.split_at((w[1] - w[0]).saturating_sub(1));
                rest = tail;
                head.to_vec()
            })
            .collect()
    }
}

/// A decoder with a bias-free classification head that reads the last token.
#[derive(Module, Debug)]
pub struct Classifier {
    /// The decoder.
    pub model: Decoder,
    /// `[classes, dim]`.
    pub score: Linear,
}

impl Classifier {
    /// A head of zeros on a decoder: every class starts equally likely.
    pub fn zero_head(model: Decoder, classes: usize, device: &Device) -> Self {
        let dim = model.config().dim;
        let zeros = TensorData::new(vec![0f32; classes * dim], [classes, dim]);
        Self {
            model,
            score: Linear {
                weight: Param::from_data(zeros, device),
                bias: None,
                lora: None,
            },
        }
    }

    /// A head whose rows are the unembedding rows of one word a class (the initialisation of the paper).
    pub fn word_head(model: LanguageModel, words: &[u32], device: &Device) -> Self {
        let rows: Vec<usize> = words.iter().map(|&id| id as usize).collect();
        let head = w2s_ops::gather_rows(model.unembedding(), &rows).into_data();
        Self {
            model: model.model,
            score: Linear {
                weight: Param::from_data(head, device),
                bias: None,
                lora: None,
            },
        }
    }

    /// How many classes it tells apart.
    pub fn classes(&self) -> usize {
        self.score.weight.dims()[0]
    }

    /// Logits of each sequence, `[sequences, classes]`.
    pub fn logits(&self, batch: &Batch) -> Tensor<2> {
        self.score.forward(self.model.features(batch))
    }
}
