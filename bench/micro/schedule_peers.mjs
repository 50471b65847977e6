// What the next fire of common cron rules costs here and in two well-known cron libraries of Node.js, in one run:
//
//   cd $(mktemp -d) && npm install croner cron-parser && cp <here>/schedule_peers.mjs . && node schedule_peers.mjs <path of cloudtask_micro_bench>
//
// Each walks from fire to fire through 2026 to 2030 and then begins anew, as bench/micro/schedule_bench.cpp does. Medians of 5 rounds, in turn.
import { execFileSync } from "node:child_process";
import { Cron } from "croner";
import { CronExpressionParser } from "cron-parser";

const rules = {
  every_minute_utc: ["* * * * *", "UTC"],
  every_5_minutes_berlin: ["*/5 * * * *", "Europe/Berlin"],
  daily_utc: ["30 2 * * *", "UTC"],
  daily_berlin: ["30 2 * * *", "Europe/Berlin"],
  weekdays_new_york: ["0 9 * * 1-5", "America/New_York"],
  last_days_berlin: ["0 0 31 * *", "Europe/Berlin"],
};
const start = Date.UTC(2026, 2, 1);
const end = Date.UTC(2031, 0, 1);

function ours(name) {
  const args = [`--benchmark_filter=^schedule_next/${name}$`, "--benchmark_format=json", "--benchmark_min_time=0.2"];
  return JSON.parse(execFileSync(process.argv[2], args, { stdio: ["ignore", "pipe", "ignore"] })).benchmarks[0].cpu_time;
}

function nanoseconds(step) {
  for (let i = 0; i < 200; i += 1) step();
  let steps = 0;
  const begin = process.cpuUsage();
  let used = 0;
  while (used < 200000) {
    for (let i = 0; i < 100; i += 1) step();
    steps += 100;
    const { user, system } = process.cpuUsage(begin);
    used = user + system;
  }
  return (used * 1000) / steps;
}

function croner([cron, zone]) {
  const job = new Cron(cron, { timezone: zone, paused: true });
  let now = new Date(start);
  return nanoseconds(() => {
    now = job.nextRun(now);
    if (now.getTime() >= end) now = new Date(start);
  });
}

function cronParser([cron, zone]) {
  const interval = CronExpressionParser.parse(cron, { tz: zone, currentDate: new Date(start) });
  return nanoseconds(() => {
    if (interval.next().getTime() >= end) interval.reset(new Date(start));
  });
}

const median = (values) => values.sort((a, b) => a - b)[Math.floor(values.length / 2)];
const table = {};
for (const [name, rule] of Object.entries(rules)) {
  const rounds = { "cloudtask ns": [], "croner ns": [], "cron-parser ns": [] };
  for (let round = 0; round < 5; round += 1) {
    rounds["cloudtask ns"].push(ours(name));
    rounds["croner ns"].push(croner(rule));
    rounds["cron-parser ns"].push(cronParser(rule));
  }
  table[`${rule[0]} ${rule[1]}`] = Object.fromEntries(Object.entries(rounds).map(([who, values]) => [who, Math.round(median(values))]));
}
console.table(table);
