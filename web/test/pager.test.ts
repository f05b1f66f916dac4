import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Pager } from "../src/api/pager";

// A server that looks at so many tasks for one answer, as oq does: a page may end early, with a
// cursor, and an offset that leads further is refused.
const LOOKS = 50_000;

class FakeServer {
  asked: URLSearchParams[] = [];

  /** `count` tasks, of which each `every`th passes the filter. */
  constructor(
    private readonly count: number,
    private readonly every = 1,
  ) {}

  readonly fetch = (address: string): Promise<Response> => {
    const query = new URL(address, "http://here").searchParams;
    this.asked.push(new URLSearchParams(query));
    const after = query.get("after");
    let at = after === null ? 0 : Number(after) + 1;
    let skip = Number(query.get("offset") ?? 0);
    const limit = Number(query.get("limit"));
    const found: { id: string }[] = [];
    for (
      let looked = 0;
      at < this.count && found.length < limit && looked < LOOKS;
      looked++, at++
    ) {
      if (at % this.every !== 0) continue;
      if (skip > 0) skip--;
      else found.push({ id: String(at) });
    }
    if (skip > 0 && at < this.count) {
      return Promise.resolve(Response.json({ error: "offset: too far" }, { status: 400 }));
    }
    const headers: Record<string, string> = {};
    if (at < this.count) {
      query.delete("offset");
      query.set("after", String(at - 1));
      headers["Link"] = `</api/tasks?${query.toString()}>; rel="next"`;
    }
    return Promise.resolve(Response.json(found, { headers }));
  };
}

function pagerOf(server: FakeServer): Pager {
  vi.stubGlobal("fetch", server.fetch);
  return new Pager(new URLSearchParams({ q: "x" }), new AbortController().signal);
}

beforeEach(() => vi.useRealTimers());
afterEach(() => vi.unstubAllGlobals());

describe("Pager", () => {
  it("goes on in the queue from a place in line, whatever becomes of the task there", async () => {
    const asked: string[] = [];
    const rows = [
      { id: "a", priority: 15 },
      { id: "b", priority: 5, run_at: "2026-01-31T12:00:00Z" },
    ];
    vi.stubGlobal("fetch", (address: string) => {
      asked.push(new URL(address, "http://here").searchParams.get("after") ?? "");
      const headers = { Link: '</api/tasks?sort=queue&after=x>; rel="next"' };
      return Promise.resolve(Response.json([rows[asked.length - 1]], { headers }));
    });
    const pager = new Pager(new URLSearchParams({ sort: "queue" }), new AbortController().signal);
    for (const row of [0, 1, 2]) await pager.read(row, 1).catch(() => undefined);
    expect(asked.slice(0, 3)).toEqual(["", "15~a", "5~2026-01-31T12:00:00Z~b"]);
  });

  it("reads one part after the other, each from where the last one ended", async () => {
    const server = new FakeServer(250);
    const pager = pagerOf(server);
    expect((await pager.read(0, 100)).rows.map((row) => row.id).slice(0, 2)).toEqual(["0", "1"]);
    expect((await pager.read(100, 100)).rows[0]?.id).toBe("100");
    const last = await pager.read(200, 100);
    expect(last.rows).toHaveLength(50);
    expect(last.last).toBe(true);
    expect(server.asked.map((query) => query.get("after"))).toEqual([null, "99", "199"]);
    expect(server.asked.every((query) => query.get("offset") === null)).toBe(true);
    expect(server.asked.every((query) => query.get("q") === "x")).toBe(true);
  });

  it("reaches any row of very many, in steps that the server takes", async () => {
    const server = new FakeServer(230_000);
    const pager = pagerOf(server);
    expect((await pager.read(200_000, 100)).rows[0]?.id).toBe("200000");
    const calls = server.asked.length;
    expect(calls).toBeLessThan(8);
    expect((await pager.read(199_950, 100)).rows[0]?.id).toBe("199950");
    expect(server.asked.length).toBe(calls + 1);
    expect((await pager.read(0, 100)).rows[0]?.id).toBe("0");
  });

  it("reaches far rows also where few tasks pass the filter", async () => {
    const pager = pagerOf(new FakeServer(2_000_000, 40));
    expect((await pager.read(45_000, 10)).rows[0]?.id).toBe(String(45_000 * 40));
  });

  it("follows pages that the server ends early", async () => {
    const server = new FakeServer(400_000, 1000);
    const part = await pagerOf(server).read(0, 100);
    expect(part.rows).toHaveLength(100);
    expect(part.last).toBe(false);
    expect(server.asked.length).toBeGreaterThan(1);
  });

  it("finds nothing behind the end", async () => {
    expect(await pagerOf(new FakeServer(250)).read(300, 100)).toEqual({ rows: [], last: true });
    expect(await pagerOf(new FakeServer(250)).read(90_000, 100)).toEqual({ rows: [], last: true });
  });

  it("forgets what it knew of rows when they have moved", async () => {
    const server = new FakeServer(250);
    const pager = pagerOf(server);
    await pager.read(0, 100);
    pager.forget();
    await pager.read(100, 100);
    expect(server.asked.at(-1)?.get("after")).toBeNull();
    expect(server.asked.at(-1)?.get("offset")).toBe("100");
  });
});
