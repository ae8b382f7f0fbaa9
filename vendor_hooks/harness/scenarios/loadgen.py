"""MLPerf's LoadGen: one test, its settings and its logs. Only this module knows its Python binding."""

import functools
import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any, Dict, List, NamedTuple, Sequence

from harness import clock
from harness.errors import StageFailure
from harness.job import Scenario
from harness.scenarios.answers import Answers
from harness.scenarios.logged_thread import LoggedThread
from harness.scenarios.sample_library import SampleLibrary

#: The names of LoadGen's enumeration, by ours.
SCENARIOS = {
    "offline": "Offline",
    "singlestream": "SingleStream",
    "multistream": "MultiStream",
    "server": "Server",
}
ACCURACY, PERFORMANCE = "AccuracyOnly", "PerformanceOnly"
#: The seeds of MLPerf Inference 6.0 (loadgen/mlperf.conf), which its submission checker expects.
SEEDS = {
    "qsl_rng_seed": 2085463073848966840,
    "sample_index_rng_seed": 2747215439041700203,
    "schedule_rng_seed": 16159082839903944936,
}
DETAIL, ACCURACY_LOG = "mlperf_log_detail.txt", "mlperf_log_accuracy.json"
MARKER = ":::MLLOG"
#: So many responses of a performance run are logged with their content, as in MLPerf's TEST01.
SAMPLED = 64
#: LoadGen makes twice the queries that it expects to need: an engine may be so many times faster than expected.
HEADROOM = 2.0
#: Responses that a thread logs at once to settle: just more than LoadGen has reserved memory for. Thrice, since a reading
#: in their midst finds fewer.
BURST, BURSTS = 1030, 3
#: How long LoadGen may take to write a thread's, seconds; its own thread may starve.
WRITTEN_WITHIN_S = 30.0
#: Samples of an offline query beyond those that the expected rate needs; LoadGen adds a tenth itself.
OFFLINE_SLACK = 1.1


class Asked(NamedTuple):
    """One test: ``rate`` is the arrivals per second of Server, elsewhere the queries per second that are expected.

    With more than ``outstanding`` queries unanswered, a Server test ends early (0: never).
    """

    mode: str
    rate: float
    min_duration_ms: int
    min_query_count: int
    outstanding: int = 0


#: What a test logged: the first value of each key.
Logged = Dict[str, Any]


def load() -> Any:
    """LoadGen's module; StageFailure (image) where the stack lacks it."""
    try:
        import mlperf_loadgen
    except ImportError as error:
        raise StageFailure(
            "image",
            "SCENARIO needs MLPerf's LoadGen, which this stack lacks ({})".format(error),
            "add mlcommons-loadgen to the stack's requirements.in, then: make lock, make images (without Docker, make "
            "lock is enough)",
        ) from error
    return mlperf_loadgen


def run_test(
    loadgen: Any,
    asked: Asked,
    scenario: Scenario,
    library: SampleLibrary,
    answers: Answers,
    folder: Path,
) -> Logged:
    """Run one test in the first of ``answers.threads``; its logs are in ``folder``. Raises what an answer raised.

    LoadGen's C++ cannot be left by an exception: after a failure the thread never returns from it, and the stage ends
    without it. Signals are noticed here meanwhile.
    """
    folder.mkdir(parents=True)
    settings = _settings(loadgen, asked, scenario)
    # First, since it decides who answers.
    answers.begin(asked.mode == ACCURACY)
    system = loadgen.ConstructFastSUT(answers.issue, answers.flush)
    queries = loadgen.ConstructQSL(
        library.total,
        library.at_once,
        answers.guarded(library.load),
        answers.guarded(library.unload),
    )
    logs = _logs(loadgen, folder)

    def test() -> None:
        loadgen.StartTestWithLogSettings(system, queries, settings, logs, "")
        answers.ended.set()

    answers.threads[0].start(test)
    answers.ended.wait()
    answers.end()
    loadgen.DestroyFastSUT(system)
    loadgen.DestroyQSL(queries)
    # Empty without a trace; its name would promise one.
    with_trace = folder / "mlperf_log_trace.json"
    if with_trace.exists():
        with_trace.unlink()
    return read_log(folder)


def settle(loadgen: Any, threads: Sequence[LoggedThread]) -> None:
    """Have each thread's log grow beyond what LoadGen has reserved for it, while it waits: see logged_thread.

    The first is the one that runs tests. From then on, LoadGen's detail logs have a warning: "Logging allocation detected".
    Raises StageFailure (host) where LoadGen cannot write its logs.
    """
    first, *others = threads
    share = 1 + BURSTS * BURST
    with tempfile.TemporaryDirectory(prefix="loadgen-") as folder:
        accuracy = Path(folder, ACCURACY_LOG)

        def issue(ids: Sequence[int], samples: Sequence[int]) -> None:  # noqa: ARG001
            responses = [loadgen.QuerySampleResponse(one, 0, 0) for one in ids]
            _respond(loadgen, responses[:share], accuracy)
            for place, other in enumerate(others, 1):
                part = responses[place * share : (place + 1) * share]
                other.start(functools.partial(_respond, loadgen, part, accuracy))
                other.join()

        settings = loadgen.TestSettings()
        settings.scenario = loadgen.TestScenario.Offline
        settings.mode = getattr(loadgen.TestMode, ACCURACY)
        count = share * len(threads)
        system = loadgen.ConstructFastSUT(issue, lambda: None)
        queries = loadgen.ConstructQSL(count, count, lambda _: None, lambda _: None)
        logs = _logs(loadgen, Path(folder))
        first.start(lambda: loadgen.StartTestWithLogSettings(system, queries, settings, logs, ""))
        first.join()
        if _written(accuracy) < count:
            raise _unwritten(folder)
        loadgen.DestroyFastSUT(system)
        loadgen.DestroyQSL(queries)


def _respond(loadgen: Any, responses: List[Any], accuracy: Path) -> None:
    """Complete one, then bursts; after each, wait until LoadGen has read this thread's log to its end."""
    deadline = time.monotonic() + WRITTEN_WITHIN_S
    count = _written(accuracy)
    for start in (0, *range(1, len(responses), BURST)):
        some = responses[start : start + BURST] if start else responses[:1]
        loadgen.QuerySamplesComplete(some)
        count += len(some)
        while _written(accuracy) < count and time.monotonic() < deadline:
            time.sleep(0.002)


def _written(accuracy: Path) -> int:
    try:
        return accuracy.read_bytes().count(b"qsl_idx")
    except OSError:
        return 0


def _logs(loadgen: Any, folder: Path) -> Any:
    outputs = loadgen.LogOutputSettings()
    outputs.outdir = str(folder)
    logs = loadgen.LogSettings()
    logs.log_output = outputs
    logs.enable_trace = False
    return logs


def read_log(folder: Path) -> Logged:
    """Key → value of a test's detail log, the first of each key. StageFailure (host) if LoadGen left none."""
    found = {}  # type: Logged
    try:
        with (folder / DETAIL).open(encoding="utf-8") as lines:
            for line in lines:
                if line.startswith(MARKER):
                    entry = json.loads(line[len(MARKER) :])
                    found.setdefault(entry["key"], entry["value"])
    except (OSError, ValueError, KeyError) as error:
        raise _unwritten(folder, error) from error
    return found


def _unwritten(folder: Any, why: Any = "it is cut off") -> StageFailure:
    return StageFailure(
        "host",
        "LoadGen left no readable log in {}: {}".format(folder, why),
        "free some space on the disk of ASSAY_HOME, then run the same command again",
    )


def _settings(loadgen: Any, asked: Asked, scenario: Scenario) -> Any:
    found = loadgen.TestSettings()
    found.scenario = getattr(loadgen.TestScenario, SCENARIOS[scenario.name])
    found.mode = getattr(loadgen.TestMode, asked.mode)
    found.min_duration_ms = asked.min_duration_ms
    found.min_query_count = asked.min_query_count
    for name, seed in SEEDS.items():
        setattr(found, name, seed)
    if asked.mode == PERFORMANCE:
        # As LoadGen itself does for accuracy_log_sampling_target, which 5.0 does not have.
        expected = asked.rate * scenario.samples_per_query * asked.min_duration_ms / 1e3
        found.accuracy_log_probability = min(1.0, SAMPLED / max(1.0, expected))
        # Drawn here, in the process that measures: nobody else can know which responses are kept.
        found.accuracy_log_rng_seed = int.from_bytes(os.urandom(4), "little")
    expected_ns = int(clock.NS_PER_S / (HEADROOM * asked.rate))
    if scenario.name == "offline":
        found.offline_expected_qps = OFFLINE_SLACK * asked.rate
    elif scenario.name == "singlestream":
        found.single_stream_expected_latency_ns = expected_ns
        found.single_stream_target_latency_percentile = scenario.percentile
    elif scenario.name == "multistream":
        found.multi_stream_expected_latency_ns = expected_ns
        found.multi_stream_target_latency_percentile = scenario.percentile
        found.multi_stream_samples_per_query = scenario.samples_per_query
    else:
        found.server_target_qps = asked.rate
        found.server_max_async_queries = asked.outstanding
        found.server_target_latency_ns = scenario.latency_bound_ns
        found.server_target_latency_percentile = scenario.percentile
    if scenario.tokens:
        found.use_token_latencies = True
        found.ttft_latency = scenario.latency_bound_ns
        found.tpot_latency = scenario.token_bound_ns
    return found
