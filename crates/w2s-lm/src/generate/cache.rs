//! The keys and values of a wave.

use crate::LanguageModel;
use burn::tensor::{IndexingUpdateOp, Int, Tensor, TensorData};

/// Keys and values of every layer, `[places, kv_heads * head]` each; keys as they were before rotation.
pub(super) struct Cache {
    layers: Vec<Option<[Tensor<2>; 2]>>,
}

impl Cache {
    pub(super) fn new(model: &LanguageModel, places: usize) -> Self {
        let config = model.model.config();
        let weight = model.model.embed_tokens.weight.val();
        let options = (&weight.device(), weight.dtype());
        let zeros = || Tensor::zeros([places, config.kv_heads * config.head_dim], options);
        Self {
            layers: (0..config.layers)
                .map(|_| Some([zeros(), zeros()]))
                .collect(),
        }
    }

    pub(super) fn places(&self, places: &[usize]) -> Tensor<1, Int> {
        let layer = self.layers[0].as_ref().expect(HELD);
        let indices: Vec<i32> = places.iter().map(|&p| p as i32).collect();
        let count = indices.len();
        Tensor::from_ints(TensorData::new(indices, [count]), &layer[0].device())
    }

    /// Writes new keys and values of a layer, in place where nobody else holds them; gives back all of them.
    pub(super) fn put(
        &mut self,
        layer: usize,
        [k, v]: [Tensor<2>; 2],
        places: &Tensor<1, Int>,
    ) -> [Tensor<2>; 2] {
        let [keys, values] = self.layers[layer].take().expect(HELD);
        let write = |old: Tensor<2>, new| {
            old.select_assign(0, places.clone(), new, IndexingUpdateOp::Assign)
        };
        let all = [write(keys, k), write(values, v)];
        self.layers[layer] = Some(all.clone());
        all
    }
}

const HELD: &str = "a layer's cache is only away while it is written";
