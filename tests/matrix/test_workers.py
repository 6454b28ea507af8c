"""The table of workers: what it may hold, and which row gets which target."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgekit import catalog
from edgekit.errors import BadInput
from edgekit.matrix.config import Config
from edgekit.matrix.fleets.local import LocalFleet
from edgekit.matrix.fleets.routes import RoutedFleet, fleet_of
from edgekit.matrix.fleets.workers import Worker, read_workers

ORIN = """
[[worker]]
name = "orin"
kind = "ssh"
labels = ["jetson-orin"]
host = "user@orin.local"
"""
CLUSTER = """
[[worker]]
name = "cluster"
kind = "dask"
scheduler = "tcp://10.0.0.2:8786"
"""
HERE = """
[[worker]]
name = "here"
kind = "local"
"""


def table(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "workers.toml"
    path.write_text(text)
    return path


def test_a_table_of_all_kinds(tmp_path):
    assert read_workers(table(tmp_path, ORIN + CLUSTER + HERE)) == (
        Worker(name="orin", kind="ssh", labels=("jetson-orin",), host="user@orin.local"),
        Worker(name="cluster", kind="dask", scheduler="tcp://10.0.0.2:8786"),
        Worker(name="here", kind="local"),
    )


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "it has no [[worker]]"),
        (ORIN + ORIN, "name: must be a word that no other worker has"),
        (ORIN.replace('"orin"', '"an orin"'), "name: must be a word"),
        (ORIN + "port = 22", "worker.0.port: unknown key"),
        (ORIN.replace('"ssh"', '"telnet"'), "worker.0.kind"),
        (ORIN.replace("host", "# host"), "host: is for kind 'ssh', which needs it"),
        (ORIN.replace("labels", "# labels"), "labels: are missing"),
        (ORIN.replace("jetson-orin", "a=b"), "'a=b' is not a word"),
        (ORIN.replace("user@", "-oProxyCommand=x "), "host: must be HOST or USER@HOST"),
        (CLUSTER.replace("scheduler", "# scheduler"), "scheduler: is for kind 'dask'"),
        (CLUSTER.replace("tcp://", ""), "scheduler: must be an address such as tcp://"),
        (HERE + 'host = "orin"', "host: is for kind 'ssh'"),
        (HERE + 'python = "/venv/bin/python"', "worker.0.python: is for kind 'ssh'"),
        (CLUSTER + 'folder = "there"', "worker.0.folder: is for kind 'ssh'"),
        (ORIN + 'python = ""', "worker.0.python: must be a path on the device"),
        (ORIN + 'python = "a\\u0000b"', "worker.0.python: must be a path on the device"),
        (ORIN + 'folder = " "', "worker.0.folder: must be a path on the device"),
        ("[[worker]", "workers.toml"),
    ],
)
def test_a_table_that_cannot_be_meant_is_refused(tmp_path, text, problem):
    with pytest.raises(BadInput) as error:
        read_workers(table(tmp_path, text))
    assert problem in error.value.what
    assert "[[worker]] with name and kind" in error.value.expected


def test_a_table_that_is_not_there(tmp_path):
    with pytest.raises(BadInput, match=r"none\.toml"):
        fleet_of(Config(fleet=str(tmp_path / "none.toml")))


def test_without_a_table_this_machine_is_the_fleet():
    assert isinstance(fleet_of(Config()), LocalFleet)


@pytest.mark.parametrize("target", catalog.targets(), ids=lambda target: target.name)
def test_every_target_has_a_label(target):
    assert target.label


def routed(tmp_path: Path, text: str) -> RoutedFleet:
    fleet = fleet_of(Config(fleet=str(table(tmp_path, text))))
    assert isinstance(fleet, RoutedFleet)
    return fleet


def test_a_target_goes_to_the_first_row_with_its_label(tmp_path):
    x86 = HERE + 'labels = ["x86"]\n'
    fleet = routed(tmp_path, x86 + HERE.replace("here", "rest"))
    hosts = {name: fleet.host(catalog.target(name)) for name in ("x86-fp32", "iphone-fp16")}
    assert {host.label for host in hosts.values()} == {"local"}
    assert fleet.capacity(hosts["x86-fp32"]) == 1


def test_a_target_without_a_worker_has_no_machine_and_tells_why(tmp_path, make_cell):
    fleet = routed(tmp_path, HERE + 'labels = ["x86"]\n')
    host = fleet.host(catalog.target("jetson-fp16"))
    assert (host.label, host.machine) == ("jetson-orin", "")
    assert fleet.capacity(host) == 1
    with pytest.raises(BadInput, match=r"No worker in .* has the label 'jetson-orin'"):
        fleet.run(make_cell("jetson-fp16"), catalog.target("jetson-fp16"))
