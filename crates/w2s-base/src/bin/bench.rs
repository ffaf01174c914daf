//! Tokens per second of a forward pass and of a full training step, for `cargo xtask bench`.
//!
//! The same work as PyTorch's side of the comparison: a Llama-style decoder with random weights; forward is all logits
//! without gradients; a training step is forward, mean next-token cross entropy over all positions, backward, AdamW.

use anyhow::{Context, Result};
use burn::tensor::{Device, Tensor};
use clap::Parser;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use w2s_lm::generate::{self, Request};
use w2s_lm::{Batch, DecoderConfig, LanguageModel, ModelFolder, Tokenizer};
use w2s_train::{
    Batches, Decay, Loss, Objective, Schedule, StepInfo, TrainConfig, TrainError, fit,
};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Measures one model shape; prints one JSON line.
#[derive(Parser)]
struct Args {
    /// Blocks.
    #[arg(long, default_value_t = 6)]
    layers: usize,
    /// Width.
    #[arg(long, default_value_t = 256)]
    dim: usize,
    /// Query heads.
    #[arg(long, default_value_t = 4)]
    heads: usize,
    /// Key and value heads [default: as many as --heads]
    #[arg(long)]
    kv_heads: Option<usize>,
    /// Feed-forward width.
    #[arg(long, default_value_t = 688)]
    ffn: usize,
    /// Vocabulary.
    #[arg(long, default_value_t = 4096)]
    vocab: usize,
    /// Sequences.
    #[arg(long, default_value_t = 16)]
    batch: usize,
    /// Predicted tokens a sequence.
    #[arg(long, default_value_t = 128)]
    seq: usize,
    /// The output projection is the embedding.
    #[arg(long)]
    tied: bool,
    /// Threads.
    #[arg(long, default_value_t = 2)]
    threads: usize,
    /// Timed rounds.
    #[arg(long, default_value_t = 5)]
    repeat: usize,
    /// Device.
    #[arg(long, default_value = "flex")]
    device: String,
    /// `forward`, `train`, both, or `generate` with --model and --prompts
    #[arg(long, default_value = "both")]
    work: String,
    /// Model folder to generate with
    #[arg(long, value_name = "FOLDER", required_if_eq("work", "generate"))]
    model: Option<PathBuf>,
    /// JSON file with a list `prompts`
    #[arg(long, value_name = "FILE", required_if_eq("work", "generate"))]
    prompts: Option<PathBuf>,
    /// New tokens of each prompt, no early stop
    #[arg(long, default_value_t = 64)]
    new_tokens: usize,
}

struct Fixed {
    batch: Batch,
}

impl Objective<LanguageModel> for Fixed {
    type Pass = Loss;

    fn forward(
        &mut self,
        model: &LanguageModel,
        _: &[usize],
        _: StepInfo,
    ) -> Result<Loss, TrainError> {
        Ok(Loss {
            value: model.next_token_loss(&self.batch, 1.0),
            tokens: self.batch.tokens(),
            metrics: Vec::new(),
        })
    }

    fn loss(&mut self, pass: Loss, _: &[usize], _: StepInfo) -> Result<Loss, TrainError> {
        Ok(pass)
    }
}

fn median(mut seconds: Vec<f64>) -> (f64, f64) {
    seconds.sort_by(f64::total_cmp);
    (seconds[seconds.len() / 2], seconds[0])
}

fn main() -> Result<()> {
    let args = Args::parse();
    rayon::ThreadPoolBuilder::new()
        .num_threads(args.threads)
        .build_global()
        .context("cannot start the threads")?;
    // On a thread of the pool, as the stages run.
    rayon::scope(|_| measure(&args))
}

fn measure(args: &Args) -> Result<()> {
    if let ("generate", Some(model), Some(prompts)) = (&*args.work, &args.model, &args.prompts) {
        println!("{}", generation(args, model, prompts)?);
        return Ok(());
    }
    let mut config = DecoderConfig::scratch(
        args.vocab,
        args.layers,
        args.dim,
        args.heads,
        args.ffn,
        args.seq + 1,
    );
    config.kv_heads = args.kv_heads.unwrap_or(args.heads);
    config.tied = args.tied;
    let device = w2s_lm::device(&args.device)?;
    let model = LanguageModel::init(&config, 0, &device);
    let sequences: Vec<Vec<u32>> = (0..args.batch)
        .map(|b| {
            (0..=args.seq)
                .map(|t| ((b * 7919 + t * 104_729) % args.vocab) as u32)
                .collect()
        })
        .collect();
    // One token more than is predicted, so that every one of `seq` positions has a target.
    let inputs = Batch::pack(sequences.iter().map(|s| &s[..args.seq]));
    let batch = Batch::pack(sequences.iter().map(Vec::as_slice));
    let tokens = (args.batch * args.seq) as f64;

    let mut result = json!({
        "layers": args.layers, "dim": args.dim, "heads": args.heads, "ffn": args.ffn, "vocab": args.vocab,
        "batch": args.batch, "seq": args.seq, "threads": args.threads,
    });
    // Multiply-adds of one token's products: all weights but the embedding look-up, and attention's two small products.
    let width = config.heads * config.head_dim + 2 * config.kv_heads * config.head_dim;
    let block = config.dim * (width + config.heads * config.head_dim + 3 * config.ffn);
    let token_flops = 2.0 * (config.layers * block + config.vocabulary * config.dim) as f64;
    result["product_gflops"] = json!(product_gflops(&device));
    if args.work != "train" {
        let rows: Vec<usize> = (0..inputs.tokens()).collect();
        let forward = || {
            let start = Instant::now();
            let logits = model.logits(&inputs, &rows);
            let sum: f32 = logits.sum().into_scalar();
            assert!(sum.is_finite());
            start.elapsed().as_secs_f64()
        };
        forward();
        let (mid, best) = median((0..args.repeat).map(|_| forward()).collect());
        result["forward_gflops"] = json!(token_flops * tokens / mid / 1e9);
        result["forward_tokens_per_s"] = json!(tokens / mid);
        result["forward_tokens_per_s_best"] = json!(tokens / best);
    }
    if args.work != "forward" {
        let folder = std::env::temp_dir().join(format!("w2s-bench-{}", std::process::id()));
        std::fs::create_dir_all(&folder)?;
        let train = TrainConfig {
            schedule: Schedule {
                peak: 1e-4,
                warmup_fraction: 0.0,
                decay: Decay::Constant,
            },
            beta1: 0.9,
            beta2: 0.999,
            eps: 1e-8,
            weight_decay: 0.01,
            clip: None,
            micro_batch: None,
            early_stopping: None,
            state_dir: folder.clone(),
            metrics_file: folder.join("metrics.jsonl"),
            save_every: Duration::MAX,
        };
        let plan = Batches::by_examples(1, 1, args.repeat + 1, 0);
        let mut last = Instant::now();
        let mut seconds = Vec::new();
        let fitted = fit(model, &mut Fixed { batch }, &plan, &train, &mut |_, _| {
            seconds.push(last.elapsed().as_secs_f64());
            last = Instant::now();
            true
        });
        std::fs::remove_dir_all(&folder)?;
        fitted?;
        let (mid, best) = median(seconds.split_off(1));
        result["train_gflops"] = json!(3.0 * token_flops * tokens / mid / 1e9);
        result["train_tokens_per_s"] = json!(tokens / mid);
        result["train_tokens_per_s_best"] = json!(tokens / best);
        result["train_ms_per_step"] = json!(mid * 1e3);
    }
    result["peak_rss_mib"] = json!(w2s_stage::peak_memory_mib());
    println!("{result}");
    Ok(())
}

/// Greedy generation of all prompts together.
fn generation(args: &Args, model: &Path, prompts: &Path) -> Result<Value> {
    let device = w2s_lm::device(&args.device)?;
    let folder = ModelFolder::open(model)?;
    let tokenizer = Tokenizer::load(folder.tokenizer_folder())?;
    let model = folder.language_model(&device)?;
    let file = std::fs::File::open(prompts)
        .with_context(|| format!("cannot read {}", prompts.display()))?;
    let mut file: Value = serde_json::from_reader(file)?;
    let texts: Vec<String> = serde_json::from_value(file["prompts"].take())
        .with_context(|| format!("{} has no list of prompts", prompts.display()))?;
    let requests = tokenizer
        .encode_all(texts)?
        .into_iter()
        .map(|prompt| Request { prompt, samples: 1 })
        .collect::<Vec<_>>();
    let settings = generate::Settings::greedy(args.new_tokens);
    let mut ids = Vec::new();
    let mut seconds = Vec::new();
    for _ in 0..args.repeat {
        let start = Instant::now();
        let answers = model.generate(&requests, &settings, None, &mut |_, _| true)?;
        seconds.push(start.elapsed().as_secs_f64());
        ids = answers.into_iter().map(|mut a| a.remove(0).ids).collect();
    }
    let tokens = (requests.len() * args.new_tokens) as f64;
    let (mid, best) = median(seconds);
    Ok(json!({
        "prompts": requests.len(), "new_tokens": args.new_tokens, "threads": args.threads,
        "tokens_per_s": tokens / mid, "tokens_per_s_best": tokens / best,
        "peak_rss_mib": w2s_stage::peak_memory_mib(), "new_token_ids": ids,
    }))
}

/// What this machine does in one square product of width 1024, the best of ten.
fn product_gflops(device: &Device) -> f64 {
    let side = 1024;
    let matrix = Tensor::<2>::ones([side, side], device);
    let best = (0..10)
        .map(|_| {
            let start = Instant::now();
            let product = w2s_ops::linear(matrix.clone(), matrix.clone());
            let corner: f32 = product.slice([0..1, 0..1]).into_scalar();
            assert_eq!(corner, side as f32);
            start.elapsed().as_secs_f64()
        })
        .fold(f64::INFINITY, f64::min);
    2.0 * (side as f64).powi(3) / best / 1e9
}
