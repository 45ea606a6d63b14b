"""Where nobody may make network namespaces: NATS nodes whose every connection goes through this process.

What is cut is neither refused nor closed: bytes are taken and stay, as when packets vanish, until it is healed.
"""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Self

from nats_servers import NatsCluster, Node


class TcpProxies:
    """Ports of this machine that lead to others; as a context manager they carry, and end at the end.

    The ends of a proxy are numbers of nodes: it carries nothing while one of them is cut off.
    """

    def __init__(self) -> None:
        self._whole: dict[int, asyncio.Event] = {}
        self._servers: list[asyncio.Server] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def lay(self, port: int, *ends: int) -> int:
        """The port that leads to `port` from now on."""

        async def start() -> int:
            for n in ends:
                self._whole.setdefault(n, asyncio.Event()).set()
            server = await asyncio.start_server(self._carry_to(port, frozenset(ends)), "127.0.0.1", 0)
            self._servers.append(server)
            return int(server.sockets[0].getsockname()[1])

        return asyncio.run_coroutine_threadsafe(start(), self._loop).result()

    def cut(self, n: int) -> None:
        """Nobody hears from node `n` any more, and it from nobody."""
        self._loop.call_soon_threadsafe(self._whole[n].clear)

    def heal(self, n: int) -> None:
        """What was held back goes on its way."""
        self._loop.call_soon_threadsafe(self._whole[n].set)

    def _carry_to(
        self, port: int, ends: frozenset[int]
    ) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]:
        async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                await self._healed(ends)
                far_reader, far_writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                writer.close()
                return
            await asyncio.wait(
                [
                    asyncio.create_task(self._pump(reader, far_writer, ends)),
                    asyncio.create_task(self._pump(far_reader, writer, ends)),
                ]
            )

        return carry

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, ends: frozenset[int]) -> None:
        try:
            while data := await reader.read(65_536):
                await self._healed(ends)
                writer.write(data)
                await writer.drain()
        except OSError:
            pass
        finally:
            await self._healed(ends)
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

    async def _healed(self, ends: frozenset[int]) -> None:
        for n in ends:
            await self._whole[n].wait()

    async def _end(self) -> None:
        for server in self._servers:
            server.close()
        for whole in self._whole.values():
            whole.set()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        if tasks:
            await asyncio.wait(tasks, timeout=1.0)  # those whose ends have gone close their connections
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class ProxiedCluster(NatsCluster):
    """NATS servers that reach one another by proxies only, and are reached by them, too, unless `clients` is False."""

    def __init__(self, directory: Path, proxies: TcpProxies, *, clients: bool = True) -> None:
        super().__init__(directory)
        numbers = range(len(self.nodes))
        if clients:
            self._client_ports = [proxies.lay(self.nodes[n].ports.client, n) for n in numbers]
        self._routes = {
            (a, b): proxies.lay(self.nodes[b].ports.route, a, b) for a in numbers for b in numbers if a != b
        }

    def _config(self, node: Node) -> str:
        config, here = super()._config(node), self.nodes.index(node)
        config = config.replace("no_advertise: true", 'no_advertise: true, advertise: "127.0.0.1:1"')  # by proxies only
        for (a, b), port in self._routes.items():
            if a == here:
                there = self.nodes[b]
                config = config.replace(f"nats://{there.host}:{there.ports.route}", f"nats://127.0.0.1:{port}")
        return config
