"""The part that `send` and `demo` share: a scan is sent to a server, and the answer becomes a report."""

from collections.abc import Callable, Iterator, Mapping
from time import perf_counter
from typing import TYPE_CHECKING, Any

from spokestream.pipelines.cli.progress import Show

if TYPE_CHECKING:
    import ssl

    import ismrmrd

    from spokestream.pipelines.client import Reply
    from spokestream.pipelines.files.outputs import ReconstructionReport
    from spokestream.pipelines.files.scan_source import ScanSource
    from spokestream.pipelines.wire import Event

__all__ = ["send_and_report"]


def send_and_report(
    source: "ScanSource",
    host: str,
    port: int,
    pipeline: str,
    parameters: Mapping[str, Any],
    speed: float | None,
    show: Show,
    on_event: "Callable[[Event], None] | None" = None,
    tls: "ssl.SSLContext | None" = None,
) -> "tuple[Reply, ReconstructionReport]":
    """Send a scan to a server; returns its reply, and the report of what it did.

    Args:
        source: the scan.
        host: name or address of the server.
        port: its TCP port.
        pipeline: the name of the pipeline, or XML.
        parameters: settings of the pipeline.
        speed: how many times faster than the scanner; None is as fast as the server takes it.
        show: shows how many readouts have been sent.
        on_event: called, in another thread, with every message of the server.
        tls: which server is trusted; without it, nothing is encrypted.

    Raises ClientError when the server does not reconstruct the scan, and InputError if the speed is not positive, or if
    the pace is unknown because the scan comes through a pipe.

    """
    from spokestream.errors import InputError
    from spokestream.pipelines.client import scanner_pace, send_scan
    from spokestream.pipelines.files.outputs import ReconstructionReport
    from spokestream.pipelines.files.replay import peak_memory_mb

    if speed is not None and source.n_acquisitions is None:
        raise InputError("The pace of a scan in a pipe is not known beforehand; leave --speed out, or give a file.")
    pace = None if speed is None else scanner_pace(source, speed)
    sent = 0

    def shown() -> "Iterator[ismrmrd.Acquisition]":
        nonlocal sent
        for acquisition in source:
            yield acquisition
            sent += 1
            show(sent, source.n_acquisitions)

    begin = perf_counter()
    reply = send_scan(source.xml, shown(), host, port, pipeline, parameters, pace, on_event, tls=tls)
    return reply, ReconstructionReport(
        source="",
        pipeline=pipeline,
        parameters=dict(parameters),
        acquisitions=sent,
        images=len(reply.images),
        total_s=perf_counter() - begin,
        latency_s=reply.seconds_from_last_spoke_to_last_image,
        peak_memory_mb=peak_memory_mb(),
        warnings=[text.removeprefix("WARNING ").strip() for text in reply.texts if text.startswith("WARNING")],
    )
