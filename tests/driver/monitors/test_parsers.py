"""Each monitor's parser on recorded output of several versions, and on unknown output."""

from __future__ import annotations

from pathlib import Path

import pytest

from driver.monitors.reading import MIB, MonitorFormatError, Reading, remarks_of
from driver.monitors.sources import COMMANDS, PARSERS

RECORDED = Path(__file__).parent / "recorded"


def read(name: str) -> str:
    return (RECORDED / name).read_text(encoding="utf-8")


# file, parser, device index in the file → (device, name, used MiB, total MiB, W, °C, %, MHz)
EXPECTED = [
    ("nvidia-smi-470-nounits.csv", "nvidia-smi", 0,
     ("0", "Tesla T4", 1127, 15109, 68.31, 71, 97, 1095)),
    ("nvidia-smi-535-header-units.csv", "nvidia-smi", 1,
     ("1", "NVIDIA A100-SXM4-40GB", 4, 40960, 52.1, 31, 0, 210)),
    ("nvidia-smi-570-absent.csv", "nvidia-smi", 0,
     ("0", "NVIDIA GB10", None, None, 41.2, 45, 12, None)),
    ("nvidia-smi-535-errors.csv", "nvidia-smi", 0,
     ("0", "Tesla T4", 1127, 15360, None, 63, None, None)),
    ("nvidia-smi-535-errors.csv", "nvidia-smi", 1,
     ("1", "", None, None, None, None, None, None)),
    ("npu-smi-21.0.3.1-310.txt", "npu-smi", 1, ("1", "310", 3377, 8192, 12.8, 51, 87, None)),
    ("npu-smi-22.0.2-310P3.txt", "npu-smi", 0, ("0", "310P3", 1074, 21534, 15.8, 42, 0, None)),
    ("npu-smi-23.0.rc3-910B4.txt", "npu-smi", 0, ("0", "910B4", 3127, 32768, 82.6, 47, 0, None)),
    ("npu-smi-23.0.rc3-910B4.txt", "npu-smi", 1, ("1", "910B4", 3126, 32768, None, 50, 35, None)),
    ("npu-smi-23.0-310Pvir02.txt", "npu-smi", 0,
     ("0", "310Pvir02", 512, 5381, None, 31, 0, None)),
    ("npu-smi-25.2.1-310P3.txt", "npu-smi", 1, ("2", "310P3", 19562, 21527, None, 46, 0, None)),
    ("npu-smi-25.5.1-310P3-two-chips.txt", "npu-smi", 1,
     ("1", "310P3", 1511, 43693, None, 45, 0, None)),
    ("npu-smi-25.5.2-910B4.txt", "npu-smi", 0, ("5", "910B4", 2922, 32768, 89.9, 39, 0, None)),
    ("npu-smi-26.1.0-910B3.txt", "npu-smi", 1, ("1", "910B3", 3403, 65536, 94.8, 48, 0, None)),
    ("npu-smi-26.0.rc1-Ascend910.txt", "npu-smi", 1,
     ("1", "Ascend910", 59536, 65536, None, 40, 60, None)),
    # It has HBM, of which this table says nothing: no figure, and no memory of 0.
    ("npu-smi-26.0.rc1-910B1-no-hbm.txt", "npu-smi", 0,
     ("0", "910B1", None, None, 98.1, 48, 100, None)),
    ("xpu_smi-m-P800.txt", "xpu_smi", 1, ("1", "P800 OAM", 90440, 98304, 91, 39, 97, 1450)),
    ("xpu_smi-m-K200-milliwatt.txt", "xpu_smi", 0, ("0", "K200", 5095, 8064, 71.25, 52, 64, 900)),
    ("xpu_smi-table.txt", "xpu_smi", 0, ("0", "R200", 6411, 32768, 112, 61, 88, 1300)),
    ("mx-smi-2.1.6.txt", "mx-smi", 1, ("1", "MXC500", 60982, 65536, 311, 64, 98, None)),
    ("mx-smi-2.2.4.txt", "mx-smi", 0, ("0", "MetaX C500", 858, 65536, 48, 45, 0, None)),
    ("mx-smi-2.1.12-no-power-cap.txt", "mx-smi", 0,
     ("0", "MetaX C550", 905, 65536, 88, 39, 0, None)),
    ("mx-smi-2.2.9-board-columns.txt", "mx-smi", 1,
     ("1", "MetaX C500", 826, 65536, 58, 37, 0, None)),
    ("mx-smi-2.3.1-board-columns.txt", "mx-smi", 0,
     ("0", "MetaX C500", 1402, 65536, 61, 41, 0, None)),
    ("nvidia-smi-535-warning.csv", "nvidia-smi", 0, ("0", "Tesla T4", 3, 15360, 9.1, 31, 0, 300)),
    ("ixsmi-4.4-MR-V100.csv", "ixsmi", 0,
     ("0", "Iluvatar MR-V100", 116, 32768, 38, 41, 0, 1500)),
    # The second chip of a card has no meter.
    ("ixsmi-4.1-BI-V150-header.csv", "ixsmi", 0,
     ("0", "Iluvatar BI-V150", 116, 32768, None, 32, 0, 1500)),
    ("ixsmi-4.1-BI-V150-header.csv", "ixsmi", 1,
     ("1", "Iluvatar BI-V150", 27052, 32768, 93, 30, 98, 1500)),
    # Device 0 fell off the bus: the one behind it keeps its index.
    ("nvidia-smi-535-lost.csv", "nvidia-smi", 0, ("1", "Tesla T4", 3, 15360, 9.1, 31, 0, 300)),
]  # fmt: skip
COUNTS = {
    "nvidia-smi-535-header-units.csv": 2,
    "nvidia-smi-535-errors.csv": 2,
    "npu-smi-21.0.3.1-310.txt": 2,
    "npu-smi-23.0.rc3-910B4.txt": 2,
    "npu-smi-25.2.1-310P3.txt": 2,
    "npu-smi-25.5.1-310P3-two-chips.txt": 2,
    "npu-smi-26.1.0-910B3.txt": 2,
    "npu-smi-26.0.rc1-Ascend910.txt": 2,
    "mx-smi-2.2.9-board-columns.txt": 2,
    "xpu_smi-m-P800.txt": 2,
    "mx-smi-2.1.6.txt": 2,
    "ixsmi-4.1-BI-V150-header.csv": 2,
}


@pytest.mark.parametrize(("file", "parser", "index", "expected"), EXPECTED)
def test_recorded_output_is_read(
    file: str, parser: str, index: int, expected: tuple[object, ...]
) -> None:
    readings = PARSERS[parser](read(file))
    assert len(readings) == COUNTS.get(file, 1)
    r = readings[index]
    used = None if r.memory_used_bytes is None else r.memory_used_bytes / MIB
    total = None if r.memory_total_bytes is None else r.memory_total_bytes / MIB
    figures = (r.power_w, r.temperature_c, r.utilisation_percent, r.clock_mhz)
    assert (r.device, r.name, used, total, *figures) == expected


@pytest.mark.parametrize(
    ("file", "remark"),
    [
        ("nvidia-smi-535-warning.csv", "WARNING: infoROM is corrupted at gpu 0000:3B:00.0"),
        ("nvidia-smi-535-lost.csv", "device handle for GPU0000:0B:00.0: Unknown Error"),
    ],
)
def test_a_line_of_text_between_rows_is_a_remark_and_the_rows_are_kept(
    file: str, remark: str
) -> None:
    (said,) = remarks_of(PARSERS["nvidia-smi"](read(file)))
    assert remark in said


def test_text_without_a_row_is_no_reading() -> None:
    with pytest.raises(MonitorFormatError, match="No devices were found"):
        PARSERS["nvidia-smi"]("No devices were found\n")


def test_the_board_layout_numbers_gpus_and_not_boards() -> None:
    """A board may carry two GPUs: MACA_VISIBLE_DEVICES counts GPUs."""
    text = read("mx-smi-2.3.1-board-columns.txt").replace(
        "| 0           Off |", "| 1           Off |"
    )
    (reading,) = PARSERS["mx-smi"](text)
    assert reading.device == "1"


def test_every_recorded_file_has_a_test() -> None:
    assert {file for file, *_ in EXPECTED} == {path.name for path in RECORDED.iterdir()}


def test_every_parser_has_its_documented_command() -> None:
    # Any program can print the document: vendor.toml names it. amd-smi has commands, and no parser of one text.
    assert set(COMMANDS) - {"amd-smi"} == set(PARSERS) - {"json"}


@pytest.mark.parametrize(
    ("file", "parser", "version"),
    [
        ("nvidia-smi-470-nounits.csv", "nvidia-smi", "470.82.01"),
        ("npu-smi-22.0.2-310P3.txt", "npu-smi", "22.0.2"),
        ("mx-smi-2.2.4.txt", "mx-smi", "2.14.8"),
    ],
)
def test_driver_version_is_read(file: str, parser: str, version: str) -> None:
    assert PARSERS[parser](read(file))[0].driver_version == version


@pytest.mark.parametrize(
    ("file", "parser", "old", "new", "named"),
    [
        (
            "nvidia-smi-470-nounits.csv",
            "nvidia-smi",
            ", 1095",
            "",
            "line 1: expected 9 columns, found 8",
        ),
        ("nvidia-smi-470-nounits.csv", "nvidia-smi", "68.31", "much", "line 1: a figure is not"),
        ("nvidia-smi-470-nounits.csv", "nvidia-smi", "68.31", "-1", "line 1: a figure is not"),
        ("nvidia-smi-470-nounits.csv", "nvidia-smi", "68.31", "nan", "line 1: a figure is not"),
        ("npu-smi-22.0.2-310P3.txt", "npu-smi", "Power(W)", "Power[W]", r"line 4: .* Power\(W\)"),
        ("npu-smi-22.0.2-310P3.txt", "npu-smi", "15.8", "warm", "line 7: 'warm' is not a number"),
        ("npu-smi-22.0.2-310P3.txt", "npu-smi", "1074 / 21534", "1074 used", "line 8: no chip"),
        (
            "npu-smi-22.0.2-310P3.txt",
            "npu-smi",
            "| 0       0 ",
            "+ 0       0 ",
            "two lines per chip",
        ),
        ("xpu_smi-m-P800.txt", "xpu_smi", "00000000:05:00.0", "GPU-1", "line 2: not a row"),
        ("xpu_smi-m-P800.txt", "xpu_smi", " 98304 0 ", " all 0 ", "line 1: a figure is not"),
        ("xpu_smi-table.txt", "xpu_smi", "UseRate", "Usage", "line 4: the header has no UseRate"),
        ("xpu_smi-table.txt", "xpu_smi", "6411 / 32768", "6411", "line 6: a figure is not"),
        ("mx-smi-2.2.4.txt", "mx-smi", "48W / 350W", "48 / 350", "line 15: no version's table"),
        ("mx-smi-2.2.4.txt", "mx-smi", "858/65536 MiB", "1%", "line 15: no version's table"),
        ("mx-smi-2.2.4.txt", "mx-smi", "| 45C", "+ 45C", "second line is missing"),
    ],
)
def test_an_unknown_line_is_named(file: str, parser: str, old: str, new: str, named: str) -> None:
    text = read(file)
    assert old in text
    with pytest.raises(MonitorFormatError, match=named):
        PARSERS[parser](text.replace(old, new, 1))


@pytest.mark.parametrize("parser", sorted(PARSERS))
@pytest.mark.parametrize("text", ["", "\n", "Failed to initialize: driver not loaded\n"])
def test_no_table_at_all_is_refused(parser: str, text: str) -> None:
    with pytest.raises(MonitorFormatError):
        PARSERS[parser](text)


def test_a_vendors_own_monitor_prints_one_document() -> None:
    text = """{"devices": [
        {"device": "0", "name": "X1", "uuid": "A-1", "driver_version": "2.1", "power_w": 71.5,
         "memory_used_bytes": 1073741824, "memory_total_bytes": 8589934592, "temperature_c": 41,
         "utilisation_percent": 97, "clock_mhz": 1200, "energy_j": 12.5},
        {"device": "1", "power_w": null}]}"""
    first, second = PARSERS["json"](text)
    assert first == Reading(
        device="0", name="X1", uuid="A-1", driver_version="2.1", power_w=71.5,
        memory_used_bytes=1 << 30, memory_total_bytes=8 << 30, temperature_c=41.0,
        utilisation_percent=97.0, clock_mhz=1200.0, energy_j=12.5,
    )  # fmt: skip
    assert second == Reading(device="1")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("X1 41C 70W", "printed no JSON"),
        ("[]", 'must print {"devices"'),
        ('{"devices": [], "host": "a"}', "unknown key 'host'"),
        ('{"devices": ["0"]}', "devices[0] is not an object"),
        ('{"devices": [{"name": "X1"}]}', 'devices[0] has no "device"'),
        ('{"devices": [{"device": 0}]}', "devices[0].device is 0, not a string"),
        ('{"devices": [{"device": "0", "power": 1}]}', "(did you mean power_w?)"),
        ('{"devices": [{"device": "0", "power_w": "70 W"}]}', "devices[0].power_w is '70 W'"),
        ('{"devices": [{"device": "0", "power_w": NaN}]}', "devices[0].power_w is nan"),
        ('{"devices": [{"device": "0", "power_w": -1}]}', "not a number of 0 or more"),
        ('{"devices": [{"device": "0"}, {"device": "0"}]}', "lists a device twice: 0, 0"),
    ],
)
def test_a_document_that_would_lose_a_figure_is_refused(text: str, said: str) -> None:
    with pytest.raises(MonitorFormatError) as caught:
        PARSERS["json"](text)
    assert said in str(caught.value)
