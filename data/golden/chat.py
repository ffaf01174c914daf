#!/usr/bin/env python3
"""Makes chat.json: conversations as transformers' apply_chat_template renders and tokenises them.

    python data/golden/chat.py SMOLLM2_FOLDER > data/golden/chat.json

Needs transformers and tokenizers. SMOLLM2_FOLDER, a SmolLM2-135M-Instruct, gives its chat template, and the ids of
`smollm2-135m-instruct` are those of its own tokenizer; all others are those of tiny tokenizers, trained here on the
conversations themselves.
"""

import json
import sys
from pathlib import Path

import tokenizers
import transformers
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

LLAMA_3 = (
    "{% set loop_messages = messages %}{% for message in loop_messages %}{% set content = '<|start_header_id|>' + "
    "message['role'] + '<|end_header_id|>\n\n'+ message['content'] | trim + '<|eot_id|>' %}{% if loop.index0 == 0 %}"
    "{% set content = bos_token + content %}{% endif %}{{ content }}{% endfor %}{% if add_generation_prompt %}"
    "{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}"
)
LLAMA_2 = (
    "{% if messages[0]['role'] == 'system' %}{% set loop_messages = messages[1:] %}{% set system_message = "
    "messages[0]['content'] %}{% else %}{% set loop_messages = messages %}{% set system_message = false %}{% endif %}"
    "{% for message in loop_messages %}{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}{% endif %}"
    "{% if loop.index0 == 0 and system_message != false %}{% set content = '<<SYS>>\\n' + system_message + "
    "'\\n<</SYS>>\\n\\n' + message['content'] %}{% else %}{% set content = message['content'] %}{% endif %}"
    "{% if message['role'] == 'user' %}{{ bos_token + '[INST] ' + content.strip() + ' [/INST]' }}"
    "{% elif message['role'] == 'assistant' %}{{ ' '  + content.strip() + ' ' + eos_token }}{% endif %}{% endfor %}"
)
QWEN_2 = """{%- if tools %}
    {{- '<|im_start|>system\\n' }}
    {%- for tool in tools %}
        {{- "\\n" }}
        {{- tool | tojson }}
    {%- endfor %}
    {{- "<|im_end|>\\n" }}
{%- else %}
    {%- if messages[0]['role'] == 'system' %}
        {{- '<|im_start|>system\\n' + messages[0]['content'] + '<|im_end|>\\n' }}
    {%- else %}
        {{- '<|im_start|>system\\nYou are a helpful assistant.<|im_end|>\\n' }}
    {%- endif %}
{%- endif %}
{%- for message in messages %}
    {%- if (message.role == "user") or (message.role == "system" and not loop.first) or (message.role == "assistant" and not message.tool_calls) %}
        {{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>' + '\\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
{%- endif %}
"""
QWEN_3 = """{%- if messages[0].role == 'system' %}
    {{- '<|im_start|>system\\n' + messages[0].content + '<|im_end|>\\n' }}
{%- endif %}
{%- set ns = namespace(multi_step_tool=true, last_query_index=messages|length - 1) %}
{%- for message in messages[::-1] %}
    {%- set index = (messages|length - 1) - loop.index0 %}
    {%- if ns.multi_step_tool and message.role == "user" and message.content is string and not(message.content.startswith('<tool_response>') and message.content.endswith('</tool_response>')) %}
        {%- set ns.multi_step_tool = false %}
        {%- set ns.last_query_index = index %}
    {%- endif %}
{%- endfor %}
{%- for message in messages %}
    {%- if message.content is string %}
        {%- set content = message.content %}
    {%- else %}
        {%- set content = '' %}
    {%- endif %}
    {%- if (message.role == "user") or (message.role == "system" and not loop.first) %}
        {{- '<|im_start|>' + message.role + '\\n' + content + '<|im_end|>' + '\\n' }}
    {%- elif message.role == "assistant" %}
        {%- set reasoning_content = '' %}
        {%- if message.reasoning_content is string %}
            {%- set reasoning_content = message.reasoning_content %}
        {%- else %}
            {%- if '</think>' in content %}
                {%- set reasoning_content = content.split('</think>')[0].rstrip('\\n').split('<think>')[-1].lstrip('\\n') %}
                {%- set content = content.split('</think>')[-1].lstrip('\\n') %}
            {%- endif %}
        {%- endif %}
        {%- if loop.index0 > ns.last_query_index %}
            {%- if loop.last or (not loop.last and reasoning_content) %}
                {{- '<|im_start|>' + message.role + '\\n<think>\\n' + reasoning_content.strip('\\n') + '\\n</think>\\n\\n' + content.lstrip('\\n') }}
            {%- else %}
                {{- '<|im_start|>' + message.role + '\\n' + content }}
            {%- endif %}
        {%- else %}
            {{- '<|im_start|>' + message.role + '\\n' + content }}
        {%- endif %}
        {{- '<|im_end|>\\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
{%- endif %}
"""
# No special token, blocks on lines of their own, and white space that only trim_blocks and lstrip_blocks remove.
ROLES = """{% for message in messages %}
  {% if loop.first %}
{{ message | tojson }}
  {% endif %}
{{ message['role'].upper() }}: {{ message['content'] }}
{% endfor %}
{% if add_generation_prompt %}
ASSISTANT:
{%- endif %}
"""


def turn(role, content):
    return {"role": role, "content": content}


def user(content):
    return turn("user", content)


CONVERSATIONS = [
    ([user("What is the capital of France?")], "The capital of France is Paris."),
    ([turn("system", "Answer in one word."), user("Is water wet?")], "Yes"),
    (
        [
            user("Name a colour."),
            turn("assistant", "Blue."),
            user("And another one?"),
            turn("assistant", " Green, of course. "),
            user("Which of them is the sky?"),
        ],
        "The sky is blue.",
    ),
    ([user("  Mind the gap.\n\n")], "  The gap is minded.  \n"),
    ([user("Übersetze „naïve café“ ins 日本語 🙂👩‍👩‍👧")], "素朴なカフェ 🙂, très naïf — ☃"),
    (
        [user("Write a loop:\n```python\nfor i in range(3):\n```")],
        "```python\nfor i in range(3):\n    print(f\"{i}: {{x}}\")\n```\n\nDone.",
    ),
    ([user("Escape <b>&'\"</b> {{ message }} {% if x %}")], "&lt;b&gt; and {{ nothing }} % {% raw %} {# #}"),
    (
        [turn("system", " You are terse.\n"), user("1+1?"), turn("assistant", "2"), user("2+2?")],
        "\n4",
    ),
    ([user("List three things.")], "\n\n1. One thing!\n2. Two things?\n3. Three\tthings...\r\n"),
    ([user("Think.")], "!!!???"),
]
CORPUS = [text["content"] for turns, _ in CONVERSATIONS for text in turns] + [answer for _, answer in CONVERSATIONS]
CORPUS += ["user\n\nassistant\n\nsystem\n\n", "USER: ASSISTANT: SYSTEM:", "You are a helpful assistant.", "[INST] [/INST] <<SYS>>"]
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>"]
SPECIAL += ["<|eot_id|>", "<|end_of_text|>"]
# The regular expression of Llama 3; Qwen2's differs in the number of digits alone.
SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def byte_level(pre_tokenizer):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizer
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=SPECIAL,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    # Trims the places of tokens, as the published tokenizers do.
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=True)
    return tokenizer


def gpt_2():
    return byte_level(pre_tokenizers.ByteLevel(add_prefix_space=False))


def regex():
    split = pre_tokenizers.Split(tokenizers.Regex(SPLIT), "isolated")
    last = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    return byte_level(pre_tokenizers.Sequence([split, last]))


def llama_3():
    tokenizer = regex()
    bos = "<|begin_of_text|>"
    template = processors.TemplateProcessing(
        single=f"{bos} $A", pair=f"{bos} $A {bos} $B", special_tokens=[(bos, tokenizer.token_to_id(bos))]
    )
    tokenizer.post_processor = processors.Sequence([processors.ByteLevel(trim_offsets=True), template])
    return tokenizer


def llama_2():
    base = ["<unk>", "<s>", "</s>"]
    bytes_ = [f"<0x{byte:02X}>" for byte in range(256)]
    trained = Tokenizer(models.BPE())
    trained.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    trained.pre_tokenizer = pre_tokenizers.Split("▁", "merged_with_next")
    trainer = trainers.BpeTrainer(vocab_size=260, limit_alphabet=80, show_progress=False)
    trained.train_from_iterator([text for text in CORPUS if text.isascii()], trainer)
    learned = json.loads(trained.to_str())["model"]
    words = sorted(learned["vocab"], key=learned["vocab"].get)
    words = [word for word in words if word.isascii() or word.replace("▁", "").isascii()]
    vocab = {token: id for id, token in enumerate(base + bytes_ + words)}
    merges = [tuple(pair) for pair in learned["merges"] if "".join(pair) in vocab]
    tokenizer = Tokenizer(models.BPE(vocab, merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    tokenizer.normalizer = trained.normalizer
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in base])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", pair="<s> $A <s> $B", special_tokens=[("<s>", 1)]
    )
    return tokenizer


def families(smollm2):
    own = json.loads((Path(smollm2) / "tokenizer_config.json").read_text())["chat_template"]
    return {
        "llama-3": (llama_3(), LLAMA_3, "<|begin_of_text|>", "<|end_of_text|>"),
        "llama-2": (llama_2(), LLAMA_2, "<s>", "</s>"),
        "qwen-2": (regex(), QWEN_2, None, "<|endoftext|>"),
        "qwen-3": (regex(), QWEN_3, None, "<|im_end|>"),
        "smollm2": (gpt_2(), own, "<|im_start|>", "<|im_end|>"),
        "gpt-2": (gpt_2(), None, "<|endoftext|>", "<|endoftext|>"),
        "gpt-2-roles": (gpt_2(), ROLES, "<|endoftext|>", "<|endoftext|>"),
    }


def case(tokenizer, turns, answer, eos):
    encode = lambda text: tokenizer(text, add_special_tokens=False)["input_ids"]
    ended = lambda text: encode(text) + [tokenizer.convert_tokens_to_ids(eos)]
    if tokenizer.chat_template is None:
        prompt = "".join(turn["content"] for turn in turns)
        text = prompt + answer
        return {"prompt": prompt, "text": text, "prompt_ids": encode(prompt), "ids": ended(text)}
    apply = lambda *args, **options: tokenizer.apply_chat_template(*args, return_dict=False, **options)
    whole = turns + [turn("assistant", answer)]
    text = apply(whole, tokenize=False)
    return {
        "prompt": apply(turns, add_generation_prompt=True, tokenize=False),
        "text": text,
        "prompt_ids": apply(turns, add_generation_prompt=True),
        # The one template that ends an answer with a line break alone.
        "ids": ended(text.removesuffix("\n")) if tokenizer.chat_template == ROLES else apply(whole),
    }


def main():
    tokenizer_files, found, cases = {}, [], []
    for name, (inner, template, bos, eos) in families(sys.argv[1]).items():
        tokenizer = PreTrainedTokenizerFast(tokenizer_object=inner, bos_token=bos, eos_token=eos)
        tokenizer.chat_template = template
        text = inner.to_str()
        file = next((key for key, known in tokenizer_files.items() if known == text), name)
        tokenizer_files[file] = text
        config = {"bos_token": bos, "eos_token": {"content": eos}, "chat_template": template}
        found.append({"name": name, "tokenizer": file, "tokenizer_config.json": config})
        for number, (turns, answer) in enumerate(CONVERSATIONS):
            row = {"family": name, "conversation": number}
            cases.append(row | case(tokenizer, turns, answer, eos))
    published = transformers.AutoTokenizer.from_pretrained(sys.argv[1])
    rows = [case(published, turns, answer, published.eos_token) for turns, answer in CONVERSATIONS]
    rows = [{key: row[key] for key in ("prompt_ids", "ids")} for row in rows]
    golden = {
        "about": "Ten conversations under seven chat templates: the text and the token ids that transformers makes of the "
        "prompt with its generation prompt, and of the whole conversation with its answer. The tokenizers are tiny ones, "
        "trained on the conversations; the templates are those of Llama 3, Llama 2, Qwen2.5 (shortened), Qwen3 (shortened) "
        "and SmolLM2, and `gpt-2-roles`, which has no special tokens; `gpt-2` has none, there the contents are joined. In these "
        "two the ids are those of the text up to the end of the answer and the eos_token. `smollm2-135m-instruct` has the ids of "
        "that model's own tokenizer.",
        "made_with": {
            "script": "data/golden/chat.py",
            "transformers": transformers.__version__,
            "tokenizers": tokenizers.__version__,
            "python": sys.version.split()[0],
            "license_of_templates": "Apache-2.0 for those of Qwen and SmolLM2; the others are formats, written down in the script",
        },
        "tokenizers": {name: json.loads(text) for name, text in tokenizer_files.items()},
        "families": found,
        "conversations": [{"messages": turns, "answer": answer} for turns, answer in CONVERSATIONS],
        "cases": cases,
        "smollm2-135m-instruct": rows,
    }
    # One line a tokenizer, a family, a conversation and a case.
    parts = []
    for key, value in golden.items():
        dump = lambda value: json.dumps(value, ensure_ascii=False, separators=(",", ":"))
        if isinstance(value, list):
            value = "[\n" + ",\n".join(dump(item) for item in value) + "\n]"
        elif key == "tokenizers":
            value = "{\n" + ",\n".join(f"{dump(name)}:{dump(item)}" for name, item in value.items()) + "\n}"
        else:
            value = dump(value)
        parts.append(f"{dump(key)}: {value}")
    print("{\n" + ",\n".join(parts) + "\n}")


if __name__ == "__main__":
    main()
