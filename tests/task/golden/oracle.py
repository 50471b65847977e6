"""A second implementation of every schedule rule of docs/schedules.md, to hold the first against. It shares nothing with it: zones are Python's
zoneinfo, days are tried one by one, times of day are listed in full. Plain rather than fast. Pure.

fires(rule, zone, after, count, task_id) answers the first `count` instants, as datetimes in UTC; fewer if there are no more before the year LAST_YEAR + 1.
"""

import datetime
import re
import zoneinfo

UTC = datetime.timezone.utc
EPOCH = datetime.datetime(1970, 1, 1, tzinfo=UTC)
SECOND = datetime.timedelta(seconds=1)
DAY = datetime.timedelta(days=1)
LAST_YEAR = 2300
UNITS = {"ms": 0.001, "s": 1, "min": 60, "h": 3600, "d": 86400}
MONTHS = dict(zip("jan feb mar apr may jun jul aug sep oct nov dec".split(), range(1, 13)))
WEEKDAYS = dict(zip("sun mon tue wed thu fri sat".split(), range(7)))
NICKNAMES = {"@yearly": "0 0 1 1 *", "@annually": "0 0 1 1 *", "@monthly": "0 0 1 * *", "@weekly": "0 0 * * 0", "@daily": "0 0 * * *",
             "@midnight": "0 0 * * *", "@hourly": "0 * * * *"}
# name: lowest, highest, highest that H picks, names
FIELDS = [("second", 0, 59, 59, {}), ("minute", 0, 59, 59, {}), ("hour", 0, 23, 23, {}), ("day", 1, 31, 28, {}), ("month", 1, 12, 12, MONTHS),
          ("weekday", 0, 6, 6, WEEKDAYS), ("year", 1970, 2399, 0, {})]
MASK = (1 << 64) - 1


def xxh64(data, seed=0):
    """xxHash64 by its specification."""
    p1, p2, p3, p4, p5 = 11400714785074694791, 14029467366897019727, 1609587929392839161, 9650029242287828579, 2870177450012600261

    def rotl(x, r):
        return ((x << r) | (x >> (64 - r))) & MASK

    def mix(acc, lane):
        return rotl((acc + lane * p2) & MASK, 31) * p1 & MASK

    at, size = 0, len(data)
    if size >= 32:
        lanes = [(seed + p1 + p2) & MASK, (seed + p2) & MASK, seed & MASK, (seed - p1) & MASK]
        while at + 32 <= size:
            for i in range(4):
                lanes[i] = mix(lanes[i], int.from_bytes(data[at + 8 * i:at + 8 * i + 8], "little"))
            at += 32
        h = sum(rotl(lane, r) for lane, r in zip(lanes, (1, 7, 12, 18))) & MASK
        for lane in lanes:
            h = ((h ^ mix(0, lane)) * p1 + p4) & MASK
    else:
        h = (seed + p5) & MASK
    h = (h + size) & MASK
    while at + 8 <= size:
        h = (rotl(h ^ mix(0, int.from_bytes(data[at:at + 8], "little")), 27) * p1 + p4) & MASK
        at += 8
    if at + 4 <= size:
        h = (rotl(h ^ (int.from_bytes(data[at:at + 4], "little") * p1 & MASK), 23) * p2 + p3) & MASK
        at += 4
    for byte in data[at:]:
        h = rotl(h ^ (byte * p5 & MASK), 11) * p1 & MASK
    for shift, prime in ((33, p2), (29, p3)):
        h = (h ^ (h >> shift)) * prime & MASK
    return h ^ (h >> 32)


# Zones.

def on_the_wall(instant, zone):
    return instant.astimezone(zone).replace(tzinfo=None, fold=0)


def shown_at(local, zone):
    """(instants that show the local time, in order; the end of the gap that skips it or None)"""
    sides = [local.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1)]
    shown = sorted({side for side in sides if on_the_wall(side, zone) == local})
    if shown:
        return shown, None
    low, high = min(sides), max(sides)
    before = low.astimezone(zone).utcoffset()
    while high - low > SECOND:
        middle = low + ((high - low) // 2 // SECOND) * SECOND
        if middle.astimezone(zone).utcoffset() == before:
            low = middle
        else:
            high = middle
    return [], high


def resolve(local, zone, gap, overlap):
    shown, gap_end = shown_at(local, zone)
    if gap_end:
        return [gap_end] if gap == "first_valid" else []
    if len(shown) == 1 or overlap == "both":
        return shown
    return [shown[0] if overlap == "first" else shown[-1]]


# Days of months.

def month_of(date):
    first = date.replace(day=1)
    return [day for i in range(31) if (day := first + i * DAY).month == date.month]


def cron_weekday(date):
    return date.isoweekday() % 7


def is_working(date):
    return date.isoweekday() <= 5


def nearest_working_day(date):
    """The working day of the month with the least distance; the Friday before a Saturday, the Monday after a Sunday."""
    return min((day for day in month_of(date) if is_working(day)), key=lambda day: (abs((day - date).days), day))


def nth(days, ordinal, from_end=False):
    days = days[::-1] if from_end else days
    return days[ordinal - 1] if ordinal <= len(days) else None


def is_day_of_month(name, date):
    """As the calendar rules name days: 15, "2nd last tue", "last working day"."""
    if isinstance(name, int):
        return date.day == name
    ordinal, last, unit = re.fullmatch(r"(?:(\d+)(?:st|nd|rd|th) )?(last )?(.+)", name).groups()
    days = [day for day in month_of(date)
            if unit == "day" or (unit == "working day" and is_working(day)) or (unit in WEEKDAYS and cron_weekday(day) == WEEKDAYS[unit])]
    return nth(days, int(ordinal or 1), bool(last)) == date


# Cron.

class Cron:
    def __init__(self, text, task_id):
        words = NICKNAMES.get(text, text).lower().split()
        if len(words) == 5:
            words = ["0"] + words
        if len(words) == 6:
            words.append("*")
        self.task_id = task_id
        self.fields = [self.values(word, *field, number) for number, (word, field) in enumerate(zip(words, FIELDS))]
        self.days, self.weekdays = words[3], words[5]
        self.either = not any(word.startswith("*") or word == "?" for word in (self.days, self.weekdays))
        self.every_hour = len(self.fields[2]) == 24
        seconds, minutes, hours = self.fields[:3]
        self.times = [h * 3600 + m * 60 + s for h in sorted(hours) for m in sorted(minutes) for s in sorted(seconds)]

    def values(self, word, name, low, high, hash_high, names, number):
        """The numbers of a field; what L, W and # name is looked at day by day."""
        chosen = set()
        for item in word.split(","):
            span, _, step = item.partition("/")
            value = lambda text: names.get(text) if text in names else int(text)  # noqa: E731
            if name in ("day", "weekday") and re.search(r"l|w$|#", item) and item not in names:
                continue
            picked = re.fullmatch(r"h(?:\((\w+)-(\w+)\))?", span) if hash_high else None
            if picked:
                first, last = (value(picked[1]), value(picked[2])) if picked[1] else (low, hash_high)
                choices = int(step) if step else last - first + 1
                begin = first + xxh64(self.task_id.encode(), number) % choices
                chosen.update(range(begin, last + 1, choices))
                continue
            if span in ("*", "?"):
                first, last = low, high
            else:
                begin, dash, end = span.partition("-")
                first = value(begin)
                last = value(end) if dash else high if step else first
                if last < first:
                    last += high - low + 1
            chosen.update((number - low) % (high - low + 1) + low for number in range(first, last + 1, int(step or 1)))
        return chosen

    def named_day(self, item, date):
        match = re.fullmatch(r"(l)?-?(\d+)?(w)?", item)
        if not match or not (match[1] or match[3]):
            return False
        target = nth(month_of(date), int(match[2] or 0) + 1, True) if match[1] else nth(month_of(date), int(match[2]))
        return target is not None and (nearest_working_day(target) if match[3] else target) == date

    def named_weekday(self, item, date):
        match = re.fullmatch(r"(\w+?)(?:(l)|#(\d))", item)
        if not match:
            return False
        weekday = WEEKDAYS[match[1]] if match[1] in WEEKDAYS else int(match[1]) % 7
        days = [day for day in month_of(date) if cron_weekday(day) == weekday]
        return nth(days, int(match[3] or 1), bool(match[2])) == date

    def is_day(self, date):
        if date.month not in self.fields[4] or date.year not in self.fields[6]:
            return False
        by_date = date.day in self.fields[3] or any(self.named_day(item, date) for item in self.days.split(","))
        by_weekday = cron_weekday(date) in self.fields[5] or any(self.named_weekday(item, date) for item in self.weekdays.split(","))
        return (by_date or by_weekday) if self.either else (by_date and by_weekday)


class Calendar:
    def __init__(self, rule):
        self.rule = rule
        self.every_hour = False
        self.start = datetime.date.fromisoformat(rule["from"]) if "from" in rule else None
        self.interval = rule.get("interval", 1)
        self.times = sorted(of_day(time) for time in rule["times"])

    def is_day(self, date):
        start = self.start
        if start and date < start:
            return False
        if self.rule["frequency"] == "daily":
            return not start or (date - start).days % self.interval == 0
        if self.rule["frequency"] == "weekly":
            if cron_weekday(date) not in {WEEKDAYS[name] for name in self.rule["weekdays"]}:
                return False
            return not start or (date - (start - (start.isoweekday() - 1) * DAY)).days // 7 % self.interval == 0
        if "months" in self.rule and date.month not in {MONTHS[name] for name in self.rule["months"]}:
            return False
        if start and ((date.year - start.year) * 12 + date.month - start.month) % self.interval:
            return False
        return any(is_day_of_month(name, date) for name in self.rule["days"])


def of_day(text):
    parts = [int(part) for part in text.split(":")] + [0]
    return parts[0] * 3600 + parts[1] * 60 + parts[2]


def interval_of(text):
    return datetime.timedelta(seconds=sum(int(number) * UNITS[unit] for number, unit in re.findall(r"(\d+)(ms|min|s|h|d)", text)))


def moment(text, zone):
    instant = datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))
    return instant.astimezone(UTC) if instant.tzinfo else resolve(instant, zone, "first_valid", "first")[0]


def local_fires(rule, zone, clock, after):
    """Instants after `after`, in order, of a rule with is_day() and times."""
    usual = ("skip", "both") if rule.every_hour else ("first_valid", "first")
    gap, overlap = clock.get("gap", usual[0]), clock.get("overlap", usual[1])
    date = on_the_wall(after, zone).date() - 2 * DAY
    pending = []
    while date.year <= LAST_YEAR:
        # What shows a date at the latest is over a day and a half after its midnight in UTC, and nothing later comes before it.
        if rule.is_day(date):
            midnight = datetime.datetime.combine(date, datetime.time())
            found = {instant for seconds in rule.times for instant in resolve(midnight + seconds * SECOND, zone, gap, overlap)}
            pending = sorted(set(pending) | {instant for instant in found if instant > after})
        settled = datetime.datetime.combine(date, datetime.time(), UTC) - DAY
        while pending and pending[0] < settled:
            yield pending.pop(0)
        date += DAY
    yield from pending


def window_fires(interval, window, zone, clock, after):
    gap, overlap = clock.get("gap", "first_valid"), clock.get("overlap", "first")
    begin, end = of_day(window["from"]), of_day(window["to"])
    end += 86400 if end <= begin else 0
    weekdays = {WEEKDAYS[name] for name in window.get("weekdays", WEEKDAYS)}
    date = on_the_wall(after, zone).date() - 2 * DAY
    last = after
    while date.year <= LAST_YEAR:
        midnight = datetime.datetime.combine(date, datetime.time())
        opens = resolve(midnight + begin * SECOND, zone, gap, overlap) if cron_weekday(date) in weekdays else []
        if opens:
            closes = resolve(midnight + end * SECOND, zone, "first_valid", overlap)[-1]
            instant = opens[0]
            while instant < closes:
                if instant > last:
                    yield instant
                    last = instant
                instant += interval
        date += DAY


def nominal_fires(rule, zone, after, task_id):
    if "manual" in rule:
        return
    if "start" in rule:
        after = max(after, moment(rule["start"], zone) - datetime.timedelta(microseconds=1))
    if "at" in rule:
        found = iter(sorted(moment(text, zone) for text in ([rule["at"]] if isinstance(rule["at"], str) else rule["at"])))
    elif "window" in rule:
        found = window_fires(interval_of(rule["every"]), rule["window"], zone, rule.get("dst", {}), after)
    elif "every" in rule or rule.get("cron", "").startswith("@every"):
        interval = interval_of(rule.get("every") or rule["cron"].split()[1])
        anchor = moment(rule.get("anchor", "1970-01-01T00:00"), zone)
        first = anchor + max(0, (after - anchor) // interval + 1) * interval
        found = (first + i * interval for i in range(10 ** 9))
    else:
        by_local_time = Cron(rule["cron"], task_id) if "cron" in rule else Calendar(rule["calendar"])
        found = local_fires(by_local_time, zone, rule.get("dst", {}), after)
    end = moment(rule["end"], zone) if "end" in rule else None
    for instant in found:
        if end and instant >= end:
            return
        if instant > after:
            yield instant


def fires(rule, zone_name, after, count, task_id=""):
    zone = zoneinfo.ZoneInfo(zone_name)
    found = []
    if "jitter" not in rule:
        for instant in nominal_fires(rule, zone, after, task_id):
            found.append(instant)
            if len(found) == count:
                break
        return found
    jitter = interval_of(rule["jitter"])
    previous = None
    for instant in nominal_fires(rule, zone, after - jitter - SECOND, task_id):
        if previous is not None:
            found.append(delayed(previous, instant, jitter, task_id))
        previous = instant
        if len(found) > count and found[-count] > after:
            return [due for due in found if due > after][:count]
    if previous is not None:
        found.append(delayed(previous, None, jitter, task_id))
    return [due for due in found if due > after][:count]


def delayed(instant, following, jitter, task_id):
    most = min(jitter, following - instant) if following else jitter
    micros = (instant - EPOCH) // datetime.timedelta(microseconds=1)
    drawn = xxh64(str(micros).encode(), xxh64(task_id.encode()))
    return instant + drawn % (most // datetime.timedelta(milliseconds=1)) * datetime.timedelta(milliseconds=1)

