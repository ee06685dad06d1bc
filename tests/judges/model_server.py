"""A provider of models on 127.0.0.1, in Anthropic's words and in OpenAI's; nobody thinks in it."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

INPUT_TOKENS, OUTPUT_TOKENS = 1800, 120
GOOD = {
    "rationale": "Three of four categories agree and the regime fits.",
    "evidence_ids": [],
    "confidence": 61,
    "decision": "PROCEED",
}


def answer(**changes: object) -> str:
    """A good answer to a case, as text; `changes` are of its fields."""
    return json.dumps(GOOD | changes)


@dataclass(frozen=True)
class Asked:
    """What came in. Header names are in lower case; `body` is None without one."""

    path: str
    headers: Mapping[str, str]
    body: Any

    @property
    def user(self) -> str:
        """The case, as the model would read it."""
        return self.body["messages"][-1]["content"]


@dataclass(frozen=True)
class Serves:
    """How one request is served; as it stands, with the right answer.

    `body`: other text, bytes or JSON in its place. `of`: changes to the fields of the right body.
    `headers`: a None takes one away. `slow_s`: silence before the first byte. `drip_s`: silence
    before every byte of the body. `cut`: half of the body, then the line is dropped. `drop`: the
    line is dropped at once.
    """

    status: int = 200
    body: Any = None
    of: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str | None] = field(default_factory=dict)
    slow_s: float = 0.0
    drip_s: float = 0.0
    cut: bool = False
    drop: bool = False


def error(status: int, kind: str = "api_error", code: str = "", **headers: str) -> Serves:
    """An error as both vendors shape it; header names are written with underscores."""
    body = {
        "type": "error",
        "error": {"type": kind, "message": "no", "details": {"error_code": code}},
    }
    return Serves(status, body, headers={n.replace("_", "-"): text for n, text in headers.items()})


RIGHT = Serves()


class ModelServer:
    """The server: it answers every question, and what comes next can be told.

        with ModelServer() as server:                       # or ModelServer(lambda asked: "text")
            server.next(error(529), Serves(drip_s=0.1))     # two faults, then right answers
            server.always(Serves(slow_s=60.0))              # or a fault from now on
            provider = Anthropic("key", server.url)         # or OpenAI("", server.openai_url)
            ...
            server.asked[0].headers["authorization"]        # every request that came in

    A batch is done at once unless `server.batch_status` says otherwise; `server.batch_results`
    names results that are not "succeeded", by custom_id.
    """

    def __init__(self, says: Callable[[Asked], str] = lambda asked: answer()) -> None:
        self.says = says
        self.asked: list[Asked] = []
        self.batch_status = "ended"
        self.batch_results: dict[str, dict[str, Any]] = {}
        self.results_url = ""  # what a batch says of where its results are; "" for the truth
        self._batches: dict[str, list[dict[str, Any]]] = {}
        self._next: list[Serves] = []
        self._always = RIGHT
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._server = _Server(("127.0.0.1", 0), _handler(self))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def openai_url(self) -> str:
        return f"{self.url}/v1"

    def next(self, *served: Serves) -> None:
        """How the next requests are served, one each."""
        self._next.extend(served)

    def always(self, served: Serves) -> None:
        """How every request is served that `next` says nothing of."""
        self._always = served

    def __enter__(self) -> ModelServer:
        threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True
        ).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closed.set()
        self._server.shutdown()
        self._server.server_close()

    def _hear(self, asked: Asked) -> Serves:
        with self._lock:
            self.asked.append(asked)
            return self._next.pop(0) if self._next else self._always

    def _right(self, asked: Asked) -> Any:
        """The right body: JSON, or the text of the results of a batch."""
        match asked.path.removeprefix("/v1/").split("/"):
            case ["messages"]:
                return self._message(asked)
            case ["messages", "count_tokens"]:
                return {"input_tokens": INPUT_TOKENS}
            case ["messages", "batches"]:
                batch = f"msgbatch_{len(self._batches) + 1}"
                self._batches[batch] = asked.body["requests"]
                return self._batch(batch)
            case ["messages", "batches", batch]:
                return self._batch(batch)
            case ["messages", "batches", batch, "results"]:
                return "".join(self._result(each) for each in reversed(self._batches[batch]))
            case ["chat", "completions"]:
                return self._completion(asked)
        raise LookupError(asked.path)

    def _message(self, asked: Asked) -> dict[str, Any]:
        return {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "model": asked.body["model"],
            "content": [{"type": "text", "text": self.says(asked)}],
            "stop_reason": "end_turn",
            "stop_sequence": None,
            "usage": {"input_tokens": INPUT_TOKENS, "output_tokens": OUTPUT_TOKENS},
        }

    def _completion(self, asked: Asked) -> dict[str, Any]:
        message = {"role": "assistant", "content": self.says(asked), "refusal": None}
        return {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "created": 1,
            "model": asked.body["model"],
            "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
            "usage": {
                "prompt_tokens": INPUT_TOKENS,
                "completion_tokens": OUTPUT_TOKENS,
                "total_tokens": INPUT_TOKENS + OUTPUT_TOKENS,
            },
        }

    def _batch(self, batch: str) -> dict[str, Any]:
        done = self.batch_status == "ended"
        there = self.results_url or f"{self.url}/v1/messages/batches/{batch}/results"
        return {
            "id": batch,
            "type": "message_batch",
            "processing_status": self.batch_status,
            "results_url": there if done else None,
        }

    def _result(self, each: dict[str, Any]) -> str:
        asked = Asked("/v1/messages", {}, each["params"])
        right = {"type": "succeeded", "message": self._message(asked)}
        result = self.batch_results.get(each["custom_id"], right)
        return json.dumps({"custom_id": each["custom_id"], "result": result}) + "\n"


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128  # with the usual 5, a sixth caller at once waits a second

    def handle_error(self, *_: object) -> None:
        """A caller that hangs up is what tests do."""


def _handler(server: ModelServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # or every answer waits 40 ms for an acknowledgement

        def do_GET(self) -> None:
            text = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            asked = Asked(self.path, headers, json.loads(text) if text else None)
            told = server._hear(asked)
            server._closed.wait(told.slow_s)
            self.close_connection = told.drop or told.cut
            if told.drop:
                return
            try:
                self._send(told, _bytes(told, lambda: server._right(asked)))
            except LookupError:
                missing = error(404, "not_found_error")
                self._send(missing, _bytes(missing, dict))

        do_POST = do_GET  # noqa: N815  the name that the library calls

        def _send(self, told: Serves, body: bytes) -> None:
            headers: dict[str, str | None] = {
                "date": formatdate(time.time(), usegmt=True),
                "content-type": "application/json",
                "request-id": f"req_{len(server.asked)}",
                "x-request-id": f"req_{len(server.asked)}",
                "content-length": str(len(body)),
                **{name.lower(): value for name, value in told.headers.items()},
            }
            self.send_response_only(told.status)
            for name, value in headers.items():
                if value is not None:
                    self.send_header(name, value)
            self.end_headers()
            sent = body[: len(body) // 2] if told.cut else body
            if not told.drip_s:
                self.wfile.write(sent)
                return
            for at in range(len(sent)):
                if server._closed.wait(told.drip_s):
                    return
                self.wfile.write(sent[at : at + 1])

        def log_message(self, *_: object) -> None:
            pass

    return Handler


def _bytes(told: Serves, right: Callable[[], Any]) -> bytes:
    body = right() if told.body is None else told.body
    if told.of:
        body = body | told.of
    if isinstance(body, bytes):
        return body
    return (body if isinstance(body, str) else json.dumps(body)).encode()
