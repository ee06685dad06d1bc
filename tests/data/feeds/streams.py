"""Binance's public endpoints and streams on one port: REST as in provider_binance, and a websocket
whose frames a test pushes."""

from __future__ import annotations

import asyncio
import json
import threading
from typing import Any

from aiohttp import WSMsgType, web

from tests.data.feeds import provider_binance
from tests.data.feeds.loopback import Request


class Streams:
    """The server. `push` sends a frame to everybody listening; `drop` cuts all connections."""

    def __init__(self) -> None:
        self.subscribed: list[str] = []
        self.connections = 0
        self._sockets: set[web.WebSocketResponse] = set()
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.url = ""

    def __enter__(self) -> Streams:
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._run_there(self._runner.cleanup())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def push(self, frame: object) -> None:
        text = frame if isinstance(frame, str) else json.dumps(frame)
        self._run_there(self._send(text))

    def drop(self) -> None:
        self._run_there(self._close())

    def _run_there(self, work: Any) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def _send(self, text: str) -> None:
        for socket in list(self._sockets):
            await socket.send_str(text)

    async def _close(self) -> None:
        for socket in list(self._sockets):
            await socket.close(code=1001)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._start())
        self._ready.set()
        self._loop.run_forever()

    async def _start(self) -> None:
        app = web.Application()
        app.router.add_get("/stream/ws{rest:.*}", self._socket)
        app.router.add_get("/{path:.*}", self._rest)
        self._runner = web.AppRunner(app, shutdown_timeout=1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        port = self._runner.addresses[0][1]
        self.url = f"http://127.0.0.1:{port}"

    async def _rest(self, request: web.Request) -> web.Response:
        asked = Request(
            request.method, request.path, {k: [v] for k, v in request.query.items()},
            dict(request.headers), b"",
        )  # fmt: skip
        told = provider_binance.answer(asked)
        return web.Response(body=told.body, status=told.status, content_type=told.kind)

    async def _socket(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        self._sockets.add(socket)
        self.connections += 1
        async for message in socket:
            if message.type == WSMsgType.TEXT:
                asked = json.loads(message.data)
                if asked.get("method") == "SUBSCRIBE":
                    self.subscribed += asked["params"]
                await socket.send_json({"result": None, "id": asked.get("id")})
        self._sockets.discard(socket)
        return socket
