"""Iluvatar's CoreX: imported before cuda and tensorrt, so that both have its chips, and IxRT's names."""

from assay_standin import chips

chips.CUDA_VENDOR = "iluvatar"
