// Compares the cron rows of the golden table with two well-known cron libraries of Node.js. Run by hand, when the table or the cron rules change:
//
//   cd $(mktemp -d) && npm install croner cron-parser && cp <here>/peers.mjs . && node peers.mjs <here>/schedules.tsv
//
// A row is compared with each library that knows its syntax. Where the clocks change between `from` and the last fire, and a rule has a local time
// that is skipped or repeated, the libraries have rules of their own: such rows are counted apart and listed with --list. So are rules that they
// are known to read otherwise: a day field such as */2 does not count as '*' for them (it does in crontab(5), which goes by the first character), and
// the steps of a year are counted from the year 0 (here, as in Quartz, from 1970). Exit code 1 if anything else differs.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { Cron } from "croner";
import { CronExpressionParser } from "cron-parser";

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

const totals = {};
for (const name of Object.keys(peers)) totals[name] = { equal: 0, "differs at a change of the clocks": 0, "known to be read otherwise": 0, differs: 0, "syntax unknown": 0, "not offered": 0 };
for (const line of readFileSync(process.argv[2], "utf8").trimEnd().split("\n")) {
  const [json, zone, from, ...fires] = line.split("\t");
  const rule = JSON.parse(json);
  const cron = rule.cron;
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
process.exit(Object.values(totals).some((total) => total.differs > 0) ? 1 : 0);

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
