"""vLLM's variables, as it reads them."""

import os

VLLM_FLOAT32_MATMUL_PRECISION = os.environ.get("VLLM_FLOAT32_MATMUL_PRECISION", "highest")
VLLM_ROCM_USE_AITER = os.environ.get("VLLM_ROCM_USE_AITER", "False").lower() in ("true", "1")
