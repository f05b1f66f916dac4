// Fails the build when what a first visit loads is over its budget: index.html and all assets but
// the licences, which nobody loads unasked.
import { readFileSync, readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";

const BUDGET = 150_000; // bytes, compressed
const ROOT = fileURLToPath(new URL("../../oq/http/static/", import.meta.url));

const files = readdirSync(ROOT, { recursive: true, withFileTypes: true }).filter(
  (file) => file.isFile() && !file.name.endsWith(".txt"),
);
let total = 0;
for (const file of files) total += gzipSync(readFileSync(`${file.parentPath}/${file.name}`)).length;
console.log(`first load: ${(total / 1000).toFixed(1)} kB of ${BUDGET / 1000} kB, compressed`);
if (total > BUDGET) process.exit(1);

const html = readFileSync(`${ROOT}/index.html`, "utf8");
if (/<script(?![^>]*\ssrc=)|<style|\sstyle=|\son\w+=/i.test(html)) {
  console.error("index.html has an inline script or style, which the server's policy refuses");
  process.exit(1);
}
