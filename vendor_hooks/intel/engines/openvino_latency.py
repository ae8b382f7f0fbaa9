"""OpenVINO with the LATENCY hint (vendor.toml sets it): one request over all of the host's cores."""

from hook.engines.openvino import OpenVino

ENGINE = OpenVino
