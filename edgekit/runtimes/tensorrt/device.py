"""Memory and a stream on the first NVIDIA GPU, through the driver's own library.

The driver API by ctypes, not cuda-python, cupy or torch: libcuda.so.1 is there wherever a GPU works
and has had these entry points since CUDA 3.2, while none of the packages has a wheel for every
Python and every JetPack. TensorRT works in the same (primary) context.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from weakref import finalize

import numpy as np

from edgekit.errors import RuntimeMissing

LIBRARY = "libcuda.so.1"


class Device:
    """The GPU's primary context, and one stream. Addresses and streams are plain integers.

    Raises (all methods):
        RuntimeMissing: the driver refuses; its own words are in the message.
    """

    def __init__(self) -> None:
        try:
            self._driver = ctypes.CDLL(LIBRARY)
        except OSError as error:
            raise RuntimeMissing(
                f"There is no NVIDIA driver here: {error}", next_step="edgekit doctor"
            ) from error
        device, self._context = ctypes.c_int(), ctypes.c_void_p()
        self._call("cuInit", ctypes.c_uint(0))
        self._call("cuDeviceGet", ctypes.byref(device), ctypes.c_int(0))
        self._call("cuDevicePrimaryCtxRetain", ctypes.byref(self._context), device)
        self.make_current()
        self._stream = ctypes.c_void_p()
        self._call("cuStreamCreate", ctypes.byref(self._stream), ctypes.c_uint(0))
        _freed_with(self, self._driver.cuStreamDestroy_v2, self._stream)

    def make_current(self) -> None:
        """Let the calling thread use the context: each thread has to say so."""
        self._call("cuCtxSetCurrent", self._context)

    @property
    def stream(self) -> int:
        """The handle that TensorRT enqueues on."""
        return self._stream.value or 0

    def buffer(self, size: int) -> Buffer:
        """Uninitialised memory of so many bytes, freed with the object."""
        address = ctypes.c_uint64()
        self._call("cuMemAlloc_v2", ctypes.byref(address), ctypes.c_size_t(size))
        return Buffer(address.value, size, free=self._driver.cuMemFree_v2)

    def upload(self, array: np.ndarray, buffer: Buffer) -> None:
        """Copy a contiguous array to the start of a buffer, when the stream gets there."""
        self._call(
            "cuMemcpyHtoDAsync_v2",
            ctypes.c_uint64(buffer.address),
            ctypes.c_void_p(array.ctypes.data),
            ctypes.c_size_t(array.nbytes),
            self._stream,
        )

    def download(self, buffer: Buffer, array: np.ndarray) -> None:
        """Copy the start of a buffer into a contiguous array, when the stream gets there."""
        self._call(
            "cuMemcpyDtoHAsync_v2",
            ctypes.c_void_p(array.ctypes.data),
            ctypes.c_uint64(buffer.address),
            ctypes.c_size_t(array.nbytes),
            self._stream,
        )

    def finish(self) -> None:
        """Wait for the stream."""
        self._call("cuStreamSynchronize", self._stream)

    def _call(self, function: str, *arguments: object) -> None:
        status = getattr(self._driver, function)(*arguments)
        if status:
            text = ctypes.c_char_p()
            self._driver.cuGetErrorString(status, ctypes.byref(text))
            said = text.value.decode() if text.value else f"error {status}"
            raise RuntimeMissing(
                f"The NVIDIA driver refuses {function}: {said}.",
                expected="a GPU that works, with memory to spare",
                next_step="edgekit doctor",
            )


class Buffer:
    """Device memory; `address` is what TensorRT's set_tensor_address takes."""

    def __init__(self, address: int, size: int, *, free: Callable[..., int]) -> None:
        self.address = address
        self.size = size
        _freed_with(self, free, ctypes.c_uint64(address))


def _freed_with(owner: object, free: Callable[..., int], handle: object) -> None:
    """Not at exit: the driver may be gone before, and the process's memory is freed anyhow."""
    finalize(owner, free, handle).atexit = False
