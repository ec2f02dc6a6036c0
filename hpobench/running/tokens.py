"""Ray's token: who may talk to a cluster."""

from __future__ import annotations

import logging


def bring_token() -> None:
    """Let this process send the token that its machine has, if it has one, to the Rays it asks.

    A Ray started on a machine with a token asks everybody for it (and `ray.init` makes one); but
    Ray's clients bring it by themselves only to the address ``auto``. A Ray that asks for none does
    not mind it. RAY_AUTH_MODE, where it is set, decides.
    """
    from ray._private.authentication import authentication_token_setup as setup

    quiet = logging.getLogger(setup.__name__)
    level = quiet.level
    quiet.setLevel(logging.ERROR)  # it would tell how to switch it off
    try:
        setup.maybe_enable_token_auth_if_token_available(warn_if_disabled=False)
    finally:
        quiet.setLevel(level)
