"""Which CUDA card torch sees, for gpu.py: a line of JSON, words by name, or why there is "none"."""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess

import torch
from timing import processor


def card() -> dict[str, str]:
    """The card, what drives it, and the machine around it."""
    if not torch.cuda.is_available():
        visible = os.environ.get("CUDA_VISIBLE_DEVICES")
        why = f"torch {torch.__version__} sees none"
        if torch.version.cuda is None:
            why += ": it was built without CUDA"
        elif visible is not None:
            why += f", CUDA_VISIBLE_DEVICES={visible}"
        return {"none": why}
    about = torch.cuda.get_device_properties(0)
    return {
        "device": torch.cuda.get_device_name(0),
        "memory": f"{about.total_memory / 2**30:.0f} GiB",
        "compute capability": f"{about.major}.{about.minor}",
        "driver": _driver(),
        "CUDA": str(torch.version.cuda),
        "cuDNN": str(torch.backends.cudnn.version()),
        "torch": torch.__version__,
        "Python": platform.python_version(),
        "processor": f"{processor()} ({len(os.sched_getaffinity(0))} cores)",
    }


def _driver() -> str:
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return "unknown"
    query = [tool, "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        answer = subprocess.run(query, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return (answer.stdout.split() or ["unknown"])[0]


if __name__ == "__main__":
    print(json.dumps(card()))
