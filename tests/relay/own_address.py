"""Run in a network of its own: an endpoint on a public address of this very machine, by each sort of guard."""

import asyncio
import ipaddress
import json
import sys

from relay.factories import endpoint
from relay.receiver import Receiver, obey

from answerback.relay.sender import WebhookSender


async def main(address: str) -> dict[str, str | None]:
    """What became of a delivery by the API's endpoints, by those of the config file, and where the network is allowed."""
    receiver = Receiver(obey, "http")
    async with await asyncio.start_server(receiver.serve, address, 0) as server:
        port = server.sockets[0].getsockname()[1]
        host = f"[{address}]" if ":" in address else address
        url = f"http://{host}:{port}/"
        errors: dict[str, str | None] = {}
        for name, trusted, networks in (("api", False, ()), ("allowed", False, (address,)), ("config", True, ())):
            webhook_sender = WebhookSender([ipaddress.ip_network(network) for network in networks])
            outcome = await webhook_sender.send(endpoint(url, from_config=trusted), "msg_1", b"{}")
            errors[name] = outcome.error
            await webhook_sender.close()
        return errors


if __name__ == "__main__":
    sys.stdout.write(json.dumps(asyncio.run(main(sys.argv[1]))))
