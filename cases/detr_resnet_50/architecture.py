"""Sizes of DETR with a ResNet-50, as Hugging Face's configurations name them."""

CONFIG = {
    "num_queries": 100,
    "d_model": 256,
    "encoder_layers": 6,
    "encoder_ffn_dim": 2048,
    "encoder_attention_heads": 8,
    "decoder_layers": 6,
    "decoder_ffn_dim": 2048,
    "decoder_attention_heads": 8,
    "activation_function": "relu",
    "position_embedding_type": "sine",
}
BACKBONE = {
    "embedding_size": 64,
    "hidden_sizes": [256, 512, 1024, 2048],
    "depths": [3, 4, 6, 3],
    "layer_type": "bottleneck",
}
#: Classes are COCO's category ids, 0 to 90; the model has one more for "no object".
LABELS = 91
