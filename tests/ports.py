"""A port of this machine on which nobody listens, and which nobody else is given meanwhile."""

import socket


def reserve_port() -> socket.socket:
    """A socket that is bound to such a port until it is closed; a program that sets SO_REUSEADDR, as servers do, may listen there."""
    reservation = socket.socket()
    reservation.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    reservation.bind(("127.0.0.1", 0))  # and not listening: a connection is refused
    return reservation


def port_of(reservation: socket.socket) -> int:
    """Its number."""
    port: int = reservation.getsockname()[1]
    return port
