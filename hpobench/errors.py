"""Errors that a user can act on: the command line prints each as one line, with exit code 2."""

from __future__ import annotations

import errno


class HpobenchError(Exception):
    """A mistake or a fault with a remedy; the message says what, where, and what to do."""


class RunError(HpobenchError):
    """A run folder that cannot be read or written."""


class LostRayError(RunError):
    """The Ray that a study ran on is gone; what is left of it in this process may crash it."""


class ClusterError(HpobenchError):
    """A cluster that cannot be described, started, reached, or given a job."""


class StudyError(HpobenchError):
    """A study that makes no sense, or that this machine cannot run."""


class TrackingError(HpobenchError):
    """Weights & Biases could not be written to, or could not be reached; the results are whole."""


def is_full(error: BaseException) -> bool:
    """Whether it is a disk that has no room, or none for this user."""
    return getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT)
