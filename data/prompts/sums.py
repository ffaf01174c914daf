"""Questions for sums of two numbers from 1 to 20, in four forms; no two of the three files share a pair of numbers in
this order, and the forms of one sum share a `group`. Writes sums-train.jsonl (400 rows), sums-validation.jsonl (200) and
sums-test.jsonl (600) beside itself."""

import json
import random
from pathlib import Path

FORMS = [
    "What is {x} + {y}?",
    "What is the sum of {x} and {y}?",
    "Add {x} and {y}.",
    "I have {x} apples and get {y} more. How many apples do I have?",
]
rng = random.Random(7)
pairs = [(x, y) for x in range(1, 21) for y in range(1, 21)]
rng.shuffle(pairs)
for part, chosen, forms in [
    ("train", pairs[:200], 2),
    ("validation", pairs[200:250], 4),
    ("test", pairs[250:], 4),
]:
    rows = [
        {"question": form.format(x=x, y=y), "answer": str(x + y), "group": f"{x}+{y}"}
        for x, y in chosen
        for form in rng.sample(FORMS, forms)
    ]
    rng.shuffle(rows)
    text = "".join(json.dumps(row) + "\n" for row in rows)
    Path(__file__).with_name(f"sums-{part}.jsonl").write_text(text)
