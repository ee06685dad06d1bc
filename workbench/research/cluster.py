"""The same sweep on a Dask cluster: the one home of `distributed`.

Each worker is sent the plan once and runs chunks of sets with the same compiled rules, so the
bytes are those of the threads. Dask gives the chunk of a worker that died to another; one that
keeps killing its workers, or does not fit in their memory, is run here instead, and a note says so.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from typing import Any

from workbench.domain import UsageError
from workbench.errors import WorkbenchError
from workbench.research.fingerprint import version
from workbench.research.plan import Found, Plan, run
from workbench.research.proposers import Set

RETRIES = 2


def chunks_on_dask(
    plan: Plan, sets: Sequence[Set], chunks: Sequence[Sequence[int]], workers: int, client: Any
) -> Iterator[tuple[Sequence[int], Found]]:
    """Each chunk as it is done. Without a client, on a cluster of `workers` processes here.

    Raises UsageError if the extra is not installed.
    """
    try:
        import cloudpickle  # noqa: PLC0415
        from distributed import Client, LocalCluster, as_completed  # noqa: PLC0415
    except ImportError:
        raise UsageError(
            "engine='dask' needs the extra: pip install 'workbench[dask]'; threads need nothing"
        ) from None
    with ExitStack() as stack:
        if client is None:
            cluster = stack.enter_context(
                LocalCluster(
                    n_workers=workers, threads_per_worker=1, host="127.0.0.1",
                    dashboard_address=None,
                )
            )  # fmt: skip
            client = stack.enter_context(Client(cluster))
        # Bytes, not the plan: arrays that Dask ships are read-only, another type to the compiler.
        shipped = client.scatter(cloudpickle.dumps(plan), broadcast=True)
        sent = {
            client.submit(
                _on_worker, shipped, [sets[k] for k in ks], version(), pure=False, retries=RETRIES
            ): ks
            for ks in chunks
        }  # fmt: skip
        for future in as_completed(sent):
            ks = sent[future]
            try:
                yield ks, Found(*future.result())
            except WorkbenchError:
                raise  # the strategy's or the user's fault, here as there
            except Exception as lost:  # noqa: BLE001  a worker that died, or ran out of memory
                found = run(plan, [sets[k] for k in ks])
                why = f"{type(lost).__name__}: {' '.join(str(lost).split())[:120]}"
                yield (
                    ks,
                    Found(*found, (f"{len(ks)} sets were run here, not on the cluster: {why}",)),
                )


def _on_worker(shipped: bytes, sets: Sequence[Set], wanted: str) -> tuple[Any, Any]:
    if version() != wanted:
        raise RuntimeError("the worker has another version of the workbench or of its libraries")
    return run(_unpacked(shipped), sets)


@functools.lru_cache(maxsize=1)
def _unpacked(shipped: bytes) -> Plan:
    import cloudpickle  # noqa: PLC0415

    return cloudpickle.loads(shipped)
