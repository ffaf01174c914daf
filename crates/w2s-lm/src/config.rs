//! What a decoder is made of, and how `config.json` says it.

use crate::LmError;
use serde_json::{Map, Value, json};
use std::path::Path;

/// Which published family a decoder belongs to: names and layout of its files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// Llama, SmolLM2, TinyLlama: RMSNorm, rotary positions, SwiGLU.
    Llama,
    /// GPT-2: LayerNorm, learned positions, GELU, biases.
    Gpt2,
    /// Qwen2 and Qwen2.5: as Llama, with biases on queries, keys and values.
    Qwen2,
}

/// Llama 3's stretching of rotary frequencies (`rope_type: llama3`).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Llama3Scaling {
    /// Low frequencies are divided by this.
    pub factor: f64,
    /// Wavelengths above `original / low` are stretched in full.
    pub low_frequency_factor: f64,
    /// Wavelengths below `original / high` stay as they are.
    pub high_frequency_factor: f64,
    /// Positions of pretraining.
    pub original_positions: f64,
}

/// Rotary positions.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rope {
    /// Base of the frequencies.
    pub theta: f64,
    /// Stretching, if any.
    pub scaling: Option<Llama3Scaling>,
}

/// Sizes and choices of one decoder.
#[derive(Clone, Debug, PartialEq)]
pub struct DecoderConfig {
    /// File layout.
    pub family: Family,
    /// Rows of the embedding.
    pub vocabulary: usize,
    /// Width of hidden states.
    pub dim: usize,
    /// Blocks.
    pub layers: usize,
    /// Query heads.
    pub heads: usize,
    /// Key and value heads.
    pub kv_heads: usize,
    /// Values a head.
    pub head_dim: usize,
    /// Width inside the feed-forward part.
    pub ffn: usize,
    /// Longest sequence in tokens.
    pub positions: usize,
    /// Added to the variance in norms.
    pub eps: f64,
    /// Rotary positions; `None` where positions are learned.
    pub rope: Option<Rope>,
    /// Whether the output projection is the embedding.
    pub tied: bool,
    /// Biases on query, key and value projections.
    pub attention_bias: bool,
    /// Bias on the output projection of attention.
    pub output_bias: bool,
    /// Biases in the feed-forward part.
    pub mlp_bias: bool,
    /// Beginning-of-sequence token.
    pub bos: Option<u32>,
    /// End-of-sequence token.
    pub eos: Option<u32>,
    /// Padding token; written for other tools, never read here.
    pub pad: Option<u32>,
}

/// No size of a published decoder is larger; the product of two of them fits 64 bits with room to spare.
pub(crate) const LARGEST: usize = 1 << 30;

/// The names of the presets, smallest first.
pub const PRESETS: [&str; 4] = ["nano", "micro", "mini", "small"];

impl DecoderConfig {
    /// The longest sequence that a decoder of this shape takes, in tokens: tables of positions are made for no more.
    pub fn longest(&self) -> usize {
        self.positions.min(8192)
    }

    /// A Llama-style decoder to train from scratch, tied embeddings.
    pub fn scratch(
        vocabulary: usize,
        layers: usize,
        dim: usize,
        heads: usize,
        ffn: usize,
        positions: usize,
    ) -> Self {
        Self {
            family: Family::Llama,
            vocabulary,
            dim,
            layers,
            heads,
            kv_heads: heads,
            head_dim: dim / heads,
            ffn,
            positions,
            eps: 1e-5,
            rope: Some(Rope {
                theta: 10_000.0,
                scaling: None,
            }),
            tied: true,
            attention_bias: false,
            output_bias: false,
            mlp_bias: false,
            bos: None,
            eos: None,
            pad: None,
        }
    }

    /// One of [`PRESETS`], or `None` for another name.
    pub fn preset(name: &str, vocabulary: usize) -> Option<Self> {
        let (layers, dim, heads, ffn) = match name {
            "nano" => (2, 32, 2, 88),
            "micro" => (2, 48, 4, 128),
            "mini" => (2, 64, 4, 172),
            "small" => (4, 128, 4, 344),
            _ => return None,
        };
        Some(Self::scratch(vocabulary, layers, dim, heads, ffn, 512))
    }

    /// Inverse frequencies of the rotary pairs, in radians per position.
    pub fn inverse_frequencies(&self) -> Option<Vec<f64>> {
        let rope = self.rope?;
        let half = self.head_dim / 2;
        let plain = (0..half).map(|i| rope.theta.powf(-(i as f64) / half as f64));
        Some(match rope.scaling {
            None => plain.collect(),
            Some(s) => plain
                .map(|f| {
                    let wavelength = std::f64::consts::TAU / f;
                    let low = s.original_positions / s.low_frequency_factor;
                    let high = s.original_positions / s.high_frequency_factor;
                    if wavelength < high {
                        f
                    } else if wavelength > low {
                        f / s.factor
                    } else {
                        let smooth = (s.original_positions / wavelength - s.low_frequency_factor)
                            / (s.high_frequency_factor - s.low_frequency_factor);
                        (1.0 - smooth) * f / s.factor + smooth * f
                    }
                })
                .collect(),
        })
    }

    /// Reads what `config.json` says. Sizes and ids are in range: no product of two sizes overflows, and each id is a row of
    /// the embedding. That the weights have these sizes is not known yet.
    pub fn from_json(config: &Value, path: &Path) -> Result<Self, LmError> {
        let fields = Fields { config, path };
        fields.refuse_quantised()?;
        let config = match fields.text("model_type")? {
            "llama" => fields.llama(),
            "gpt2" => fields.gpt2(),
            "qwen2" => fields.qwen2(),
            other => Err(fields.unsupported(format!("model_type `{other}`"))),
        }?;
        fields.check_heads(&config)?;
        Ok(config)
    }

    /// Numbers in all its parameters, biases left out, or `None` where they are more than can be counted.
    pub fn parameters(&self) -> Option<u64> {
        let [vocabulary, dim, layers, positions, ffn] = [
            self.vocabulary,
            self.dim,
            self.layers,
            self.positions,
            self.ffn,
        ]
        .map(|n| n as u64);
        let [queries, keys] = [self.heads, self.kv_heads]
            .map(|heads| (heads as u64).checked_mul(self.head_dim as u64));
        let learned = if self.rope.is_none() { positions } else { 0 };
        let tables = (if self.tied {
            vocabulary
        } else {
            vocabulary.checked_mul(2)?
        })
        .checked_add(learned)?;
        // Rows of `dim` numbers in a block: queries, keys, values and output; two or three in the feed-forward part; norms.
        let wide = if self.family == Family::Gpt2 { 2 } else { 3 };
        let attention = queries?.checked_add(keys?)?.checked_mul(2)?;
        let rows = attention
            .checked_add(ffn.checked_mul(wide)?)?
            .checked_add(2)?;
        let rows = layers.checked_mul(rows)?.checked_add(tables)?;
        rows.checked_add(1)?.checked_mul(dim)
    }

    /// The fields of `config.json` that transformers needs, without the architecture.
    pub(crate) fn to_json(&self) -> Map<String, Value> {
        let value = match self.family {
            Family::Llama => {
                let mut value = self.rotary_json("llama");
                value["attention_bias"] = json!(self.attention_bias);
                value["mlp_bias"] = json!(self.mlp_bias);
                value
            }
            Family::Qwen2 => {
                let mut value = self.rotary_json("qwen2");
                value["use_sliding_window"] = json!(false);
                value
            }
            Family::Gpt2 => json!({
                "model_type": "gpt2",
                "vocab_size": self.vocabulary,
                "n_embd": self.dim,
                "n_layer": self.layers,
                "n_head": self.heads,
                "n_inner": self.ffn,
                "n_positions": self.positions,
                "layer_norm_epsilon": self.eps,
                "activation_function": "gelu_new",
                "attn_pdrop": 0.0,
                "embd_pdrop": 0.0,
                "resid_pdrop": 0.0,
                "tie_word_embeddings": self.tied,
            }),
        };
        let Value::Object(mut map) = value else {
            unreachable!("every arm is an object")
        };
        for (key, id) in [
            ("bos_token_id", self.bos),
            ("eos_token_id", self.eos),
            ("pad_token_id", self.pad.or(self.eos).or(Some(0))),
        ] {
            map.insert(key.into(), json!(id));
        }
        map.insert("torch_dtype".into(), json!("float32"));
        map
    }

    /// What the families with rotary positions have in common.
    fn rotary_json(&self, model_type: &str) -> Value {
        let rope = self.rope.expect("a family with rotary positions");
        json!({
            "model_type": model_type,
            "vocab_size": self.vocabulary,
            "hidden_size": self.dim,
            "num_hidden_layers": self.layers,
            "num_attention_heads": self.heads,
            "num_key_value_heads": self.kv_heads,
            "head_dim": self.head_dim,
            "intermediate_size": self.ffn,
            "max_position_embeddings": self.positions,
            "rms_norm_eps": self.eps,
            "rope_theta": rope.theta,
            "rope_scaling": rope.scaling.map(|s| json!({
                "rope_type": "llama3",
                "factor": s.factor,
                "low_freq_factor": s.low_frequency_factor,
                "high_freq_factor": s.high_frequency_factor,
                "original_max_position_embeddings": s.original_positions as u64,
            })),
            "hidden_act": "silu",
            "attention_dropout": 0.0,
            "tie_word_embeddings": self.tied,
        })
    }
}

/// A configuration file with errors that name it.
pub(crate) struct Fields<'a> {
    pub(crate) config: &'a Value,
    pub(crate) path: &'a Path,
}

impl Fields<'_> {
    pub(crate) fn unsupported(&self, what: impl Into<String>) -> LmError {
        LmError::Unsupported {
            path: self.path.into(),
            what: what.into(),
        }
    }

    fn present(&self, key: &str) -> Option<&Value> {
        self.config.get(key).filter(|v| !v.is_null())
    }

    pub(crate) fn wrong(&self, key: &str, kind: &str) -> LmError {
        let reason = match self.present(key) {
            None => format!("it has no `{key}`"),
            Some(value) => format!("`{key}` is {value}, not {kind}"),
        };
        LmError::malformed(self.path, reason)
    }

    pub(crate) fn text(&self, key: &str) -> Result<&str, LmError> {
        self.present(key)
            .and_then(Value::as_str)
            .ok_or_else(|| self.wrong(key, "a string"))
    }

    pub(crate) fn size(&self, key: &str) -> Result<usize, LmError> {
        let size = self
            .present(key)
            .and_then(Value::as_u64)
            .filter(|&n| n > 0)
            .ok_or_else(|| self.wrong(key, "a positive integer"))?;
        match usize::try_from(size) {
            Ok(size) if size <= LARGEST => Ok(size),
            _ => Err(self.wrong(key, &format!("a size of at most {LARGEST}"))),
        }
    }

    fn size_or(&self, key: &str, default: usize) -> Result<usize, LmError> {
        match self.present(key) {
            None => Ok(default),
            Some(_) => self.size(key),
        }
    }

    pub(crate) fn number_or(&self, key: &str, default: f64) -> Result<f64, LmError> {
        match self.present(key) {
            None => Ok(default),
            Some(v) => v.as_f64().ok_or_else(|| self.wrong(key, "a number")),
        }
    }

    /// A number above zero.
    fn positive_or(&self, key: &str, default: f64) -> Result<f64, LmError> {
        match self.number_or(key, default)? {
            number if number > 0.0 && number.is_finite() => Ok(number),
            _ => Err(self.wrong(key, "a number above zero")),
        }
    }

    /// A number that must be there, above zero.
    fn positive(&self, key: &str) -> Result<f64, LmError> {
        match self.present(key) {
            None => Err(self.wrong(key, "a number above zero")),
            Some(_) => self.positive_or(key, 1.0),
        }
    }

    fn flag_or(&self, key: &str, default: bool) -> Result<bool, LmError> {
        match self.present(key) {
            None => Ok(default),
            Some(v) => v.as_bool().ok_or_else(|| self.wrong(key, "true or false")),
        }
    }

    /// A token id below `vocabulary`; of a list of ids the first. Some old folders write -1 for no token.
    fn token(&self, key: &str, vocabulary: usize) -> Result<Option<u32>, LmError> {
        let Some(value) = self.present(key) else {
            return Ok(None);
        };
        let ids = match value {
            Value::Array(ids) => &ids[..],
            one => std::slice::from_ref(one),
        };
        let mut first = None;
        for id in ids.iter().filter(|id| id.as_i64() != Some(-1)) {
            let id = id
                .as_u64()
                .and_then(|id| u32::try_from(id).ok())
                .filter(|&id| (id as usize) < vocabulary)
                .ok_or_else(|| self.wrong(key, &format!("the id of one of {vocabulary} tokens")))?;
            first.get_or_insert(id);
        }
        Ok(first)
    }

    pub(crate) fn must_be(&self, key: &str, allowed: &[&str]) -> Result<(), LmError> {
        match self.present(key).map(Value::as_str) {
            None => Ok(()),
            Some(None) => Err(self.wrong(key, "a string")),
            Some(Some(value)) if allowed.contains(&value) => Ok(()),
            Some(Some(value)) => Err(self.unsupported(format!("{key} `{value}`"))),
        }
    }

    /// Refuses weights that are stored as codes of few bits, by what the folder says of them.
    fn refuse_quantised(&self) -> Result<(), LmError> {
        let keys = ["quantization_config", "compression_config"];
        let Some((key, config)) = keys
            .into_iter()
            .find_map(|key| Some((key, self.present(key)?)))
        else {
            return Ok(());
        };
        let method = config["quant_method"].as_str().unwrap_or("no method named");
        Err(LmError::malformed(
            self.path,
            format!(
                "`{key}` says that the weights are quantised ({method}), and w2s reads weights in f32, f16 or bf16 only\n\
                 hint: take the folder that they were quantised from, or in Python `model.dequantize()` and save it anew"
            ),
        ))
    }

    /// Refuses heads that do not divide what they share.
    fn check_heads(&self, config: &DecoderConfig) -> Result<(), LmError> {
        let rotary = config.rope.is_some();
        let even = !rotary || config.head_dim.is_multiple_of(2);
        let whole = rotary || config.heads * config.head_dim == config.dim;
        let shared = config.heads.is_multiple_of(config.kv_heads);
        if config.head_dim > 0 && even && whole && shared {
            return Ok(());
        }
        Err(LmError::malformed(
            self.path,
            format!(
                "{} heads of {} values do not fit {} key/value heads and {} values of a hidden state",
                config.heads, config.head_dim, config.kv_heads, config.dim
            ),
        ))
    }

    fn rope(&self) -> Result<Rope, LmError> {
        // transformers 5 keeps theta and scaling together in `rope_parameters`.
        let nested = ["rope_parameters", "rope_scaling"]
            .into_iter()
            .find_map(|key| Some((key, self.present(key)?)));
        let Some((key, nested)) = nested else {
            return Ok(Rope {
                theta: self.positive_or("rope_theta", 10_000.0)?,
                scaling: None,
            });
        };
        if !nested.is_object() {
            return Err(self.wrong(key, "an object"));
        }
        let fields = Fields {
            config: nested,
            path: self.path,
        };
        let theta = match fields.present("rope_theta") {
            Some(_) => fields.positive("rope_theta")?,
            None => self.positive_or("rope_theta", 10_000.0)?,
        };
        let named = ["rope_type", "type"];
        let kind = named.into_iter().find(|key| fields.present(key).is_some());
        let scaling = match kind.map(|key| fields.text(key)).transpose()? {
            None | Some("default") => None,
            Some("llama3") => {
                let (low, high) = (
                    fields.positive("low_freq_factor")?,
                    fields.positive("high_freq_factor")?,
                );
                if low >= high {
                    return Err(fields.wrong("low_freq_factor", "below `high_freq_factor`"));
                }
                Some(Llama3Scaling {
                    factor: fields.positive("factor")?,
                    low_frequency_factor: low,
                    high_frequency_factor: high,
                    original_positions: fields.size("original_max_position_embeddings")? as f64,
                })
            }
            Some(other) => return Err(self.unsupported(format!("rope scaling `{other}`"))),
        };
        Ok(Rope { theta, scaling })
    }

    fn llama(&self) -> Result<DecoderConfig, LmError> {
        self.must_be("hidden_act", &["silu", "swish"])?;
        let (dim, heads) = (self.size("hidden_size")?, self.size("num_attention_heads")?);
        let attention_bias = self.flag_or("attention_bias", false)?;
        let vocabulary = self.size("vocab_size")?;
        Ok(DecoderConfig {
            family: Family::Llama,
            vocabulary,
            dim,
            layers: self.size("num_hidden_layers")?,
            heads,
            kv_heads: self.size_or("num_key_value_heads", heads)?,
            head_dim: self.size_or("head_dim", dim / heads)?,
            ffn: self.size("intermediate_size")?,
            positions: self.size_or("max_position_embeddings", 2048)?,
            eps: self.positive_or("rms_norm_eps", 1e-6)?,
            rope: Some(self.rope()?),
            tied: self.flag_or("tie_word_embeddings", false)?,
            attention_bias,
            output_bias: attention_bias,
            mlp_bias: self.flag_or("mlp_bias", false)?,
            bos: self.token("bos_token_id", vocabulary)?,
            eos: self.token("eos_token_id", vocabulary)?,
            pad: self.token("pad_token_id", vocabulary)?,
        })
    }

    fn qwen2(&self) -> Result<DecoderConfig, LmError> {
        if self.flag_or("use_sliding_window", false)? {
            return Err(self.unsupported("`use_sliding_window: true`"));
        }
        Ok(DecoderConfig {
            family: Family::Qwen2,
            attention_bias: true,
            output_bias: false,
            mlp_bias: false,
            ..self.llama()?
        })
    }

    fn gpt2(&self) -> Result<DecoderConfig, LmError> {
        self.must_be("activation_function", &["gelu_new", "gelu_pytorch_tanh"])?;
        for key in [
            "scale_attn_by_inverse_layer_idx",
            "reorder_and_upcast_attn",
            "add_cross_attention",
        ] {
            if self.flag_or(key, false)? {
                return Err(self.unsupported(format!("`{key}`")));
            }
        }
        if !self.flag_or("scale_attn_weights", true)? {
            return Err(self.unsupported("`scale_attn_weights: false`"));
        }
        let vocabulary = self.size("vocab_size")?;
        let (dim, heads) = (self.size("n_embd")?, self.size("n_head")?);
        Ok(DecoderConfig {
            family: Family::Gpt2,
            vocabulary,
            dim,
            layers: self.size("n_layer")?,
            heads,
            kv_heads: heads,
            head_dim: dim / heads,
            ffn: self.size_or("n_inner", 4 * dim)?,
            positions: self.size_or("n_positions", 1024)?,
            eps: self.positive_or("layer_norm_epsilon", 1e-5)?,
            rope: None,
            tied: self.flag_or("tie_word_embeddings", true)?,
            attention_bias: true,
            output_bias: true,
            mlp_bias: true,
            bos: self.token("bos_token_id", vocabulary)?,
            eos: self.token("eos_token_id", vocabulary)?,
            pad: self.token("pad_token_id", vocabulary)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(config: Value) -> String {
        DecoderConfig::from_json(&config, Path::new("config.json"))
            .unwrap_err()
            .to_string()
    }

    fn llama() -> Value {
        json!({"model_type": "llama", "vocab_size": 10, "hidden_size": 8, "num_hidden_layers": 1,
               "num_attention_heads": 2, "intermediate_size": 16})
    }

    #[test]
    fn what_is_written_reads_back() {
        let mut config = DecoderConfig::preset("small", 700).unwrap();
        config.bos = Some(1);
        config.pad = Some(3);
        let json = Value::Object(config.to_json());
        assert_eq!(
            DecoderConfig::from_json(&json, Path::new("c")).unwrap(),
            config
        );
        let mut stretched = config.clone();
        stretched.rope = Some(Rope {
            theta: 500_000.0,
            scaling: Some(Llama3Scaling {
                factor: 32.0,
                low_frequency_factor: 1.0,
                high_frequency_factor: 4.0,
                original_positions: 8192.0,
            }),
        });
        let json = Value::Object(stretched.to_json());
        assert_eq!(
            DecoderConfig::from_json(&json, Path::new("c")).unwrap(),
            stretched
        );
    }

    #[test]
    fn qwen2_has_its_biases_without_a_field_for_them() {
        let mut json = llama();
        json["model_type"] = json!("qwen2");
        let config = DecoderConfig::from_json(&json, Path::new("c")).unwrap();
        assert_eq!(config.family, Family::Qwen2);
        assert_eq!(
            (config.attention_bias, config.output_bias, config.mlp_bias),
            (true, false, false)
        );
        let config = DecoderConfig {
            pad: Some(0),
            ..config
        };
        let written = Value::Object(config.to_json());
        assert_eq!(written.get("attention_bias"), None);
        assert_eq!(
            DecoderConfig::from_json(&written, Path::new("c")).unwrap(),
            config
        );
    }

    #[test]
    fn what_is_not_implemented_is_refused() {
        assert_eq!(
            message(json!({"model_type": "mamba"})),
            "`config.json` asks for model_type `mamba`, which w2s does not implement"
        );
        let mut yarn = llama();
        yarn["rope_scaling"] = json!({"rope_type": "yarn", "factor": 2.0});
        assert_eq!(
            message(yarn),
            "`config.json` asks for rope scaling `yarn`, which w2s does not implement"
        );
        let mut sliding = llama();
        sliding["model_type"] = json!("qwen2");
        sliding["use_sliding_window"] = json!(true);
        assert_eq!(
            message(sliding),
            "`config.json` asks for `use_sliding_window: true`, which w2s does not implement"
        );
        let mut gelu = llama();
        gelu["hidden_act"] = json!("gelu");
        assert_eq!(
            message(gelu),
            "`config.json` asks for hidden_act `gelu`, which w2s does not implement"
        );
    }

    #[test]
    fn missing_and_wrong_fields_are_named() {
        let mut config = llama();
        config["hidden_size"] = json!("wide");
        assert_eq!(
            message(config),
            "`config.json` is not usable: `hidden_size` is \"wide\", not a positive integer"
        );
        assert_eq!(
            message(json!({"model_type": "llama"})),
            "`config.json` is not usable: it has no `hidden_size`"
        );
    }

    #[test]
    fn theta_is_found_where_transformers_5_writes_it() {
        let mut config = llama();
        config["rope_parameters"] = json!({"rope_type": "default", "rope_theta": 123.0});
        let read = DecoderConfig::from_json(&config, Path::new("c")).unwrap();
        assert_eq!(
            read.rope,
            Some(Rope {
                theta: 123.0,
                scaling: None
            })
        );
    }
}
