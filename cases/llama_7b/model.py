"""Llama 2 7B: Hugging Face's class and weights, which stay in 16 bits."""

from harness.models.decoder import HuggingFaceDecoder

CONFIG = {
    "vocab_size": 32000,
    "hidden_size": 4096,
    "intermediate_size": 11008,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 32,
    "max_position_embeddings": 4096,
    "rms_norm_eps": 1e-5,
    "tie_word_embeddings": False,
}

# The length is 2048 in early conversions; it decides nothing below that.
DECODER = HuggingFaceDecoder(
    "Llama", CONFIG, may_differ=["max_position_embeddings"], stored="bfloat16"
)
build = DECODER.build
skeleton = DECODER.skeleton
save = DECODER.save
