"""Makes a model that a real engine loads in a second: a two-layer Llama with random weights and a
byte-level tokenizer.

Its words mean nothing, but at temperature 0 the same prompt gives the same tokens, which is all that a
gateway in front of it has to preserve. Run as `python tiny_model.py DIRECTORY`.
"""

import json
import sys
from pathlib import Path

import mlx.core as mx
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

HIDDEN, HEADS, FEED_FORWARD, LAYERS, CONTEXT = 64, 4, 128, 2, 4096
BEGIN, END_OF_TURN = "<|begin|>", "<|end|>"
# How byte-level tokenizers spell a space.
SPACE = "Ġ"
ROLES = ["<|system|>", "<|user|>", "<|assistant|>"]
CHAT_TEMPLATE = (
    "{{ '<|begin|>' }}{% for message in messages %}{{ '<|' + message['role'] + '|>' }}"
    "{{ message['content'] }}{{ '<|end|>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)


def write_model(directory: Path) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    vocabulary = write_tokenizer(directory)
    write_weights(directory, vocabulary)
    write_config(directory, len(vocabulary))


def write_tokenizer(directory: Path) -> list[str]:
    """One token per byte, and the marks of a chat; returns all tokens in the order of their ids."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE(vocab={piece: n for n, piece in enumerate(alphabet)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([BEGIN, END_OF_TURN, *ROLES])
    tokenizer.save(str(directory / "tokenizer.json"))
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": BEGIN,
        "eos_token": END_OF_TURN,
        "model_max_length": CONTEXT,
        "chat_template": CHAT_TEMPLATE,
    }
    (directory / "tokenizer_config.json").write_text(json.dumps(settings, indent=1))
    vocabulary = tokenizer.get_vocab()
    return sorted(vocabulary, key=vocabulary.__getitem__)


def write_weights(directory: Path, vocabulary: list[str]) -> None:
    mx.random.seed(7)
    size = len(vocabulary)
    weights = {"model.embed_tokens.weight": (size, HIDDEN), "lm_head.weight": (size, HIDDEN)}
    for layer in range(LAYERS):
        at = f"model.layers.{layer}"
        for name in "qkvo":
            weights[f"{at}.self_attn.{name}_proj.weight"] = (HIDDEN, HIDDEN)
        weights[f"{at}.mlp.gate_proj.weight"] = (FEED_FORWARD, HIDDEN)
        weights[f"{at}.mlp.up_proj.weight"] = (FEED_FORWARD, HIDDEN)
        weights[f"{at}.mlp.down_proj.weight"] = (HIDDEN, FEED_FORWARD)
    arrays = {name: mx.random.normal(shape, scale=HIDDEN**-0.5) for name, shape in weights.items()}
    norms = [f"layers.{n}.{name}_layernorm" for n in range(LAYERS) for name in ("input", "post_attention")]
    arrays |= {f"model.{name}.weight": mx.ones(HIDDEN) for name in [*norms, "norm"]}
    # Without these rows the model would say bytes that are no text, or stop at a token of its choice.
    spoken = [n for n, piece in enumerate(vocabulary) if len(piece) == 1 and (piece.isascii() or piece == SPACE)]
    heard = mx.zeros((len(vocabulary), 1))
    heard[mx.array(spoken)] = 1.0
    arrays["lm_head.weight"] *= heard
    mx.save_safetensors(str(directory / "model.safetensors"), arrays, metadata={"format": "mlx"})


def write_config(directory: Path, vocabulary: int) -> None:
    config = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_size": HIDDEN,
        "intermediate_size": FEED_FORWARD,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
        "num_key_value_heads": HEADS,
        "max_position_embeddings": CONTEXT,
        "rms_norm_eps": 1e-5,
        "rope_theta": 10000.0,
        "tie_word_embeddings": False,
        "vocab_size": vocabulary,
    }
    (directory / "config.json").write_text(json.dumps(config, indent=1))


if __name__ == "__main__":
    write_model(Path(sys.argv[1]))
