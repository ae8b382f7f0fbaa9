"""Engines of TensorRT's v3 API: what TensorRT and Iluvatar's IxRT, which has its names, share."""
