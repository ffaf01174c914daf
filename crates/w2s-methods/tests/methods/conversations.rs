//! Finetuning and preference tuning on a decoder of a few thousand parameters.

use crate::models::{WORDS, base, pairs};
use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{Gradients, Tensor, TensorData};
use std::path::Path;
use w2s_artifact::summary::{TrainingLogLine, TrainingSummary};
use w2s_artifact::{LogProb, Pair, ReferenceLogProbs};
use w2s_lm::encode_pairs;
use w2s_lm::{
    AnswerBatch, EncodingArgs, LanguageModel, LoraArgs, LoraSave, Template, TooLong,
    answer_log_probs, device,
};
use w2s_losses::{Preference, PreferenceLoss, Setting};
use w2s_methods::{Conversation, Prefer, Setup, open, prefer, reference, sft};
use w2s_train::{Batches, Decay, Objective, StepInfo, TrainArgs};

fn encoding() -> EncodingArgs {
    EncodingArgs {
        template: Template::Model,
        max_tokens: None,
        too_long: TooLong::Drop,
        separate: false,
    }
}

fn args(micro_batch: Option<usize>) -> TrainArgs {
    TrainArgs {
        epochs: 2,
        max_steps: None,
        lr: 3e-3,
        schedule: Decay::Constant,
        warmup: 0.0,
        weight_decay: 0.0,
        beta2: 0.999,
        clip: None,
        micro_batch,
        seed: 4,
        save_seconds: 100.0,
    }
}

fn lora(rank: usize) -> LoraArgs {
    LoraArgs {
        lora_rank: rank,
        lora_alpha: None,
        lora_targets: vec!["all".into()],
        lora_save: LoraSave::Merged,
    }
}

/// A base model, what it makes of pairs, and a place for results.
struct Bench {
    base: tempfile::TempDir,
    pairs: Vec<Pair>,
    reference: Vec<ReferenceLogProbs>,
}

struct Run<T> {
    folder: tempfile::TempDir,
    done: T,
}

impl<T> Run<T> {
    fn log(&self) -> Vec<TrainingLogLine> {
        let text = std::fs::read_to_string(self.folder.path().join("metrics.jsonl")).unwrap();
        let line = |line| serde_json::from_str(line).unwrap();
        text.lines().map(line).collect()
    }

    fn weights(&self) -> Vec<u8> {
        std::fs::read(self.folder.path().join("model.safetensors")).unwrap()
    }
}

fn referenced(base: &Path, pairs: &[Pair]) -> Vec<ReferenceLogProbs> {
    let device = device("flex").unwrap();
    reference(base, pairs, &encoding(), true, &device, &mut |_, _| true)
        .unwrap()
        .unwrap()
        .rows
}

fn model(folder: &Path) -> LanguageModel {
    open(folder, &encoding(), &device("flex").unwrap())
        .unwrap()
        .0
}

/// Calls `method` with a set-up from `base`, resumed until it is done if `stops` says so.
fn with_setup<T>(
    base: &Path,
    train: &TrainArgs,
    lora: &LoraArgs,
    stops: bool,
    mut method: impl FnMut(&Setup, w2s_train::Watch) -> anyhow::Result<T>,
) -> anyhow::Result<Run<T>> {
    let (folder, state) = (tempfile::tempdir()?, tempfile::tempdir()?);
    let setup = Setup {
        base,
        encoding: &encoding(),
        batch: 8,
        in_order: false,
        train,
        lora,
        device: &device("flex")?,
        dir: folder.path(),
        state_dir: state.path(),
    };
    loop {
        match method(&setup, &mut |_, _| !stops) {
            Err(error) if stops && error.to_string().contains("the state is saved") => {}
            done => {
                return Ok(Run {
                    done: done?,
                    folder,
                });
            }
        }
    }
}

impl Bench {
    fn new(pairs: Vec<Pair>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        base(folder.path(), &WORDS, 1);
        Self {
            reference: referenced(folder.path(), &pairs),
            base: folder,
            pairs,
        }
    }

    fn prefer(
        &self,
        what: Preference,
        train: &TrainArgs,
        stops: bool,
    ) -> anyhow::Result<Run<TrainingSummary>> {
        with_setup(self.base.path(), train, &lora(0), stops, |setup, watch| {
            let reference = Some(&self.reference[..]);
            prefer(setup, &self.pairs, reference, what, None, watch)
        })
    }

    fn dpo(&self, train: &TrainArgs, stops: bool) -> anyhow::Result<Run<TrainingSummary>> {
        self.prefer(named("sigmoid"), train, stops)
    }

    fn imitate(&self, train: &TrainArgs) -> Run<TrainingSummary> {
        let rows: Vec<Conversation> = self.pairs.iter().map(chosen).collect();
        with_setup(self.base.path(), train, &lora(0), false, |setup, watch| {
            sft(setup, &rows, watch)
        })
        .unwrap()
    }

    /// An objective on all pairs, outside of the loop.
    fn objective(
        &self,
        what: Preference,
        pairs: &[Pair],
        reference: Vec<ReferenceLogProbs>,
    ) -> Prefer {
        let (_, encoder) = open(self.base.path(), &encoding(), &device("flex").unwrap()).unwrap();
        let pairs = encode_pairs(&encoder, pairs, false).unwrap().pairs;
        Prefer::new(pairs, Some(reference), what)
    }
}

/// The loss of a name with its default settings.
fn named(name: &str) -> Preference {
    Preference::from(name.parse::<PreferenceLoss>().unwrap())
}

/// Every loss with settings that it can run with.
fn losses() -> impl Iterator<Item = Preference> {
    PreferenceLoss::ALL.into_iter().map(|loss| {
        let mut what = Preference::from(loss);
        if loss.name() == "robust" {
            what.set(Setting::LabelSmoothing, 0.1).unwrap();
        }
        what
    })
}

fn chosen(pair: &Pair) -> Conversation {
    Conversation {
        prompt: pair.prompt,
        messages: pair.messages.clone(),
        answer: pair.chosen.text.clone(),
        finished: pair.chosen.finished,
    }
}

fn close(a: f64, b: f64, what: &str) {
    assert!(
        (a - b).abs() <= 2e-4 * a.abs().max(1.0),
        "{what}: {a} and {b}"
    );
}

#[test]
fn every_loss_begins_where_it_must_and_small_passes_give_its_large_batch() {
    let bench = Bench::new(pairs(20));
    for what in losses() {
        let loss = what.loss;
        let run = |train| bench.prefer(what, &train, false).unwrap();
        let (whole, parts) = (run(args(None)).log(), run(args(Some(3))).log());
        if let Some(known) = what.step_zero_loss() {
            close(whole[0].loss, known, loss.name());
            // With an NLL part, that comes on top, and the first loss is still looked at.
            let mixed = Preference {
                nll_weight: 0.3,
                ..what
            };
            let first = &bench.prefer(mixed, &args(None), false).unwrap().log()[0];
            close(first.loss, known + 0.3 * first.more["nll"], loss.name());
            assert!(first.more["nll"] > 1.0);
        }
        // Two epochs of 8, 8 and 4 pairs.
        assert_eq!(whole.len(), 6);
        for (whole, parts) in whole.iter().zip(&parts) {
            close(whole.loss, parts.loss, loss.name());
            close(whole.grad_norm, parts.grad_norm, loss.name());
            for (name, value) in &whole.more {
                close(*value, parts.more[name], name);
            }
        }
    }
}

#[test]
fn dpo_tells_the_answers_apart_and_says_so() {
    let bench = Bench::new(pairs(24));
    let train = TrainArgs {
        epochs: 20,
        ..args(None)
    };
    let run = bench.dpo(&train, false).unwrap();
    let log = run.log();
    let (first, last) = (&log[0], &log[log.len() - 1]);
    close(first.loss, 2f64.ln(), "the first loss");
    assert_eq!(first.more["rewards_accuracy"], 0.0, "ties lose");
    assert!(first.more["rewards_margin"].abs() < 1e-4);
    assert!(first.more["kl"].abs() < 1e-6);
    assert!(last.more["rewards_margin"] > 0.5, "{:?}", last.more);
    assert_eq!(last.more["rewards_accuracy"], 1.0);
    assert!(last.more["kl"] > 1e-3);
    // What is written is what was trained: the stored reference and the new model differ by the margin.
    let now = referenced(run.folder.path(), &bench.pairs);
    let margin = |r: &ReferenceLogProbs| r.chosen.sum - r.rejected.sum;
    for (now, before) in now.iter().zip(&bench.reference) {
        assert!(margin(now) > margin(before), "pair {}", now.id);
    }
}

#[test]
fn an_adapter_starts_from_the_base_and_moves_away_from_it() {
    let bench = Bench::new(pairs(16));
    let train = TrainArgs {
        epochs: 10,
        ..args(Some(4))
    };
    let run = with_setup(
        bench.base.path(),
        &train,
        &lora(2),
        false,
        |setup, watch| {
            let reference = Some(&bench.reference[..]);
            prefer(
                setup,
                &bench.pairs,
                reference,
                named("delta-preference"),
                None,
                watch,
            )
        },
    )
    .unwrap();
    let log = run.log();
    close(log[0].loss, 2f64.ln(), "the first loss");
    assert!(log[log.len() - 1].more["rewards_margin"] > 0.1);
    // The adapter is merged: the folder is that of an ordinary model.
    let margin = |r: &ReferenceLogProbs| r.chosen.sum - r.rejected.sum;
    let sum = |rows: &[ReferenceLogProbs]| rows.iter().map(margin).sum::<f32>();
    assert!(sum(&referenced(run.folder.path(), &bench.pairs)) > sum(&bench.reference) + 1.0);
}

#[test]
fn swapping_the_answers_flips_the_margins() {
    let bench = Bench::new(pairs(8));
    let swapped: Vec<Pair> = bench
        .pairs
        .iter()
        .cloned()
        .map(|mut pair| {
            std::mem::swap(&mut pair.chosen, &mut pair.rejected);
            pair
        })
        .collect();
    let swapped_reference = referenced(bench.base.path(), &swapped);
    let other = tempfile::tempdir().unwrap();
    base(other.path(), &WORDS, 2);
    let policy = model(other.path());
    let rows: Vec<usize> = (0..8).collect();
    let info = StepInfo {
        step: 1,
        steps: 2,
        batch: &rows,
    };
    let metric = |mut objective: Prefer, name| {
        let pass = objective.forward(&policy, &rows, info).unwrap();
        let loss = objective.loss(pass, &rows, info).unwrap();
        let value = loss.metrics.into_iter().find(|(n, _)| *n == name);
        value.unwrap().1
    };
    let objective =
        |pairs, reference: &[_]| bench.objective(named("sigmoid"), pairs, reference.to_vec());
    let forth = |name| metric(objective(&bench.pairs, &bench.reference), name);
    let back = |name| metric(objective(&swapped, &swapped_reference), name);
    assert!(forth("rewards_margin").abs() > 1e-3);
    close(forth("rewards_margin"), -back("rewards_margin"), "margin");
    close(forth("rewards_chosen"), back("rewards_rejected"), "reward");
    close(
        forth("rewards_accuracy"),
        1.0 - back("rewards_accuracy"),
        "accuracy",
    );
    // By hand, from what both models make of the pairs.
    let now = referenced(other.path(), &bench.pairs);
    let mean = |of: &dyn Fn(&ReferenceLogProbs, &ReferenceLogProbs) -> f64| {
        let rows = now.iter().zip(&bench.reference);
        rows.map(|(now, before)| of(now, before)).sum::<f64>() / 8.0
    };
    let h = |now: LogProb, before: LogProb| f64::from(now.sum - before.sum);
    let per_token = |now: LogProb, before: LogProb| h(now, before) / f64::from(now.tokens);
    let k3 = |d: f64| (-d).exp() - 1.0 + d;
    let by_hand = |name, value: f64| {
        let logged = forth(name);
        assert!(
            (logged - value).abs() < 1e-2 * value.abs(),
            "{name}: {logged} and {value}"
        );
    };
    let chosen = mean(&|now, before| 0.1 * h(now.chosen, before.chosen));
    by_hand("rewards_chosen", chosen);
    let moved = mean(&|now, before| per_token(now.chosen, before.chosen));
    by_hand("displacement_chosen", moved);
    let kl = mean(&|now, before| {
        let sides = [(now.chosen, before.chosen), (now.rejected, before.rejected)];
        sides
            .map(|(now, before)| k3(per_token(now, before)))
            .iter()
            .sum::<f64>()
            / 2.0
    });
    by_hand("kl", kl);
    by_hand("log_prob_rejected", mean(&|now, _| now.rejected.sum.into()));
}

#[test]
fn stopped_at_every_step_it_ends_in_the_same_bytes() {
    let bench = Bench::new(pairs(20));
    let whole = bench.dpo(&args(None), false).unwrap();
    let resumed = bench.dpo(&args(None), true).unwrap();
    assert_eq!(whole.weights(), resumed.weights());
    let lines = |run: &Run<TrainingSummary>| {
        let log = run.log().into_iter();
        log.map(|m| (m.step, m.loss, m.more)).collect::<Vec<_>>()
    };
    assert_eq!(lines(&whole), lines(&resumed));
}

#[test]
fn finetuning_lowers_the_loss_of_what_it_imitates() {
    let bench = Bench::new(pairs(24));
    let train = TrainArgs {
        epochs: 10,
        ..args(None)
    };
    let run = bench.imitate(&train);
    let log = run.log();
    assert!(log[log.len() - 1].loss < 0.7 * log[0].loss);
    let now = referenced(run.folder.path(), &bench.pairs);
    for (now, before) in now.iter().zip(&bench.reference) {
        assert!(now.chosen.sum > before.chosen.sum, "pair {}", now.id);
    }
    let parts = bench.imitate(&TrainArgs {
        micro_batch: Some(3),
        ..train
    });
    for (whole, part) in log.iter().zip(parts.log()).take(6) {
        close(whole.loss, part.loss, "loss");
        close(whole.grad_norm, part.grad_norm, "gradient");
        close(
            whole.more["tokens_answer"],
            part.more["tokens_answer"],
            "tokens",
        );
    }
}

#[test]
fn what_pairs_share_is_computed_once_and_changes_nothing() {
    let bench = Bench::new(pairs(6));
    let (model, encoder) = open(bench.base.path(), &encoding(), &device("flex").unwrap()).unwrap();
    let pairs = encode_pairs(&encoder, &bench.pairs, true).unwrap().pairs;
    let alone: Vec<[_; 1]> = pairs
        .iter()
        .flat_map(|pair| pair.sides.clone().map(|side| [side]))
        .collect();
    let together: Vec<_> = pairs.iter().map(|pair| pair.sides.clone()).collect();
    let alone = answer_log_probs(&model, &alone, &mut |_| true)
        .unwrap()
        .unwrap()
        .concat();
    let together = answer_log_probs(&model, &together, &mut |_| true)
        .unwrap()
        .unwrap()
        .concat();
    for (alone, together) in alone.iter().zip(&together) {
        assert_eq!(alone.tokens, together.tokens);
        close(alone.sum.into(), together.sum.into(), "log-probability");
    }
    // Five of six answers end with the token that ends them, and the prompt is not among their tokens.
    let eos = WORDS.len() as u32;
    for (pair, text) in pairs.iter().zip(&bench.pairs) {
        let [chosen, rejected] = &pair.sides;
        let words = |text: &str| text.split_whitespace().count();
        assert_eq!(chosen.answer.len(), words(&text.chosen.text) + 1);
        let ending = usize::from(text.rejected.finished);
        assert_eq!(rejected.answer.len(), words(&text.rejected.text) + ending);
        assert_eq!(rejected.ids.last() == Some(&eos), text.rejected.finished);
    }
}

#[test]
fn rows_that_cannot_be_learnt_from_are_counted() {
    let mut rows = pairs(5);
    rows[0].chosen.text = "film ".repeat(40);
    rows[1].messages[0].content = "which film ".repeat(20);
    rows[2].rejected.text = rows[2].chosen.text.clone();
    let bench = Bench::new(rows);
    assert_eq!(
        bench.reference.iter().map(|r| r.id).collect::<Vec<_>>(),
        [103, 104]
    );
    let done = bench.dpo(&args(None), false).unwrap().done;
    assert_eq!((done.rows, done.truncated), (2, 0));
    let dropped = [
        ("pairs_dropped", 2),
        ("pairs_identical", 1),
        ("chosen_no_room", 1),
        ("chosen_too_long", 1),
        ("rejected_no_room", 1),
    ];
    let dropped = dropped.map(|(reason, count)| (reason.to_owned(), count));
    assert_eq!(done.dropped, dropped.into());
    // Of `film is very fine and long </s>` and `plot is very good </s>`.
    assert_eq!(done.tokens_chosen, Some(6.0));
}

fn message<T>(result: anyhow::Result<T>) -> String {
    match result {
        Ok(_) => panic!("it is refused"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn a_reference_that_is_not_the_bases_is_refused() {
    let mut bench = Bench::new(pairs(8));
    let own = bench.reference.clone();
    let other = tempfile::tempdir().unwrap();
    base(other.path(), &WORDS, 2);
    bench.reference = referenced(other.path(), &bench.pairs);
    let refused = message(bench.dpo(&args(None), false).map(|run| run.done));
    assert!(
        refused.starts_with("the base gives an answer of pair 10"),
        "{refused}"
    );

    // Where the rows are not looked at, the first loss still is.
    let rows: Vec<usize> = (0..8).collect();
    let info = StepInfo {
        step: 0,
        steps: 1,
        batch: &rows,
    };
    for nll_weight in [0.0, 0.5] {
        let what = Preference {
            nll_weight,
            ..named("sigmoid")
        };
        let mut objective = bench.objective(what, &bench.pairs, bench.reference.clone());
        let pass = objective.forward(&model(bench.base.path()), &rows, info);
        let refused = objective.loss(pass.unwrap(), &rows, info);
        let refused = refused.map(|_| ()).unwrap_err().to_string();
        assert!(refused.contains("not 0.6931: the reference was not made by this base"));
    }

    bench.reference = own.clone();
    bench.reference.pop();
    assert_eq!(
        message(bench.dpo(&args(None), false).map(|run| run.done)),
        "the reference of 7 rows has none for 1 of 8 pairs, such as pair 107\n\
         hint: make the reference from the same pairs with the same --max-tokens and --too-long"
    );

    bench.reference = own;
    bench.reference[2].chosen.tokens += 1;
    assert!(
        message(bench.dpo(&args(None), false).map(|run| run.done)).starts_with(
            "the chosen answer of pair 102 has 5 tokens, but the reference counted 6\n"
        )
    );
}

#[test]
fn kto_wants_answers_to_other_prompts_and_more_than_one() {
    let mut bench = Bench::new(pairs(9));
    let run = |bench: &Bench| {
        let run = bench.prefer(named("kto"), &args(None), false);
        message(run.map(|run| run.done))
    };
    assert!(run(&bench).starts_with(
        "step 2 has 1 answers to other prompts that fit in 1 pairs; the loss `kto` estimates KL from at least 2\n"
    ));
    // What the base makes of those answers is computed again as well.
    bench.reference.pop();
    bench.pairs.pop();
    for row in &mut bench.reference {
        let wrong = row.mismatched.as_mut().unwrap();
        wrong.sum -= 1.0;
    }
    assert!(run(&bench).starts_with("the base gives an answer of pair 10"));
    for row in &mut bench.reference {
        row.mismatched = None;
    }
    assert!(run(&bench).starts_with(
        "the reference has no answers to other prompts, which the loss `kto` compares with\n"
    ));
}

#[test]
fn losses_that_sort_the_batch_want_more_than_one_pair() {
    let bench = Bench::new(pairs(9));
    for loss in ["aot", "aot-unpaired"] {
        let run = bench.prefer(named(loss), &args(None), false);
        assert!(message(run.map(|run| run.done)).starts_with(&format!(
            "step 2 has a single pair; the loss `{loss}` sorts the pairs of a batch\n"
        )));
    }
}

#[test]
fn the_loss_of_finetuning_by_hand_is_the_mean_over_all_tokens_of_the_batch() {
    let bench = Bench::new(pairs(24));
    let train = args(None);
    let first = bench.imitate(&train).log()[0].loss;
    let plan = Batches::by_examples(24, 8, train.epochs, train.seed);
    let batch: Vec<LogProb> = plan
        .batch(0)
        .iter()
        .map(|&row| bench.reference[row].chosen)
        .collect();
    let sum = |of: fn(&LogProb) -> f64| batch.iter().map(of).sum::<f64>();
    let by_hand = -sum(|p| p.sum.into()) / sum(|p| p.tokens.into());
    assert!((first - by_hand).abs() < 1e-5, "{first} and {by_hand}");
    // Not the mean over rows of each row's mean, which counts short answers more.
    let of_rows = -sum(|p| f64::from(p.sum) / f64::from(p.tokens)) / 8.0;
    assert!((first - of_rows).abs() > 1e-4, "{first} and {of_rows}");
}

/// The gradients of all parameters, one after the other.
fn gradients(model: &LanguageModel, grads: &Gradients) -> Vec<Vec<f32>> {
    struct Collect<'a>(&'a Gradients, Vec<Vec<f32>>);
    impl ModuleVisitor for Collect<'_> {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            let gradient = param
                .base()
                .grad(self.0)
                .expect("every parameter has a part");
            self.1.push(gradient.into_data().try_to_vec().unwrap());
        }
    }
    let mut collect = Collect(grads, Vec::new());
    model.visit(&mut collect);
    collect.1
}

#[test]
fn gradients_reach_what_answers_share_from_all_of_them() {
    let bench = Bench::new(pairs(6));
    let (model, encoder) = open(bench.base.path(), &encoding(), &device("flex").unwrap()).unwrap();
    let model = model.train();
    let pairs = encode_pairs(&encoder, &bench.pairs, false).unwrap().pairs;
    let shared = AnswerBatch::pack(pairs.iter().map(|pair| &pair.sides));
    let alone = AnswerBatch::pack(
        pairs
            .iter()
            .flat_map(|pair| &pair.sides)
            .map(std::slice::from_ref),
    );
    assert!(
        shared.tokens() < alone.tokens(),
        "prompts are computed once"
    );
    let gradients = |batch: &AnswerBatch| {
        // Weights of both signs and all sizes, so that no two answers cancel.
        let weights: Vec<f32> = (0..12).map(|i| (i as f32 * 1.7).sin()).collect();
        let sums = model.answer_log_probs(batch);
        let weights = Tensor::from_data(TensorData::new(weights, [12]), &sums.device());
        gradients(&model, &(sums * weights).sum().backward())
    };
    let (shared, alone) = (gradients(&shared), gradients(&alone));
    assert_eq!(shared.len(), alone.len());
    for (i, (shared, alone)) in shared.iter().zip(&alone).enumerate() {
        let largest = alone.iter().fold(0.0f32, |a, b| a.max(b.abs()));
        assert!(largest > 0.0, "parameter {i} has a gradient");
        for (shared, alone) in shared.iter().zip(alone) {
            let off = (shared - alone).abs();
            assert!(off < 1e-3 * largest, "parameter {i}: {shared} and {alone}");
        }
    }
}
