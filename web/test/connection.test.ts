import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Feed, type Connection } from "../src/api/feed";
import type { QueueEvent } from "../src/api/types";

class FakeSocket {
  static made: FakeSocket[] = [];
  onmessage: ((message: { data: string }) => void) | null = null;
  onclose: (() => void) | null = null;

  constructor(readonly url: string) {
    FakeSocket.made.push(this);
  }
  close() {
    this.onclose?.();
  }
  say(value: unknown) {
    this.onmessage?.({ data: JSON.stringify(value) });
  }
  static get last(): FakeSocket {
    const last = FakeSocket.made.at(-1);
    if (!last) throw new Error("no socket was made");
    return last;
  }
}

const event = (seq: number) => ({ seq, task_id: "a", type: "task_started", status: "running" });
const hello = (seq: number) => ({ type: "hello", seq, status: {} });

let states: Connection[];
let batches: { seqs: number[]; gap: boolean }[];
let frames: (() => void)[];
let feed: Feed;

function nextFrame() {
  const due = frames;
  frames = [];
  for (const work of due) work();
}

beforeEach(() => {
  vi.useFakeTimers();
  FakeSocket.made = [];
  states = [];
  batches = [];
  frames = [];
  vi.stubGlobal("WebSocket", FakeSocket);
  vi.stubGlobal("location", { protocol: "http:", host: "here:1" });
  vi.stubGlobal("document", { hidden: false, addEventListener: () => undefined });
  vi.stubGlobal("addEventListener", () => undefined);
  vi.stubGlobal("requestAnimationFrame", (work: () => void) => frames.push(work));
  vi.stubGlobal("cancelAnimationFrame", () => undefined);
  feed = new Feed({
    connection: (state) => states.push(state),
    hello: () => undefined,
    events: (events: QueueEvent[], gap) =>
      batches.push({ seqs: events.map((one) => one.seq), gap }),
  });
  feed.start();
});

afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

describe("Feed", () => {
  it("hands over all that came between two frames at once", () => {
    FakeSocket.last.say(hello(10));
    FakeSocket.last.say(event(11));
    FakeSocket.last.say([event(12), event(13)]);
    expect(batches).toEqual([]);
    nextFrame();
    expect(batches).toEqual([{ seqs: [11, 12, 13], gap: false }]);
    nextFrame();
    expect(batches).toHaveLength(1);
  });

  it("has all that is shown read again once it is back, though no event is missing", () => {
    FakeSocket.last.say(hello(10));
    FakeSocket.last.say(event(11));
    nextFrame();
    FakeSocket.last.close();
    vi.runOnlyPendingTimers();
    FakeSocket.last.say(hello(11));
    nextFrame();
    expect(batches).toEqual([
      { seqs: [11], gap: false },
      { seqs: [], gap: true },
    ]);
  });

  it("comes back by itself and goes on after the last event", () => {
    expect(FakeSocket.last.url).toBe("ws://here:1/ws");
    FakeSocket.last.say(hello(10));
    FakeSocket.last.say(event(11));
    FakeSocket.last.close();
    expect(states.at(-1)).toBe("lost");
    vi.advanceTimersByTime(500);
    expect(FakeSocket.last.url).toBe("ws://here:1/ws?after=11");
    FakeSocket.last.say(hello(12));
    FakeSocket.last.say(event(12));
    nextFrame();
    expect(states.at(-1)).toBe("live");
    expect(batches).toEqual([{ seqs: [11, 12], gap: true }]);
  });

  it("waits longer each time that it fails", () => {
    FakeSocket.last.close();
    vi.advanceTimersByTime(500);
    FakeSocket.last.close();
    FakeSocket.last.close();
    const made = FakeSocket.made.length;
    vi.advanceTimersByTime(400);
    expect(FakeSocket.made.length).toBe(made);
    vi.advanceTimersByTime(600);
    expect(FakeSocket.made.length).toBe(made + 1);
  });

  it("says that there is a gap after lagging, and when the store is another one", () => {
    FakeSocket.last.say(hello(10));
    FakeSocket.last.say({ type: "lagged", missed: 5 });
    nextFrame();
    expect(batches).toEqual([{ seqs: [], gap: true }]);
    FakeSocket.last.close();
    vi.advanceTimersByTime(500);
    FakeSocket.last.say(hello(3));
    nextFrame();
    expect(batches.at(-1)).toEqual({ seqs: [], gap: true });
  });

  it("keeps only so many events while nothing is drawn", () => {
    FakeSocket.last.say(hello(0));
    for (let seq = 1; seq <= 6000; seq++) FakeSocket.last.say(event(seq));
    nextFrame();
    expect(batches).toHaveLength(1);
    expect(batches[0]?.gap).toBe(true);
    expect(batches[0]?.seqs.length).toBeLessThan(5001);
  });

  it("gives up a connection that has turned out to be dead", () => {
    const dead = FakeSocket.last;
    dead.close = () => undefined; // nobody answers
    FakeSocket.last.say(hello(1));
    feed.drop();
    expect(states.at(-1)).toBe("lost");
    vi.advanceTimersByTime(500);
    expect(FakeSocket.last).not.toBe(dead);
    dead.say(event(2));
    nextFrame();
    expect(batches).toEqual([]);
  });
});
