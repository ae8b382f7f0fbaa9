"""A small decoder of Llama's architecture that reads bytes; train.py made its weights."""

from harness.models.decoder import HuggingFaceDecoder

CONFIG = {
    "vocab_size": 256,
    "hidden_size": 96,
    "intermediate_size": 256,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 24,
    "max_position_embeddings": 128,
    "tie_word_embeddings": True,
}

DECODER = HuggingFaceDecoder("Llama", CONFIG)
build = DECODER.build
skeleton = DECODER.skeleton
save = DECODER.save
