"""The sink: one file to which every start of every task appends one line, beside and independent of what the scheduler records.

The task's own process writes the line: one write() with O_APPEND, so lines of many processes never mix. date(1) makes it, for the true clock of the
machine costs no second process then, and a stepped clock of the node does not reach its tasks.
"""

import dataclasses
import os
import shlex

import reference

# A shard is a task of its own: "id#3".
ENDS = ".ends"  # added to the sink's name: the file to which those tasks write that tell of their end
FIELDS = "$CLOUDTASK_TASK_ID${CLOUDTASK_SHARD:+#$CLOUDTASK_SHARD} $CLOUDTASK_FIRE_TIME $CLOUDTASK_ATTEMPT $CLOUDTASK_NODE $CLOUDTASK_RUN_ID $CLOUDTASK_EPOCH"


@dataclasses.dataclass(frozen=True)
class Line:
    """One start of a task, as the task itself told it. Instants in microseconds."""

    task: str  # its id, or shard_name()
    fire: int
    attempt: int
    node: str
    run: str
    epoch: int
    clock: int  # when the line was written

    @property
    def key(self):
        return (self.task, self.fire, self.attempt)


def shard_name(task_id, shard):
    """What a shard is called in the sink; None: the task is a single one."""
    return task_id if shard is None else f"{task_id}#{shard}"


def shell(path, then="", tells_its_end=False):
    """The shell text of a task that writes its line to `path`, then does `then`, a command that returns, and then tells of its end if it is to."""
    write = f'date "+{FIELDS} %s%6N" >> {shlex.quote(path)}'
    if tells_its_end:
        return f'{write}; {then}; exec date "+$CLOUDTASK_RUN_ID %s%6N" >> {shlex.quote(path + ENDS)}'
    return f"{write}; {then}" if then else f"exec {write}"


def read(path):
    """All lines of the sink. Raises ValueError at a line that is not whole."""
    lines = []
    with open(path, encoding="ascii") as file:
        for number, text in enumerate(file, 1):
            words = text.split()
            if len(words) != 7 or not text.endswith("\n"):
                raise ValueError(f"{path}: line {number} is not whole: {text!r}")
            task, fire, attempt, node, run, epoch, clock = words
            lines.append(Line(task, reference.parse_instant(fire), int(attempt), node, run, int(epoch), int(clock)))
    return lines


def read_ends(path):
    """{run: when it ended} of the runs of the sink at `path` that told of it."""
    ends = {}
    if os.path.exists(path + ENDS):
        with open(path + ENDS, encoding="ascii") as file:
            for text in file:
                run, clock = text.split()
                ends[run] = int(clock)
    return ends
