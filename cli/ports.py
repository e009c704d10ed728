"""Free ports on this machine. Owns where they are looked for; holds none."""

import random
import socket
from pathlib import Path

LOCALHOST = "127.0.0.1"
_EPHEMERAL = Path("/proc/sys/net/ipv4/ip_local_port_range")
_LOWEST, _USUAL_END = 20_000, 32_768
_TRIES = 1_000


def free_addresses(count: int) -> list[str]:
    """`count` different addresses on loopback that nobody listens on, as host:port.

    Never from the range outgoing connections take theirs from: while a server is away, a client that keeps dialling its
    port could be given that very port, connect to itself, and the server could not come back.

    Raises:
        OSError: there are none left.
    """
    found: list[str] = []
    candidates = random.sample(range(_LOWEST, max(_end(), _LOWEST + _TRIES)), _TRIES)
    for port in candidates:
        if len(found) == count:
            return found
        if _is_free(port):
            found.append(f"{LOCALHOST}:{port}")
    raise OSError(f"no {count} free ports from {_LOWEST} on")


def _end() -> int:
    try:
        return int(_EPHEMERAL.read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return _USUAL_END


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind((LOCALHOST, port))
        except OSError:
            return False
    return True
