"""What the policies of a task demand of what was started and of what the history says: further attempts, the rule of success, the start deadline.

Part of the checker (fire_checker.py): pure, and without code of the scheduler.
"""

import dataclasses

import reference

# A clock may be off by so much, and a start that was in time takes a moment until the task tells of it.
DEADLINE_SLACK = 8_000_000
# How a node begins to tell of runs that an earlier process of it had, and of which nobody knows how they ended. It tries those again; nobody else does.
BY_ITS_OWN_NODE = "the node was restarted"


@dataclasses.dataclass
class Policies:
    """Of one task, all its life."""

    attempts: int = 1  # in all
    failed: bool = False  # tried again, with one of `codes` if there are any
    timed_out: bool = False
    lost: bool = False
    codes: list = dataclasses.field(default_factory=list)
    success: list = dataclasses.field(default_factory=lambda: [0])  # exit codes
    deadline: int = 0  # microseconds after the fire; 0: none

    @staticmethod
    def of(definition):
        """Those of a definition as it is given to the API."""
        found = Policies()
        retry = definition.get("retry")
        if retry:
            found.attempts, found.codes = retry.get("attempts", 3), expand(retry.get("exit_codes", []))
            for outcome in retry.get("on", ["failed", "timed_out"]):
                setattr(found, outcome, True)
        found.success = expand(definition.get("success", {}).get("exit_codes", [0]))
        if "start_deadline" in definition:
            found.deadline = reference.parse_interval(definition["start_deadline"])
        return found

    def ask_for_another(self, entry):
        if entry.state == "FAILED":
            return self.failed and (not self.codes or entry.exit_code in self.codes)
        return (entry.state == "TIMED_OUT" and self.timed_out) or (entry.state == "LOST" and self.lost and entry.reason.startswith(BY_ITS_OWN_NODE))


def expand(codes):
    """[0, "2-4"] as [0, 2, 3, 4]."""
    numbers = []
    for code in codes:
        first, _, last = str(code).partition("-")
        numbers += range(int(first), int(last or first) + 1)
    return numbers


def problem(policies, reruns, fire, lines, entries):
    """What contradicts the policies in the starts and entries of one fire; nothing if they agree. `reruns`: others may have begun it again."""
    for line in lines:
        if policies.deadline and line.clock > fire + policies.deadline + DEADLINE_SLACK:
            return f"attempt {line.attempt} began {(line.clock - fire) / 1e6:.1f} s after it was due, in spite of its start deadline"
    for entry in entries:
        if entry.exit_code is not None and entry.state in ("SUCCEEDED", "FAILED") and (entry.state == "SUCCEEDED") != (entry.exit_code in policies.success):
            return f"attempt {entry.attempt} exited with {entry.exit_code} and is {entry.state} by the history"
    return None if reruns else _chain(policies, entries)


def _chain(policies, entries):
    """Each attempt follows one that asks for it, and the last one is the last for a reason."""
    by_attempt = {entry.attempt: entry for entry in entries}
    for attempt, entry in sorted(by_attempt.items()):
        before = by_attempt.get(attempt - 1)
        if attempt > 1 and (before is None or not (before.state == "LOST" or policies.ask_for_another(before))):
            return f"attempt {attempt} is in the history though attempt {attempt - 1} is {before.state if before else 'not there'}"
        gives_up = "no further attempt" in entry.reason or attempt >= policies.attempts
        if attempt + 1 not in by_attempt and policies.ask_for_another(entry) and not gives_up:
            return f"attempt {attempt} is {entry.state}, and was not tried again: {entry.reason}"
    return None
