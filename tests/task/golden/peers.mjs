// Compares the cron rows of the golden table with two well-known cron libraries of Node.js, and its calendar rows in UTC with one of RFC 5545. Run
// by hand, when the table or the rules change:
//
//   cd $(mktemp -d) && npm install croner cron-parser rrule && cp <here>/peers.mjs . && node peers.mjs <here>/schedules.tsv
//
// A row is compared with each library that knows its syntax. Where the clocks change between `from` and the last fire, and a rule has a local time
// that is skipped or repeated, the libraries have rules of their own: such rows are counted apart and listed with --list. So are rules that they
// are known to read otherwise: a day field such as */2 does not count as '*' for them (it does in crontab(5), which goes by the first character), and
// the steps of a year are counted from the year 0 (here, as in Quartz, from 1970). Exit code 1 if anything else differs.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { Cron } from "croner";
import { CronExpressionParser } from "cron-parser";
import rrulePackage from "rrule";

const { RRule } = rrulePackage;

const require = createRequire(import.meta.url);
const version = (name) => JSON.parse(readFileSync(require.resolve(name).replace(/(node_modules\/[^/]+)\/.*/, "$1/package.json"), "utf8")).version;

const offsetOf = (text) => text.slice(-6);
const wrapsAround = (cron) => /\b(22-2|22-4|50-10|28-3|nov-feb|fri-mon|6-2)\b/.test(cron);

const readOtherwise = (cron) => {
  const words = cron.split(" ");
  const [days, , weekdays] = words.length === 5 ? words.slice(2) : words.slice(3);
  const partly = (field) => field?.startsWith("*/");
  return (partly(days) && weekdays !== "*") || (partly(weekdays) && days !== "*") || partly(words[6]);
};

const peers = {
  croner: (cron, zone, from, count) => {
    const job = new Cron(cron, { timezone: zone, paused: true });
    return job.nextRuns(count, new Date(from)).map((run) => run.getTime());
  },
  "cron-parser": (cron, zone, from, count) => {
    const found = [];
    const interval = CronExpressionParser.parse(cron, { tz: zone, currentDate: new Date(from) });
    while (found.length < count) found.push(interval.next().toDate().getTime());
    return found;
  },
};

// The same calendar rule in the terms of RFC 5545: a recurrence for each day of the month and time of day, and the first fires of them all.
function recurrences(calendar) {
  const weekdays = { mon: RRule.MO, tue: RRule.TU, wed: RRule.WE, thu: RRule.TH, fri: RRule.FR, sat: RRule.SA, sun: RRule.SU };
  const base = {
    dtstart: new Date(`${calendar.from ?? "1970-01-01"}T00:00:00Z`),
    interval: calendar.interval ?? 1,
    freq: { daily: RRule.DAILY, weekly: RRule.WEEKLY, monthly: RRule.MONTHLY }[calendar.frequency],
    wkst: RRule.MO,
  };
  if (calendar.weekdays) base.byweekday = calendar.weekdays.map((name) => weekdays[name]);
  if (calendar.months) {
    const names = "jan feb mar apr may jun jul aug sep oct nov dec".split(" ");
    base.bymonth = calendar.months.map((name) => names.indexOf(name) + 1);
  }
  const days = (calendar.days ?? [null]).map((day) => {
    if (day === null) return {};
    if (typeof day === "number") return { bymonthday: day };
    const [, number, last, unit] = /^(?:(\d+)(?:st|nd|rd|th) )?(last )?(.+)$/.exec(day);
    const ordinal = Number(number ?? 1) * (last ? -1 : 1);
    if (unit === "day") return { bymonthday: ordinal };
    if (unit === "working day") return { byweekday: [RRule.MO, RRule.TU, RRule.WE, RRule.TH, RRule.FR], bysetpos: ordinal };
    return { byweekday: [weekdays[unit].nth(ordinal)] };
  });
  const times = calendar.times.map((time) => time.split(":").map(Number));
  return days.flatMap((day) => times.map(([byhour, byminute, bysecond = 0]) => new RRule({ ...base, ...day, byhour, byminute, bysecond })));
}

function calendarFires(calendar, from, count) {
  const found = new Set();
  for (const recurrence of recurrences(calendar)) {
    let after = new Date(from);
    for (let i = 0; i < count && after; i += 1) {
      after = recurrence.after(after);
      if (after) found.add(after.getTime());
    }
  }
  return [...found].sort((a, b) => a - b).slice(0, count);
}

const calendars = { equal: 0, differs: 0 };
const totals = {};
for (const name of Object.keys(peers)) totals[name] = { equal: 0, "differs at a change of the clocks": 0, "known to be read otherwise": 0, differs: 0, "syntax unknown": 0, "not offered": 0 };
for (const line of readFileSync(process.argv[2], "utf8").trimEnd().split("\n")) {
  const [json, zone, from, ...fires] = line.split("\t");
  const rule = JSON.parse(json);
  const cron = rule.cron;
  if (rule.calendar && zone === "UTC" && !rule.dst) {
    const got = calendarFires(rule.calendar, from, fires.length);
    const equal = got.length === fires.length && got.every((time, i) => time === Date.parse(fires[i]));
    calendars[equal ? "equal" : "differs"] += 1;
    if (!equal) console.log(`rrule: ${line}\n  rrule ${got.map(text).join(" ")}`);
  }
  if (!cron || Object.keys(rule).length > 1 || cron.startsWith("@every") || /\bH/.test(cron) || fires.length === 0) continue;
  const wanted = fires.map((text) => Date.parse(text));
  const changes = new Set([...fires.map(offsetOf)]).size > 1 || changesBetween(zone, Date.parse(from), wanted.at(-1));
  for (const [name, peer] of Object.entries(peers)) {
    let got;
    try {
      got = peer(cron, zone, from, fires.length);
    } catch {
      totals[name][wrapsAround(cron) ? "not offered" : "syntax unknown"] += 1;
      continue;
    }
    const equal = got.length === wanted.length && got.every((time, i) => time === wanted[i]);
    const outcome = equal ? "equal" : changes ? "differs at a change of the clocks" : readOtherwise(cron) ? "known to be read otherwise" : "differs";
    totals[name][outcome] += 1;
    if (!equal && (process.argv.includes("--list") || outcome === "differs")) {
      console.log(`${name}: ${cron} ${zone} after ${from}\n  table ${wanted.map(text).join(" ")}\n  ${name} ${got.map(text).join(" ")}`);
    }
  }
}
console.log(`node ${process.version}, croner ${version("croner")}, cron-parser ${version("cron-parser")}`);
console.table(totals);
console.log(`calendar rows in UTC with rrule ${version("rrule")}: ${calendars.equal} equal, ${calendars.differs} differ`);
process.exit(calendars.differs > 0 || Object.values(totals).some((total) => total.differs > 0) ? 1 : 0);

function text(time) {
  return new Date(time).toISOString().replace(".000", "");
}

// Does the zone's offset change in between? It is looked at every 6 hours, a day more on either side.
function changesBetween(zone, begin, end) {
  if (zone === "UTC") return false;
  const format = new Intl.DateTimeFormat("en", { timeZone: zone, timeZoneName: "longOffset" });
  const offset = (time) => format.formatToParts(time).find((part) => part.type === "timeZoneName").value;
  const day = 86400000;
  const first = offset(begin - day);
  for (let time = begin - day; time <= Math.min(end, begin + 400 * day) + day; time += day / 4) {
    if (offset(time) !== first) return true;
  }
  return false;
}
