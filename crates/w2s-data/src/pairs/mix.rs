//! Pairs of several sources in one training: a model learns from all of them with equal weight.

use std::collections::HashMap;

use w2s_artifact::{Pair, prompt_fingerprint};
use w2s_worlds::Stream;

use super::{
    Pairing, Reason,
    parts::{Key, keys},
};
use crate::{error::DataError, split::first_of_group};

impl Pairing {
    /// Mixes pairs of several sources in a random order. The pairs are numbered anew, one source after the other. Pairs of one
    /// question share prompt and group whatever their source; otherwise groups of different sources are different groups.
    ///
    /// With `rows_as_first`, every other source gives as many pairs as the first one has, its own first ones, and so as
    /// much weight.
    ///
    /// # Errors
    ///
    /// If another source has fewer pairs than the first, with `rows_as_first`.
    pub fn mix(
        mut sources: Vec<Vec<Pair>>,
        rows_as_first: bool,
        seed: u64,
    ) -> Result<Self, DataError> {
        let mut pairing = Self::default();
        let first = sources.first().map_or(0, Vec::len);
        if rows_as_first {
            for (place, source) in sources.iter_mut().enumerate() {
                if source.len() < first {
                    return Err(DataError::Parameter(format!(
                        "--rows-as-first: the first --pairs has {first} pairs, and number {} has {}",
                        place + 1,
                        source.len()
                    )));
                }
                pairing
                    .dropped
                    .add(Reason::BeyondLimit, source.len() - first);
                source.truncate(first);
            }
        }
        let numbered = (0u64..).zip(&sources);
        let all_keys =
            numbered.flat_map(|(number, source)| source.iter().map(move |pair| keys(pair, number)));
        let groups = first_of_group(all_keys.collect());
        let mut prompts: HashMap<u64, u64> = HashMap::new();
        for (id, (pair, group)) in sources.into_iter().flatten().zip(groups).enumerate() {
            let id = id as u64;
            let question = Key::Question.of(prompt_fingerprint(&pair.messages));
            pairing.pairs.push(Pair {
                id,
                prompt: *prompts.entry(question).or_insert(id),
                group: group as u64,
                ..pair
            });
        }
        Stream::new("pairs mix", seed, 0).shuffle(&mut pairing.pairs);
        Ok(pairing)
    }
}
