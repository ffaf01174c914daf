//! Text generation: a key/value cache, many prompts at once.
//!
//! A wave of rows, one per sample, is generated together. Each prompt is read once and its keys and values are put into
//! the cache rows of all its samples; from then on every step reads the weights once for all rows that still run. The
//! cache is allocated once a wave, a place for every token a row may come to have, and is never copied or moved: on the
//! CPU a step writes one row a sequence in place. A row that ends takes no further part.
//!
//! What a row says does not depend on the rows beside it, but for rounding: products of at most 64 rows have a kernel in which
//! no row depends on the others, and larger ones another kernel, which adds up in another order. The tests find the same ids
//! in a batch and alone, and log-probabilities that agree to 1e-5; where two tokens are that close, rounding decides. For
//! the same requests it is the same bytes again, whatever the number of threads: draws have a generator a row.
//!
//! ```
//! use w2s_lm::{DecoderConfig, LanguageModel, device, generate};
//!
//! let config = DecoderConfig::preset("nano", 100).expect("nano is a preset");
//! let model = LanguageModel::init(&config, 0, &device("flex")?);
//! let requests = [generate::Request { prompt: vec![1, 2, 3], samples: 2 }];
//! let settings = generate::Settings {
//!     sampling: Some(generate::Sampling { temperature: 0.8, top_k: Some(20), top_p: None }),
//!     ..generate::Settings::greedy(8)
//! };
//! let answers = model.generate(&requests, &settings, None, &mut |_, _| true)?;
//! assert_eq!(answers[0].len(), 2);
//! assert_eq!(answers[0][0].ids.len(), 8);
//! # Ok::<(), w2s_lm::LmError>(())
//! ```

mod cache;
mod draw;

use crate::{Batch, LanguageModel, LmError, Tokenizer, argmax, by_token_budget};
use burn::module::Module;
use burn::tensor::{Tensor, TensorData};
use cache::Cache;
use draw::sample;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use std::ops::Range;
use w2s_ops::AttentionSpec;

/// Rows that are generated together at most.
const ROWS: usize = 256;

/// Values that the cache of a wave holds at most, unless a single row needs more: one GiB of `f32`.
const CACHE_VALUES: usize = 1 << 28;

/// Tokens of prompts that are read at once, unless a single prompt has more.
const PREFILL_TOKENS: usize = 4096;

/// Tokens that are decoded before the end of a text, so that it is not taken for the beginning of one.
const CONTEXT: usize = 16;

/// How the next token is drawn: at a temperature, from the `top_k` most probable tokens, of those from the smallest set
/// of most probable ones that holds `top_p` of the probability.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sampling {
    /// What logits are divided by; above zero.
    pub temperature: f32,
    /// Tokens to draw from; at least 1.
    pub top_k: Option<usize>,
    /// Probability to draw from; above 0, at most 1.
    pub top_p: Option<f32>,
}

/// A prompt, and how many continuations it should get.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// Token ids, at least one.
    pub prompt: Vec<u32>,
    /// How many continuations.
    pub samples: usize,
}

/// How to generate.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Longest continuation in tokens. It also ends where the model's positions end.
    pub max_new_tokens: usize,
    /// None takes the most probable token, the lowest id of equally probable ones.
    pub sampling: Option<Sampling>,
    /// Where the draws come from, together with the places of a request and of a sample: what is generated does not
    /// depend on what else is.
    pub seed: u64,
    /// Ids that end a continuation.
    pub stop_ids: Vec<u32>,
    /// Texts that end a continuation once they appear in it.
    pub stop_strings: Vec<String>,
}

/// Why a continuation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finish {
    /// A stop id or a stop string.
    Stop,
    /// As many tokens as were asked for, or as the model has positions for.
    Length,
}

/// One continuation.
#[derive(Clone, Debug, PartialEq)]
pub struct Generated {
    /// The new tokens, without the stop id that ended them but with all tokens of a stop string: only text can be cut
    /// inside a token, see [`Generated::text`].
    pub ids: Vec<u32>,
    /// Natural log-probability of each of `ids` under the model, at temperature 1 and before any cut of the
    /// distribution; where a stop id ended the continuation, its log-probability is one more entry, so that the sum is
    /// that of the whole draw.
    pub log_probs: Vec<f32>,
    /// Why it ended.
    pub finish: Finish,
}

impl Settings {
    /// The most probable tokens, nothing that stops early.
    pub fn greedy(max_new_tokens: usize) -> Self {
        Self {
            max_new_tokens,
            sampling: None,
            seed: 0,
            stop_ids: Vec::new(),
            stop_strings: Vec::new(),
        }
    }

    /// Refuses values that no token could be drawn with.
    pub fn check(&self) -> Result<(), String> {
        if self.stop_strings.iter().any(String::is_empty) {
            return Err("a stop string is empty; it would stop every continuation at once".into());
        }
        let Some(sampling) = self.sampling else {
            return Ok(());
        };
        let temperature = sampling.temperature;
        if !(temperature.is_finite() && temperature > 0.0) {
            return Err(format!(
                "the temperature is {temperature}; it must be above zero\nhint: without sampling the most probable \
                 token is taken"
            ));
        }
        if sampling.top_k == Some(0) {
            return Err("top-k is 0; at least one token must be left to draw".into());
        }
        if let Some(p) = sampling.top_p
            && !(p > 0.0 && p <= 1.0)
        {
            return Err(format!("top-p is {p}; it must be above 0 and at most 1"));
        }
        Ok(())
    }
}

impl Generated {
    /// Its text behind the prompt, up to the first stop string. Where the limit of tokens fell inside a character, the text
    /// ends before it.
    pub fn text(
        &self,
        prompt: &[u32],
        tokenizer: &Tokenizer,
        settings: &Settings,
    ) -> Result<String, LmError> {
        let mut text = text_behind(tokenizer, prompt, &self.ids)?;
        if self.finish == Finish::Length {
            text.truncate(text.trim_end_matches(char::REPLACEMENT_CHARACTER).len());
        }
        let stops = settings.stop_strings.iter();
        let end = stops.filter_map(|stop| text.find(stop)).min();
        if let Some(end) = end {
            text.truncate(end);
        }
        Ok(text)
    }
}

/// What `ids` add to the text of the tokens before them. Decoded alone they could lose a space at their beginning, which
/// SentencePiece takes for its own.
fn text_behind(tokenizer: &Tokenizer, before: &[u32], ids: &[u32]) -> Result<String, LmError> {
    let prefix = tokenizer.decode(before)?;
    // A character may begin before and end behind.
    let prefix = prefix.trim_end_matches(char::REPLACEMENT_CHARACTER);
    let whole = tokenizer.decode(&[before, ids].concat())?;
    match whole.strip_prefix(prefix) {
        Some(text) => Ok(text.into()),
        // The decoder wrote the text before differently because of what follows.
        None => Ok(tokenizer.decode(ids)?),
    }
}

impl LanguageModel {
    /// Continuations of prompts: for each request as many as it asks for.
    ///
    /// `watch` hears after every step how many continuations are done, and of how many; it may stop the work by
    /// returning `false`. The tokenizer is only asked for the text of stop strings.
    ///
    /// # Errors
    ///
    /// A prompt that is empty, that has an id beyond the vocabulary, or that leaves no room for a new token; settings
    /// that [`Settings::check`] refuses; stop strings without a tokenizer; [`LmError::Interrupted`] where `watch` said so.
    pub fn generate(
        &self,
        requests: &[Request],
        settings: &Settings,
        tokenizer: Option<&Tokenizer>,
        watch: &mut dyn FnMut(usize, usize) -> bool,
    ) -> Result<Vec<Vec<Generated>>, LmError> {
        settings.check().map_err(LmError::Generation)?;
        self.check_prompts(requests)?;
        let stops = Stops::new(settings, tokenizer)?;
        // Gradients through what is generated would keep every step alive.
        let model = self.valid();
        let nothing = Generated {
            ids: Vec::new(),
            log_probs: Vec::new(),
            finish: Finish::Length,
        };
        let mut out: Vec<Vec<Generated>> = requests
            .iter()
            .map(|r| vec![nothing.clone(); r.samples])
            .collect();
        if settings.max_new_tokens == 0 {
            return Ok(out);
        }
        let total = requests.iter().map(|r| r.samples).sum();
        let mut done = 0;
        for rows in model.waves(requests, settings, &nothing) {
            let mut wave = Wave::new(&model, rows);
            let mut ended = wave.prefill(&stops)?;
            loop {
                for row in ended {
                    out[row.request][row.sample] = row.out;
                    done += 1;
                }
                if !watch(done, total) {
                    return Err(LmError::Interrupted);
                }
                if wave.rows.is_empty() {
                    break;
                }
                ended = wave.step(&stops)?;
            }
        }
        Ok(out)
    }

    fn check_prompts(&self, requests: &[Request]) -> Result<(), LmError> {
        let (room, vocabulary) = (self.model.max_tokens(), self.model.config().vocabulary);
        for (i, Request { prompt, .. }) in requests.iter().enumerate() {
            if prompt.is_empty() {
                return Err(LmError::Generation(format!(
                    "prompt {i} is empty; a continuation starts from at least one token"
                )));
            }
            if prompt.len() + 1 > room {
                return Err(LmError::Generation(format!(
                    "prompt {i} has {} tokens and needs room for one more, but the model has {room} positions\n\
                     hint: shorten the prompt",
                    prompt.len()
                )));
            }
            if let Some(id) = prompt.iter().find(|&&id| id as usize >= vocabulary) {
                return Err(LmError::Generation(format!(
                    "prompt {i} has token {id}, but the vocabulary has {vocabulary} tokens"
                )));
            }
        }
        Ok(())
    }

    /// All samples of all requests in their order, cut into waves that fit the cache.
    fn waves<'a>(
        &self,
        requests: &'a [Request],
        settings: &Settings,
        nothing: &Generated,
    ) -> Vec<Vec<Row<'a>>> {
        let config = self.model.config();
        let token_values = 2 * config.layers * config.kv_heads * config.head_dim;
        let mut waves: Vec<Vec<Row>> = Vec::new();
        let mut places = 0;
        for (request, Request { prompt, samples }) in requests.iter().enumerate() {
            let limit = settings
                .max_new_tokens
                .min(self.model.max_tokens() - prompt.len());
            // The last token is drawn but never read.
            let size = prompt.len() + limit - 1;
            for sample in 0..*samples {
                let full = waves.last().is_none_or(|wave| {
                    wave.len() == ROWS || (places + size) * token_values > CACHE_VALUES
                });
                if full {
                    waves.push(Vec::new());
                    places = 0;
                }
                let row = Row {
                    request,
                    sample,
                    prompt,
                    rng: rng(settings.seed, request, sample),
                    places: places..places + size,
                    read: prompt.len(),
                    last: 0,
                    limit,
                    out: nothing.clone(),
                };
                waves.last_mut().expect("one was just pushed").push(row);
                places += size;
            }
        }
        waves
    }
}

/// Draws of one sample: the three numbers are the key of its generator.
fn rng(seed: u64, request: usize, sample: usize) -> ChaCha8Rng {
    let mut key = [0; 32];
    key[..8].copy_from_slice(&seed.to_le_bytes());
    key[8..16].copy_from_slice(&(request as u64).to_le_bytes());
    key[16..24].copy_from_slice(&(sample as u64).to_le_bytes());
    ChaCha8Rng::from_seed(key)
}

/// One sample on its way.
struct Row<'a> {
    request: usize,
    sample: usize,
    prompt: &'a [u32],
    rng: ChaCha8Rng,
    /// Its rows of the cache.
    places: Range<usize>,
    /// How many of them are filled.
    read: usize,
    /// The token to read next.
    last: u32,
    limit: usize,
    out: Generated,
}

impl Row<'_> {
    /// Draws the next token; true if it ends the row.
    fn draw(&mut self, logits: &[f32], log_sum: f32, stops: &Stops) -> Result<bool, LmError> {
        if !log_sum.is_finite() {
            return Err(LmError::Generation(format!(
                "the model's logits of token {} behind prompt {} are not finite: the log of their summed exponentials is \
                 {log_sum}\nhint: look at the loss of the training that left this model",
                self.out.ids.len(),
                self.request
            )));
        }
        let id = match &stops.settings.sampling {
            None => argmax(logits) as u32,
            Some(sampling) => sample(logits, sampling, &mut self.rng),
        };
        self.last = id;
        self.out.log_probs.push(logits[id as usize] - log_sum);
        if stops.settings.stop_ids.contains(&id) {
            self.out.finish = Finish::Stop;
            return Ok(true);
        }
        self.out.ids.push(id);
        if stops.in_text(self.prompt, &self.out.ids)? {
            self.out.finish = Finish::Stop;
            return Ok(true);
        }
        Ok(self.out.ids.len() == self.limit)
    }
}

/// Rows that are generated together, and their cache.
struct Wave<'a> {
    model: &'a LanguageModel,
    rows: Vec<Row<'a>>,
    cache: Cache,
}

impl<'a> Wave<'a> {
    fn new(model: &'a LanguageModel, rows: Vec<Row<'a>>) -> Self {
        let places = rows.last().map_or(0, |row| row.places.end);
        Self {
            model,
            rows,
            cache: Cache::new(model, places),
        }
    }

    /// The prompts in batches, each once for all its samples, with the rows of each prompt in its batch.
    fn prompts(&self) -> Vec<(Vec<Range<usize>>, Batch)> {
        let groups: Vec<Range<usize>> = self
            .rows
            .chunk_by(|a, b| a.request == b.request)
            .scan(0, |first, rows| {
                let group = *first..*first + rows.len();
                *first = group.end;
                Some(group)
            })
            .collect();
        let prompt = |group: &Range<usize>| self.rows[group.start].prompt;
        let lengths: Vec<usize> = groups.iter().map(|g| prompt(g).len()).collect();
        by_token_budget(&lengths, PREFILL_TOKENS)
            .into_iter()
            .map(|members| {
                let groups: Vec<_> = members.iter().map(|&g| groups[g].clone()).collect();
                let batch = Batch::pack(groups.iter().map(prompt));
                (groups, batch)
            })
            .collect()
    }

    /// Reads the prompts and draws the first token of every row; gives back the rows that ended with it.
    fn prefill(&mut self, stops: &Stops) -> Result<Vec<Row<'a>>, LmError> {
        let model = self.model;
        let decoder = &model.model;
        let mut drawn = Vec::new();
        for (groups, batch) in self.prompts() {
            let (mut from, mut to) = (Vec::new(), Vec::new());
            for (group, w) in groups.iter().zip(batch.boundaries.windows(2)) {
                for row in group.clone() {
                    let start = self.rows[row].places.start;
                    from.extend(w[0]..w[1]);
                    to.extend(start..start + w[1] - w[0]);
                }
            }
            let shared = from.len() > batch.tokens();
            let to = self.cache.places(&to);
            let config = decoder.config();
            let spec = AttentionSpec::new(
                batch.boundaries.clone(),
                config.heads,
                config.kv_heads,
                decoder.rotary(),
            );
            let positions: Vec<usize> = batch
                .boundaries
                .windows(2)
                .flat_map(|w| 0..w[1] - w[0])
                .collect();
            let cache = &mut self.cache;
            let read = batch.last_rows();
            let x = decoder.run(&batch.ids, &positions, Some(&read), |layer, [q, k, v]| {
                let kept = |x: &Tensor<2>| {
                    if shared {
                        w2s_ops::gather_rows(x.clone(), &from)
                    } else {
                        x.clone()
                    }
                };
                cache.put(layer, [kept(&k), kept(&v)], &to);
                w2s_ops::attention(q, k, v, &spec)
            });
            drawn.push((groups, Logits::of(model, x)));
        }
        let mut of_row = vec![(&[][..], 0.0); self.rows.len()];
        for (groups, logits) in &drawn {
            for (group, logits) in groups.iter().zip(logits.rows()) {
                of_row[group.clone()].fill(logits);
            }
        }
        self.draw(&of_row, stops)
    }

    /// Reads the last token of every row and draws the next; gives back the rows that ended with it.
    fn step(&mut self, stops: &Stops) -> Result<Vec<Row<'a>>, LmError> {
        let model = self.model;
        let decoder = &model.model;
        let config = decoder.config();
        let ids: Vec<u32> = self.rows.iter().map(|row| row.last).collect();
        let positions: Vec<usize> = self.rows.iter().map(|row| row.read).collect();
        let starts = self.rows.iter().map(|row| row.places.start);
        let places: Vec<usize> = starts.zip(&positions).map(|(s, p)| s + p).collect();
        let keys: Vec<Range<usize>> = self
            .rows
            .iter()
            .zip(&places)
            .map(|(row, &place)| row.places.start..place + 1)
            .collect();
        let spec = AttentionSpec::cached(
            (0..=self.rows.len()).collect::<Vec<_>>(),
            keys,
            config.heads,
            config.kv_heads,
            decoder.rotary(),
        );
        let places = self.cache.places(&places);
        let cache = &mut self.cache;
        let x = decoder.run(&ids, &positions, None, |layer, [q, k, v]| {
            let [k, v] = cache.put(layer, [k, v], &places);
            w2s_ops::attention(q, k, v, &spec)
        });
        for row in &mut self.rows {
            row.read += 1;
        }
        let logits = Logits::of(model, x);
        let of_row: Vec<_> = logits.rows().collect();
        self.draw(&of_row, stops)
    }

    /// Draws the next token of every row by its logits, rows side by side; takes out those that ended with it.
    fn draw(&mut self, logits: &[(&[f32], f32)], stops: &Stops) -> Result<Vec<Row<'a>>, LmError> {
        // Collected first, so that of several errors it is always the first row's that is told.
        let ended: Vec<Result<bool, LmError>> = self
            .rows
            .par_iter_mut()
            .zip(logits)
            .map(|(row, &(logits, log_sum))| row.draw(logits, log_sum, stops))
            .collect();
        let ended: Vec<bool> = ended.into_iter().collect::<Result<_, _>>()?;
        let mut ended = ended.into_iter();
        let ended = |_: &mut Row| ended.next().expect("one flag a row");
        Ok(self.rows.extract_if(.., ended).collect())
    }
}

/// Logits of some rows on the host, and what turns them into log-probabilities.
struct Logits {
    values: TensorData,
    log_sums: Vec<f32>,
    vocabulary: usize,
}

impl Logits {
    /// Of residual rows that have not passed the last norm.
    fn of(model: &LanguageModel, x: Tensor<2>) -> Self {
        let logits = w2s_ops::linear(model.model.norm.forward(x), model.unembedding());
        let [_, vocabulary] = logits.dims();
        let log_sums = w2s_ops::log_sum_exp(logits.clone()).into_data();
        Self {
            log_sums: log_sums.try_to_vec().expect("logits are f32"),
            values: logits.into_data(),
            vocabulary,
        }
    }

    fn rows(&self) -> impl Iterator<Item = (&[f32], f32)> {
        let values: &[f32] = self.values.as_slice().expect("logits are f32");
        values
            .chunks_exact(self.vocabulary)
            .zip(self.log_sums.iter().copied())
    }
}

/// What ends a row beside its length.
struct Stops<'a> {
    settings: &'a Settings,
    tokenizer: Option<&'a Tokenizer>,
    /// Bytes of text that hold a stop string which the last token completed.
    window: usize,
}

impl<'a> Stops<'a> {
    fn new(settings: &'a Settings, tokenizer: Option<&'a Tokenizer>) -> Result<Self, LmError> {
        let longest = settings.stop_strings.iter().map(String::len).max();
        if longest.is_some() && tokenizer.is_none() {
            return Err(LmError::Generation(
                "stop strings need a tokenizer to be looked for in its text".into(),
            ));
        }
        Ok(Self {
            settings,
            tokenizer,
            // A token may end in more than the stop string.
            window: longest.unwrap_or(0) + 32,
        })
    }

    /// Whether the text of these ids behind a prompt has a stop string. It had none before the last of them, so that only its
    /// end is looked at: as many tokens as give enough text.
    fn in_text(&self, prompt: &[u32], ids: &[u32]) -> Result<bool, LmError> {
        let strings = &self.settings.stop_strings;
        let Some(tokenizer) = self.tokenizer.filter(|_| !strings.is_empty()) else {
            return Ok(false);
        };
        let mut from = ids.len().saturating_sub(self.window);
        loop {
            let before = if from == 0 { prompt } else { &ids[..from] };
            let before = &before[before.len().saturating_sub(CONTEXT)..];
            let text = text_behind(tokenizer, before, &ids[from..])?;
            if from == 0 || text.len() >= self.window {
                return Ok(strings.iter().any(|stop| text.contains(stop)));
            }
            from /= 2;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_share_the_reading_of_their_prompt() {
        let config = crate::DecoderConfig::scratch(9, 1, 8, 2, 8, 32);
        let device = crate::device("flex").unwrap();
        let model = LanguageModel::init(&config, 0, &device);
        let request = |prompt: &[u32], samples| Request {
            prompt: prompt.into(),
            samples,
        };
        let requests = [request(&[1, 2, 3, 4, 5], 3), request(&[6, 7], 2)];
        let nothing = Generated {
            ids: Vec::new(),
            log_probs: Vec::new(),
            finish: Finish::Length,
        };
        let settings = Settings::greedy(4);
        let [rows]: [Vec<Row>; 1] = model
            .waves(&requests, &settings, &nothing)
            .try_into()
            .unwrap_or_else(|_| panic!("one wave"));
        let mut wave = Wave::new(&model, rows);
        let batches = wave.prompts();
        let [(groups, batch)] = &batches[..] else {
            panic!("one batch");
        };
        // Five rows, but the seven tokens of two prompts.
        assert_eq!(groups, &[0..3, 3..5]);
        assert_eq!(batch.ids, [1, 2, 3, 4, 5, 6, 7]);
        let stops = Stops::new(&settings, None).unwrap();
        assert!(wave.prefill(&stops).unwrap().is_empty());
        let first: Vec<u32> = wave.rows.iter().map(|row| row.last).collect();
        assert_eq!(first[..3], [first[0]; 3]);
        assert_eq!(first[3..], [first[3]; 2]);
    }
}
