"""Bindings of TensorRT to hold calls against, and an NVIDIA driver made of malloc and memcpy."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest


def _load(name: str) -> ModuleType:
    """A helper beside this file: tests are no package (--import-mode=importlib)."""
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


_bindings = _load("bindings")


@pytest.fixture(scope="session")
def bindings_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Any]:
    """`bindings_of("10")`: what the bindings of that major version take. Skips with a reason."""

    @cache
    def read(major: str) -> dict[str, Any]:
        return _bindings.read_bindings(major, tmp_path_factory.mktemp(f"tensorrt-{major}"))

    def make(major: str, *, version: str | None = None) -> Any:
        try:
            return _bindings.Bindings(read(major), version=version)
        except _bindings.Unavailable as error:
            pytest.skip(f"TensorRT {major} bindings: {error}")

    return make


DRIVER = """
#include <stdlib.h>
#include <string.h>
int cuInit(unsigned f) { return 0; }
int cuDeviceGet(int *d, int n) { *d = n; return 0; }
int cuDeviceGetName(char *s, int n, int d) { strncpy(s, "Orin", n); return 0; }
int cuDeviceGetAttribute(int *v, int a, int d) { *v = a == 75 ? 8 : 7; return 0; }
int cuDriverGetVersion(int *v) { *v = 12060; return 0; }
int cuDevicePrimaryCtxRetain(void **c, int d) { *c = (void *)1; return 0; }
int cuCtxSetCurrent(void *c) { return c == (void *)1 ? 0 : 201; }
int cuStreamCreate(void **s, unsigned f) { *s = (void *)7; return 0; }
int cuStreamDestroy_v2(void *s) { return 0; }
int cuStreamSynchronize(void *s) { return s == (void *)7 ? 0 : 400; }
static int living;
int living_buffers(void) { return living; }
int cuMemAlloc_v2(unsigned long long *p, size_t n) {
  if (n > 1000000) return 2;
  living++;
  *p = (unsigned long long)malloc(n);
  return 0;
}
int cuMemFree_v2(unsigned long long p) { living--; free((void *)p); return 0; }
int cuMemcpyHtoDAsync_v2(unsigned long long d, const void *h, size_t n, void *s) {
  memcpy((void *)d, h, n); return s == (void *)7 ? 0 : 400;
}
int cuMemcpyDtoHAsync_v2(void *h, unsigned long long d, size_t n, void *s) {
  memcpy(h, (void *)d, n); return s == (void *)7 ? 0 : 400;
}
int cuGetErrorString(int e, const char **s) { *s = e == 2 ? "out of memory" : "invalid"; return 0; }
"""


@pytest.fixture(scope="session")
def driver_library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A libcuda.so.1 whose device memory is the host's, and whose GPU is an Orin (8.7)."""
    folder = tmp_path_factory.mktemp("driver")
    (folder / "driver.c").write_text(DRIVER)
    library = folder / "libcuda.so.1"
    try:
        subprocess.run(["gcc", "-shared", "-fPIC", "-o", library, folder / "driver.c"], check=True)
    except FileNotFoundError:
        pytest.skip("no gcc to make a driver with")
    return library
