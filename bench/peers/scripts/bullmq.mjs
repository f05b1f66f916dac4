// BullMQ, measured as measure.py measures the others: `node bullmq.mjs SECONDS PROBES` prints JSON.
// The worker is a process of its own, this file with the word `work`, and tells when jobs were run;
// its clock, hrtime, is the machine's monotonic one, and so the producer's too.
import { fork } from "node:child_process";
import { createRequire } from "node:module";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { Queue, Worker } from "bullmq";

const CONCURRENT = 64, BULK = 1000, PILOT = 100;  // as in sizing.py
const WORKER_CONCURRENCY = 100;
const PATIENCE = 60_000, IDLE = 4;
const TASK = {
  type: "chat", model: "m",
  payload: { messages: [{ role: "user", content: "x".repeat(400) }] },
};
const OPTIONS = { removeOnComplete: true };
const address = new URL(process.env.PEER_URL);
const connection = { host: address.hostname, port: Number(address.port), maxRetriesPerRequest: null };
const now = () => Number(process.hrtime.bigint()) / 1e9;

function work() {
  let wanted = 0, seen = 0;
  const tell = () => {
    if (wanted && seen >= wanted) {
      process.send({ last: now() });
      wanted = seen = 0;
    }
  };
  process.on("message", (message) => { wanted = message.wanted; tell(); });
  const worker = new Worker("peers", async () => { seen += 1; tell(); },
    { connection, concurrency: WORKER_CONCURRENCY });
  process.on("disconnect", () => process.exit(0));
  worker.on("error", (error) => console.error(error));
}

class Measurement {
  constructor(seconds) {
    this.seconds = seconds;
    this.queue = new Queue("peers", { connection });
    this.figures = {};
    this.counts = {};
    this.ways = {
      single: async (count) => { for (let i = 0; i < count; i++) await this.add(); },
      concurrent: async (count) => {
        const produce = async () => { while (count-- > 0) await this.add(); };
        await Promise.all(Array.from({ length: CONCURRENT }, produce));
      },
      bulk: async (count) => {
        for (let left = count; left > 0; left -= BULK) {
          const jobs = Array.from({ length: Math.min(left, BULK) },
            () => ({ name: "job", data: TASK, opts: OPTIONS }));
          await this.queue.addBulk(jobs);
        }
      },
    };
  }

  add() { return this.queue.add("job", TASK, OPTIONS); }

  async taken(way, count) {
    const begun = now();
    await this.ways[way](count);
    return count / (now() - begun);
  }

  // The worker tells when it has run `count` jobs more.
  async ran(count, enqueue) {
    let given_up;
    const last = new Promise((resolve, reject) => {
      given_up = setTimeout(() => reject(new Error("the jobs did not run")), PATIENCE);
      this.worker.once("message", (message) => resolve(message.last));
    });
    const begun = now();
    this.worker.send({ wanted: count });
    await enqueue();
    const time = await last - begun;
    clearTimeout(given_up);
    return time;
  }

  async rate(way, count) { return count / await this.ran(count, () => this.ways[way](count)); }

  // More and more jobs until that takes a while, then as many as take `seconds`: by then what
  // compiles itself is compiled.
  async keep(name, seconds, rateOf) {
    let count = PILOT, rate;
    while ((rate = await rateOf(count)) * seconds > count * 3) count *= 3;
    count = Math.max(Math.round(rate * seconds / PILOT), 1) * PILOT;
    this.figures[name] = await rateOf(count);
    this.counts[name] = count;
  }

  async enqueueOnly() {
    for (const way of Object.keys(this.ways)) {
      await this.keep(`enqueue_${way}`, this.seconds / 2, (count) => this.taken(way, count));
      await this.queue.obliterate({ force: true });
    }
  }

  async endToEnd() {
    await this.rate("single", 1);
    for (const way of Object.keys(this.ways)) {
      await this.keep(`end_to_end_${way}`, this.seconds, (count) => this.rate(way, count));
    }
  }

  async latency(probes) {
    const delays = [];
    for (let i = 0; i < probes; i++) {
      await sleep(IDLE);
      delays.push(await this.ran(1, () => this.add()) * 1e3);
    }
    delays.sort((a, b) => a - b);
    this.figures.start_p50 = delays[Math.floor(delays.length / 2)];
    this.figures.start_p99 = delays[Math.floor(delays.length * 0.99)];
    this.counts.start = probes;
  }
}

async function measure(seconds, probes) {
  const measurement = new Measurement(seconds);
  await measurement.enqueueOnly();
  measurement.worker = fork(fileURLToPath(import.meta.url), ["work"]);
  await measurement.endToEnd();
  await measurement.latency(probes);
  measurement.worker.disconnect();
  await measurement.queue.close();
  const version = createRequire(import.meta.url)("bullmq/package.json").version;
  console.log(JSON.stringify({
    version: `BullMQ ${version}, Node ${process.versions.node}`,
    workers: `1 process of ${WORKER_CONCURRENCY} tasks`,
    durability: null,
    figures: measurement.figures,
    counts: measurement.counts,
  }));
}

if (process.argv[2] === "work") work();
else await measure(Number(process.argv[2]), Number(process.argv[3]));
