"""Memory and a stream on the first NVIDIA GPU, through the driver API and ctypes.

Not through cuda-python, cupy or torch: none of them has a wheel for every Python and JetPack.
libcuda.so.1 exists wherever a GPU works and has had these entry points since CUDA 3.2. TensorRT
works in the same (primary) context.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from weakref import finalize

import numpy as np

from edgekit.errors import RuntimeMissing

LIBRARY = "libcuda.so.1"


class Device:
    """The GPU's primary context and one stream. Addresses and streams are plain integers.

    Raises (all methods):
        RuntimeMissing: the driver reports an error, which is in the message.
    """

    def __init__(self) -> None:
        try:
            self._driver = ctypes.CDLL(LIBRARY)
        except OSError as error:
            raise RuntimeMissing(
                f"There is no NVIDIA driver here: {error}", next_step="edgekit doctor"
            ) from error
        # Since CUDA 3.2 the functions with 64-bit sizes have the suffix _v2 in the library.
        device, self._context = ctypes.c_int(), ctypes.c_void_p()
        self._call("cuInit", ctypes.c_uint(0))
        self._call("cuDeviceGet", ctypes.byref(device), ctypes.c_int(0))
        self._call("cuDevicePrimaryCtxRetain", ctypes.byref(self._context), device)
        self.make_current()
        self._stream = ctypes.c_void_p()
        self._call("cuStreamCreate", ctypes.byref(self._stream), ctypes.c_uint(0))
        _free_with(self, self._driver.cuStreamDestroy_v2, self._stream)

    def make_current(self) -> None:
        """Make the context current in the calling thread; each thread needs it."""
        self._call("cuCtxSetCurrent", self._context)

    @property
    def stream(self) -> int:
        """The handle of the stream that TensorRT enqueues on."""
        return self._stream.value or 0

    def buffer(self, size: int) -> Buffer:
        """Uninitialised memory of `size` bytes, freed with the object."""
        address = ctypes.c_uint64()
        self._call("cuMemAlloc_v2", ctypes.byref(address), ctypes.c_size_t(size))
        return Buffer(address.value, size, free=self._driver.cuMemFree_v2)

    def upload(self, array: np.ndarray, buffer: Buffer) -> None:
        """Enqueue a copy of a contiguous array to the start of a buffer."""
        self._call(
            "cuMemcpyHtoDAsync_v2",
            ctypes.c_uint64(buffer.address),
            ctypes.c_void_p(array.ctypes.data),
            ctypes.c_size_t(array.nbytes),
            self._stream,
        )

    def download(self, buffer: Buffer, array: np.ndarray) -> None:
        """Enqueue a copy of the start of a buffer into a contiguous array."""
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
        _free_with(self, free, ctypes.c_uint64(address))


def _free_with(owner: object, free: Callable[..., int], handle: object) -> None:
    """Free a handle with its owner, but not at exit: the driver may already be unloaded."""
    finalize(owner, free, handle).atexit = False
