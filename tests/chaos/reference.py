"""When is a task due? A second, plain implementation of the schedules' rules (docs/schedules.md), to hold the scheduler against.

It shares nothing with the scheduler and is as simple as can be: a cron rule is tried on every second of the window. So it is for windows of
minutes, and refuses (ValueError) what touches a change of a zone's offset, where the rules say more than this program knows. Pure.

Instants are integers: microseconds since 1970.
"""

import datetime
import re
import zoneinfo

SECOND = 1_000_000
EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
UNITS = {"s": SECOND, "min": 60 * SECOND, "m": 60 * SECOND, "h": 3600 * SECOND, "d": 86400 * SECOND}
MONTHS = dict(zip("jan feb mar apr may jun jul aug sep oct nov dec".split(), range(1, 13)))
WEEKDAYS = dict(zip("sun mon tue wed thu fri sat".split(), range(7)))


def parse_instant(text, zone="UTC"):
    """Microseconds of an RFC 3339 time, or of a local time of `zone`."""
    match = re.fullmatch(r"(\d{4}-\d\d-\d\d)T(\d\d:\d\d)(:\d\d)?(\.\d{1,6})?(Z|[+-]\d\d:\d\d)?", text)
    if not match:
        raise ValueError(f"'{text}' is not an instant")
    day, minute, second, fraction, offset = match.groups()
    offset = "+00:00" if offset == "Z" else offset
    local = datetime.datetime.fromisoformat(f"{day}T{minute}{second or ':00'}{offset or ''}")
    if local.tzinfo is None:
        local = local.replace(tzinfo=zoneinfo.ZoneInfo(zone))
        if local.astimezone(datetime.timezone.utc).astimezone(local.tzinfo).replace(tzinfo=None) != local.replace(tzinfo=None):
            raise ValueError(f"'{text}' is skipped in {zone}")
    return (local - EPOCH) // datetime.timedelta(microseconds=1) + int((fraction or ".0")[1:].ljust(6, "0"))


def format_instant(instant):
    """RFC 3339 in UTC with microseconds."""
    return (EPOCH + datetime.timedelta(microseconds=instant)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def parse_interval(text):
    number, unit = re.fullmatch(r"(\d+)(s|min|m|h|d)", text).groups()
    return int(number) * UNITS[unit]


def fires(schedules, after, until):
    """The sorted instants in (after, until] at which any of the schedules (as the API takes them) is due."""
    found = set()
    for schedule in schedules:
        if schedule.get("enabled", True):
            found.update(_fires_of(schedule, after, until))
    return sorted(found)


def _fires_of(schedule, after, until):
    zone = schedule.get("zone", "UTC")
    if "at" in schedule:
        instant = parse_instant(schedule["at"], zone)
        return [instant] if after < instant <= until else []
    if "every" in schedule:
        interval = parse_interval(schedule["every"])
        anchor = parse_instant(schedule.get("anchor", "1970-01-01T00:00:00"), zone)
        first = max(anchor, anchor + ((after - anchor) // interval + 1) * interval)
        return range(first, until + 1, interval)
    return _cron_fires(schedule["cron"], zoneinfo.ZoneInfo(zone), after, until)


def _cron_fires(rule, zone, after, until):
    fields = rule.split()
    if len(fields) == 5:
        fields = ["0", *fields]
    if len(fields) != 6:
        raise ValueError(f"'{rule}' has neither five nor six fields")
    seconds, minutes, hours, days, months, weekdays = (
        _values(field, *bounds) for field, bounds in zip(fields, [(0, 59), (0, 59), (0, 23), (1, 31), (1, 12, MONTHS), (0, 7, WEEKDAYS)]))
    weekdays = {day % 7 for day in weekdays}
    either = not fields[3].startswith("*") and not fields[5].startswith("*")
    ends = [datetime.datetime.fromtimestamp(instant / SECOND, zone).utcoffset() for instant in (after, until)]
    if ends[0] != ends[1]:
        raise ValueError(f"the offset of {zone} changes in the window")
    found = []
    for second in range(after // SECOND + 1, until // SECOND + 1):
        local = datetime.datetime.fromtimestamp(second, zone)
        if local.second not in seconds or local.minute not in minutes or local.hour not in hours or local.month not in months:
            continue
        by_day, by_weekday = local.day in days, local.isoweekday() % 7 in weekdays
        if (by_day or by_weekday) if either else (by_day and by_weekday):
            found.append(second * SECOND)
    return found


def _values(field, low, high, names=None):
    """The set of a cron field's values."""
    chosen = set()
    for part in field.lower().split(","):
        span, _, step = part.partition("/")
        if span == "*":
            first, last = low, high
        else:
            begin, _, end = span.partition("-")
            first = _value(begin, names)
            last = _value(end, names) if end else first
            if end and last < first:
                # fri-mon, 22-2: around the end, counting on
                size = 7 if names is WEEKDAYS else high - low + 1
                chosen.update((value - low) % size + low for value in range(first, last + size + 1, int(step or 1)))
                continue
        chosen.update(range(first, last + 1, int(step or 1)))
    return chosen


def _value(text, names):
    return names[text] if names and text in names else int(text)
