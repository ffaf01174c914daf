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

    /// Reads what `config.json` says.
    pub fn from_json(config: &Value, path: &Path) -> Result<Self, LmError> {
        let fields = Fields { config, path };
        match fields.text("model_type")? {
            "llama" => fields.llama(),
            "gpt2" => fields.gpt2(),
            "qwen2" => fields.qwen2(),
            other => Err(fields.unsupported(format!("model_type `{other}`"))),
        }
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
        self.present(key)
            .and_then(Value::as_u64)
            .filter(|&n| n > 0)
            .map(|n| n as usize)
            .ok_or_else(|| self.wrong(key, "a positive integer"))
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

    fn flag_or(&self, key: &str, default: bool) -> Result<bool, LmError> {
        match self.present(key) {
            None => Ok(default),
            Some(v) => v.as_bool().ok_or_else(|| self.wrong(key, "true or false")),
        }
    }

    /// A token id; of a list of ids the first.
    fn token(&self, key: &str) -> Option<u32> {
        let value = self.present(key)?;
        let value = value.get(0).unwrap_or(value);
        value.as_u64().map(|id| id as u32)
    }

    pub(crate) fn must_be(&self, key: &str, allowed: &[&str]) -> Result<(), LmError> {
        match self.present(key).and_then(Value::as_str) {
            Some(value) if !allowed.contains(&value) => {
                Err(self.unsupported(format!("{key} `{value}`")))
            }
            _ => Ok(()),
        }
    }

    fn rope(&self) -> Result<Rope, LmError> {
        // transformers 5 keeps theta and scaling together in `rope_parameters`.
        let nested = self
            .present("rope_parameters")
            .or(self.present("rope_scaling"));
        let theta = match nested
            .and_then(|n| n.get("rope_theta"))
            .and_then(Value::as_f64)
        {
            Some(theta) => theta,
            None => self.number_or("rope_theta", 10_000.0)?,
        };
        let kind = nested
            .and_then(|n| n.get("rope_type").or(n.get("type")))
            .and_then(Value::as_str);
        let scaling = match kind {
            None | Some("default") => None,
            Some("llama3") => {
                let fields = Fields {
                    config: nested.expect("the kind was read from it"),
                    path: self.path,
                };
                let number = |key| {
                    fields
                        .present(key)
                        .and_then(Value::as_f64)
                        .ok_or_else(|| fields.wrong(key, "a number"))
                };
                Some(Llama3Scaling {
                    factor: number("factor")?,
                    low_frequency_factor: number("low_freq_factor")?,
                    high_frequency_factor: number("high_freq_factor")?,
                    original_positions: number("original_max_position_embeddings")?,
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
        let config = DecoderConfig {
            family: Family::Llama,
            vocabulary: self.size("vocab_size")?,
            dim,
            layers: self.size("num_hidden_layers")?,
            heads,
            kv_heads: self.size_or("num_key_value_heads", heads)?,
            head_dim: self.size_or("head_dim", dim / heads)?,
            ffn: self.size("intermediate_size")?,
            positions: self.size_or("max_position_embeddings", 2048)?,
            eps: self.number_or("rms_norm_eps", 1e-6)?,
            rope: Some(self.rope()?),
            tied: self.flag_or("tie_word_embeddings", false)?,
            attention_bias,
            output_bias: attention_bias,
            mlp_bias: self.flag_or("mlp_bias", false)?,
            bos: self.token("bos_token_id"),
            eos: self.token("eos_token_id"),
            pad: self.token("pad_token_id"),
        };
        if !config.heads.is_multiple_of(config.kv_heads) || !config.head_dim.is_multiple_of(2) {
            return Err(LmError::malformed(
                self.path,
                format!(
                    "{} heads of {} values do not fit {} key/value heads",
                    config.heads, config.head_dim, config.kv_heads
                ),
            ));
        }
        Ok(config)
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
        let (dim, heads) = (self.size("n_embd")?, self.size("n_head")?);
        Ok(DecoderConfig {
            family: Family::Gpt2,
            vocabulary: self.size("vocab_size")?,
            dim,
            layers: self.size("n_layer")?,
            heads,
            kv_heads: heads,
            head_dim: dim / heads,
            ffn: self.size_or("n_inner", 4 * dim)?,
            positions: self.size_or("n_positions", 1024)?,
            eps: self.number_or("layer_norm_epsilon", 1e-5)?,
            rope: None,
            tied: self.flag_or("tie_word_embeddings", true)?,
            attention_bias: true,
            output_bias: true,
            mlp_bias: true,
            bos: self.token("bos_token_id"),
            eos: self.token("eos_token_id"),
            pad: self.token("pad_token_id"),
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
