"""Where a run computes and in which precision: how fast that machine is, and how large."""

import ctypes
import os
import platform
import resource
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from time import perf_counter
from typing import Any, Literal, TypeVar

import torch

from lmcompare.errors import UserError
from lmcompare.view import View

Precision = Literal["float32", "bfloat16"]
Item = TypeVar("Item")
Found = TypeVar("Found")

DTYPES: dict[str, torch.dtype] = {"float32": torch.float32, "bfloat16": torch.bfloat16}

STEPS_UNREAD = 16
TOKENS_AT_ONCE = 4096  # of a forward pass on a processor
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # malloc.h
NUM_PRODUCTS = 2  # timed together; few, as a processor without bfloat16 takes long for each
# what Linux calls the instructions that multiply bfloat16: of x86, and of ARM
BFLOAT16_FLAGS = {"avx512_bf16", "amx_bf16", "bf16"}
CPUINFO = Path("/proc/cpuinfo")
GROUPS, GROUPS_OF_THIS = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")
SIZES_OF_THIS = Path("/proc/self/statm")  # in pages: addresses, and those that are in memory


def choose_device(name: str) -> torch.device:
    """Return the device called `name`; `auto` is a GPU where there is one.

    Raises:
        UserError: no such device here.
    """
    if name == "auto":
        accelerator = torch.accelerator.current_accelerator(check_available=True)
        return torch.device("cpu") if accelerator is None else torch.device(accelerator.type)
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError):
        found = torch.accelerator.current_accelerator(check_available=True)
        raise UserError(
            f"there is no device '{name}' here, only "
            f"cpu{'' if found is None else f' and {found}'}: "
            "choose one of these (for training: runtime.device)"
        ) from None
    return device


def device_name(device: torch.device) -> str:
    """Return the name that the device is sold under."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    model = ""
    if names := _cpuinfo("model name"):
        model = names[0]
    return f"{model or platform.processor() or platform.machine()}, {os.cpu_count()} cores"


def matmul_rate(
    device: torch.device, precision: Precision, *, rows: int = 2048, width: int = 1024
) -> float:
    """Measure matrix products (rows x width x width), operations a second; best of several."""
    dtype = DTYPES[precision]
    left = torch.randn(rows, width, device=device).to(dtype)
    right = torch.randn(width, width, device=device).to(dtype)
    best = float("inf")
    for _ in range(6):
        wait(device)
        start = perf_counter()
        for _ in range(NUM_PRODUCTS):
            left @ right
        wait(device)
        best = min(best, perf_counter() - start)
    return NUM_PRODUCTS * 2 * rows * width * width / best


def choose_precision(asked: str, device: torch.device) -> tuple[Precision, float]:
    """Return the precision to train in, and its rate of matrix products, operations a second.

    `auto` is bfloat16 where the device has instructions for it: the same for all runs on a machine,
    however busy it is.
    """
    precision = precision_of(asked, device)
    return precision, matmul_rate(device, precision)


def precision_of(asked: str, device: torch.device) -> Precision:
    """Return the precision that is asked for, `auto` being as in `choose_precision`."""
    half = multiplies_bfloat16(device) if asked == "auto" else asked == "bfloat16"
    return "bfloat16" if half else "float32"


def multiplies_bfloat16(device: torch.device) -> bool:
    """Tell whether a device has instructions that multiply bfloat16, as far as is known."""
    if device.type == "cuda":  # from compute capability 8.0 on
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type != "cpu":
        return False
    flags = _cpuinfo("flags") or _cpuinfo("Features")
    return not BFLOAT16_FLAGS.isdisjoint(flags[0].split() if flags else ())


def _cpuinfo(key: str) -> list[str]:
    """Return what Linux says of each processor under a key; nothing elsewhere."""
    if not CPUINFO.exists():
        return []
    pairs = (line.partition(":") for line in CPUINFO.read_text().split("\n"))
    return [value.strip() for name, _, value in pairs if name.strip() == key]


def rows_at_once(device: torch.device, *, rows: int, length: int) -> int:
    """Return how many of a step's `rows` of `length` tokens one forward pass takes best.

    A GPU wants all of them. A processor gains nothing from more than some thousand tokens.
    """
    return rows if device.type != "cpu" else min(rows, max(1, TOKENS_AT_ONCE // length))


def side_by_side(
    work: Callable[[Item], Found], items: Iterable[Item], device: torch.device
) -> list[Found]:
    """Do `work` on each item; a processor does as many at a time as it has threads.

    For pieces too small to be shared out well. What holds for one thread alone, as `torch.no_grad`
    does, is for `work` to see to.
    """
    each, threads = list(items), torch.get_num_threads()
    if device.type != "cpu" or min(len(each), threads) < 2:
        return [work(item) for item in each]
    try:
        with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            return list(pool.map(work, each))
    finally:
        torch.set_num_threads(threads)


def prepares_ahead(device: torch.device) -> bool:
    """Tell whether a step's text is to be prepared while the one before is computed.

    A processor has no hand free for it.
    """
    return device.type != "cpu"


def steps_unread(device: torch.device) -> int:
    """Return after how many steps losses are read; each reading waits for the device."""
    return 1 if device.type == "cpu" else STEPS_UNREAD


def pinned(view: View, device: torch.device) -> View:
    """Return the view in memory from which `device` copies while the processor continues."""
    if device.type != "cuda":
        return view
    return view.copied(lambda tensor: tensor.contiguous().pin_memory())


def pool_of_recordings() -> Any:
    """Return memory that recordings share, as only one of them runs at a time."""
    return torch.cuda.graph_pool_handle()


def recorded(work: Callable[[], object], pool: Any) -> Callable[[], None]:
    """Record the kernels of `work` on the GPU without running them; return what replays them."""
    graph = torch.cuda.CUDAGraph()
    # other threads pin memory meanwhile, which must not end the recording
    with torch.cuda.graph(graph, pool=pool, capture_error_mode="thread_local"):
        work()
    return graph.replay


def keep_compiled_products() -> None:
    """Have oneDNN keep what it compiles for each shape of a product; changes no result.

    It keeps 1,024 of them, and objectives whose lengths vary from step to step have more: each
    would be compiled again and again. To be called before the first product of the process.
    """
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "4096")


def keep_freed_memory() -> None:
    """Have the allocator keep what this process frees, where it is glibc's; changes no result.

    By default it gives every large temporary back to the system, and the next one is mapped and
    zeroed page by page: some 200,000 page faults in a second of training.
    """
    if platform.system() == "Linux":
        libc = ctypes.CDLL(None)
        if hasattr(libc, "mallopt"):
            libc.mallopt(M_MMAP_THRESHOLD, 1 << 30)
            libc.mallopt(M_TRIM_THRESHOLD, (1 << 31) - 1)


def peak_memory(device: torch.device) -> int:
    """Return the most memory held at once, in bytes: the device's own, or the resident set.

    On Linux this does not use the system call, which counts what the parent process held, too.
    """
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    try:
        status = Path("/proc/self/status").read_text()
        return 1024 * int(status.partition("VmHWM:")[2].split()[0])
    except (OSError, IndexError, ValueError):
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if platform.system() == "Darwin" else peak * 1024


def forget_peak_memory(device: torch.device) -> None:
    """Let `peak_memory` of a GPU begin anew at what is held now."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)


def memory(device: torch.device) -> int:
    """Return the bytes that this process may hold: what is free of a GPU, or all of the machine's.

    Of the machine's, a control group or `ulimit -v` may allow less.
    """
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0] + torch.cuda.memory_reserved(device)
    limits = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"), *_group_limits()]
    addresses, _ = resource.getrlimit(resource.RLIMIT_AS)
    if addresses != resource.RLIM_INFINITY:
        limits.append(addresses - _unused_addresses())
    return max(0, min(limits))


def _group_limits() -> Iterator[int]:
    """Yield the limits of this process's control groups, of both versions, and of those above."""
    if not GROUPS_OF_THIS.exists():
        return
    for line in GROUPS_OF_THIS.read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if not controllers:
            root, name = GROUPS, "memory.max"
        elif "memory" in controllers.split(","):
            root, name = GROUPS / "memory", "memory.limit_in_bytes"
        else:
            continue
        group = root / path.lstrip("/")
        for folder in [group, *(each for each in group.parents if each.is_relative_to(root))]:
            with suppress(OSError, ValueError):  # not there, or `max`
                yield int((folder / name).read_text())


def _unused_addresses() -> int:
    """Return the bytes of addresses that this process has reserved and does not use."""
    if not SIZES_OF_THIS.exists():
        return 0
    addresses, resident, *_ = map(int, SIZES_OF_THIS.read_text().split())
    return (addresses - resident) * os.sysconf("SC_PAGE_SIZE")


def wait(device: torch.device) -> None:
    """Wait until `device` has done all that it was told to do."""
    if device.type != "cpu":
        torch.accelerator.synchronize(device)
