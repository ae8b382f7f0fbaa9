"""Tests of Iluvatar's hook."""
