#!/usr/bin/env python3
"""Makes greedy.json: what transformers writes on greedily with the model of this folder.

    python data/golden/qwen2-tiny/greedy.py > data/golden/qwen2-tiny/greedy.json
"""

import json
from pathlib import Path

import torch
import transformers

LENGTHS = [3, 20, 1, 7, 31, 2, 12, 5]

model = transformers.AutoModelForCausalLM.from_pretrained(Path(__file__).parent, dtype=torch.float32).eval()
model.generation_config.eos_token_id = None
prompts = [[(row * 31 + i * 17 + 3) % 64 for i in range(length)] for row, length in enumerate(LENGTHS)]
margin, new_ids = float("inf"), []
for prompt in prompts:
    ids = torch.tensor([prompt])
    out = model.generate(
        ids,
        attention_mask=torch.ones_like(ids),
        do_sample=False,
        max_new_tokens=32,
        pad_token_id=0,
        output_logits=True,
        return_dict_in_generate=True,
    )
    new_ids.append(out.sequences[0, len(prompt) :].tolist())
    for logits in out.logits:
        first, second = logits[0].topk(2).values.tolist()
        margin = min(margin, first - second)
rows = ",\n".join(f'  {{"prompt": {prompt}, "new_ids": {new}}}' for prompt, new in zip(prompts, new_ids))
about = (
    "32 greedy tokens behind each of 8 prompts, by greedy.py, each prompt alone, in f32 on CPU. Nowhere are the best two "
    f"logits closer than {margin:.4f}, so that rounding decides nothing."
)
made_with = f"transformers {transformers.__version__}, torch {torch.__version__}"
print(f'{{\n "about": {json.dumps(about)},\n "made_with": {json.dumps(made_with)},\n "cases": [\n{rows}\n ]\n}}')
