"""SmolLM2-135M: a decoder of Llama's architecture, with Hugging Face's class and weights."""

from harness.models.decoder import HuggingFaceDecoder

CONFIG = {
    "vocab_size": 49152,
    "hidden_size": 576,
    "intermediate_size": 1536,
    "num_hidden_layers": 30,
    "num_attention_heads": 9,
    "num_key_value_heads": 3,
    "max_position_embeddings": 8192,
    "rms_norm_eps": 1e-5,
    "tie_word_embeddings": True,
    "rope_parameters": {"rope_type": "default", "rope_theta": 100000.0},
}

# Another name in the published config.json, which transformers translates.
DECODER = HuggingFaceDecoder("Llama", CONFIG, may_differ=["rope_parameters"])
build = DECODER.build
skeleton = DECODER.skeleton
save = DECODER.save
