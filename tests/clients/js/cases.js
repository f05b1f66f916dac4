// What the programs beside this have in common: each case is run, and its outcome printed as a line
// of JSON: what the client gave, or the error that it raised.

export const URL = process.argv[2].replace(/\/$/, "");
export const MODEL = "m";
export const QUESTION = "why is the sky blue";

const cases = [];

export function test(name, work) {
  cases.push([name, work]);
}

export async function run() {
  for (const [name, work] of cases) {
    let outcome;
    try {
      outcome = { gave: await work() };
    } catch (error) {
      const says = String(error.message).replaceAll(URL, "URL").slice(0, 500);
      outcome = { raised: error.name, status: error.status ?? error.statusCode ?? null, says };
    }
    console.log(JSON.stringify({ case: name, ...outcome }));
  }
}

export async function all(parts, read) {
  const read_ = [];
  for await (const part of parts) read_.push(read(part));
  return read_;
}
