"""Ray's token: who may talk to a cluster."""

from __future__ import annotations

import logging


def bring_token() -> None:
    """Let this process send the token of its machine, if there is one, to the dashboards it asks.

    A Ray that is started on a machine with a token (`ray.init` makes one) asks everybody for it,
    and its clients do not bring it by themselves. A dashboard that asks for none does not mind it;
    processes of a cluster do, so this is not for whoever connects to one. RAY_AUTH_MODE, where it
    is set, decides.
    """
    from ray._private.authentication import authentication_token_setup as setup

    quiet = logging.getLogger(setup.__name__)
    level = quiet.level
    quiet.setLevel(logging.ERROR)  # it would tell how to switch it off
    try:
        setup.maybe_enable_token_auth_if_token_available(warn_if_disabled=False)
    finally:
        quiet.setLevel(level)
