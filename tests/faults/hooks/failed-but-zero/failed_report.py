"""Writes the report of a stage that failed."""

import pathlib
import sys

from harness.errors import StageFailure
from harness.job import read_job
from harness.outputs.report import Report

folder = pathlib.Path(sys.argv[1])
job = read_job(folder, "infer")
report = Report("infer", job.id, job.repeat)
report.failure = StageFailure("infer", "the device did not answer", "check the device")
report.write(folder / "out")
