"""The control panel's server: Voila in this process, on loopback, behind a token.

In this process, because a token on a command line is one that `ps` shows. Kernels end with their
page: by the page's own farewell, else by culling once its heartbeat has stopped.
"""

from __future__ import annotations

import logging
import os
import secrets
import socket
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from jupyter_server import DEFAULT_STATIC_FILES_PATH
from jupyter_server.log import log_request
from jupyter_server.services.kernels.handlers import MainKernelHandler
from tornado.ioloop import IOLoop
from traitlets.config import Config
from voila.app import Voila
from voila.tornado.handler import TornadoVoilaHandler

from workbench.errors import UsageError

IP = "127.0.0.1"
TEMPLATES = Path(__file__).parent / "views"  # holds voila/templates/workbench
IDLE_S, CULL_EVERY_S = 30, 10
# Nothing may be loaded from, or sent to, anywhere else, whatever text ends up in the page.
POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:;"
    " style-src 'self' 'unsafe-inline' data:; img-src 'self' data: blob:; font-src 'self' data:;"
    " worker-src 'self' blob:; frame-ancestors 'none'; form-action 'self'; base-uri 'none'"
)


def serve(
    notebook: Path, journal: Path, port: int, preheat: bool, ready: Callable[[str, int], None]
) -> None:
    """Serve `notebook` as the panel of `journal` until a signal; `ready` is told URL and port once.

    Port 0 takes any free one. Raises UsageError if the notebook is not there or the port is taken.
    """
    if not notebook.is_file():
        raise UsageError(f"{notebook} is not here; run this in the project's folder")
    port = _free(port)
    token = secrets.token_urlsafe(24)
    # The kernels inherit these. (A `template_paths` would replace Voila's search path.)
    os.environ["WORKBENCH_DESK__JOURNAL"] = str(journal.absolute())
    searched = os.environ.get("JUPYTER_PATH", "")
    os.environ["JUPYTER_PATH"] = os.pathsep.join(filter(None, [str(TEMPLATES), searched]))
    # Jupyter counts milliseconds here, Tornado takes them for seconds and complains.
    logging.getLogger("tornado.general").addFilter(lambda r: "ping_timeout" not in r.getMessage())
    server = _Server(config=_config(token, port, preheat))
    server.initialize([str(notebook)])
    IOLoop.current().add_callback(ready, f"http://{IP}:{port}/?token={token}", port)
    server.start()


def _free(port: int) -> int:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((IP, port))
        except (OSError, OverflowError) as error:
            why = getattr(error, "strerror", None) or "it must be 0 to 65535"
            raise UsageError(
                f"port {port} cannot be used ({why}); name another with --port, or 0 for any"
            ) from None
        return int(probe.getsockname()[1])


def _config(token: str, port: int, preheat: bool) -> Config:
    short = len(tempfile.gettempdir()) < 40  # the path of a socket has a limit
    return Config(
        {
            "Voila": {
                "ip": IP, "port": port, "port_retries": 0, "open_browser": False, "token": token,
                "log_level": "ERROR",
                "config_file_paths": [],  # a voila.json that lies about changes nothing here
                "tornado_settings": {
                    # Without it a page cannot end its kernel. Loopback, token and a cookie that
                    # other sites' pages cannot send take its place.
                    "disable_check_xsrf": True,
                    "allow_remote_access": False,
                    "log_function": log_request,  # tornado's own would log the token
                    "headers": {"Content-Security-Policy": POLICY},
                    # what Jupyter's own error pages ask for
                    "static_path": DEFAULT_STATIC_FILES_PATH,
                    "static_url_prefix": "/voila/static/",
                },
            },
            "VoilaConfiguration": {
                "template": "workbench", "allow_template_override": "NO",
                "allow_theme_override": "NO", "strip_sources": True, "show_tracebacks": False,
                "preheat_kernel": preheat, "default_pool_size": 1,
            },
            "IdentityProvider": {"cookie_options": {"samesite": "Strict"}},
            "MappingKernelManager": {
                "cull_idle_timeout": IDLE_S, "cull_interval": CULL_EVERY_S,
            },
            # A kernel has nothing to put away: the journal is the desk's.
            "KernelManager": {"transport": "ipc" if short else "tcp", "shutdown_wait_time": 1.0},
        }
    )  # fmt: skip


class _Page(TornadoVoilaHandler):
    """The panel's page."""

    async def prepare(self, **known: Any) -> None:
        await super().prepare(**known)
        # The token has done its work: it goes neither to the log nor into a kernel's environment.
        self.request.uri, self.request.query = self.request.path, ""
        # A kernel kept ready has long been idle. The moment it is handed out, and before its page
        # is connected, it would be culled.
        for kernel_id in self.kernel_manager.list_kernel_ids():
            kernel: Any = self.kernel_manager.get_kernel(kernel_id)
            kernel.last_activity = datetime.now(UTC)


class _Kernels(MainKernelHandler):
    """The running kernels, to look at only."""

    SUPPORTED_METHODS = ("GET",)


class _Server(Voila):
    """Voila with those two."""

    def init_handlers(self) -> Any:
        inherited: Any = super().init_handlers()
        page = [
            (path, _Page if handler is TornadoVoilaHandler else handler, *rest)
            for path, handler, *rest in inherited
        ]
        return [(r"/api/kernels", _Kernels), *page]
