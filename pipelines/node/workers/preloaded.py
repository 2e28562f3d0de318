"""What every process for scans has imported before it is forked, which takes seconds of a processor and 200 MB.

Nothing is computed here: the threads of a computation do not live on in a forked process, and a process that has used a
CUDA device must not be forked.
"""

import gc

from spokestream.pipelines.node.workers.allocation import share_arena

share_arena()  # before libraries start threads: forked processes would use the arenas of these, too

import spokestream.pipelines.chains  # noqa: E402
import spokestream.pipelines.selection  # noqa: E402, F401

gc.freeze()  # a collection in a forked process would otherwise copy every page of it
