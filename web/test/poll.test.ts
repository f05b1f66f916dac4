import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { poll } from "../src/state/poll";

const page = { hidden: false };

beforeEach(() => {
  page.hidden = false;
  vi.stubGlobal("document", page);
  vi.useFakeTimers();
});

afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

test("it asks at once, again and again, and not after it was stopped", async () => {
  let asked = 0;
  const taken: number[] = [];
  const stop = poll(
    () => Promise.resolve(++asked),
    1000,
    (answer) => taken.push(answer),
  );
  await vi.advanceTimersByTimeAsync(2500);
  stop();
  await vi.advanceTimersByTimeAsync(5000);
  expect(taken).toEqual([1, 2, 3]);
});

test("nobody is asked while the page is hidden", async () => {
  page.hidden = true;
  const ask = vi.fn(() => Promise.resolve(0));
  const stop = poll(ask, 1000, () => {});
  await vi.advanceTimersByTimeAsync(2500);
  expect(ask).not.toHaveBeenCalled();
  page.hidden = false;
  await vi.advanceTimersByTimeAsync(1000);
  expect(ask).toHaveBeenCalledOnce();
  stop();
});

test("an answer that comes after the stop is not taken, nor is a failure told", async () => {
  const take = vi.fn();
  const fail = vi.fn();
  const late = (ends: () => Promise<number>) =>
    poll(() => new Promise((done) => setTimeout(done, 10)).then(ends), 1000, take, fail);
  late(() => Promise.resolve(1))();
  late(() => Promise.reject(new Error("gone")))();
  await vi.advanceTimersByTimeAsync(100);
  expect(take).not.toHaveBeenCalled();
  expect(fail).not.toHaveBeenCalled();
});

test("a failure is told, and it is asked again", async () => {
  const fail = vi.fn();
  let asked = 0;
  const stop = poll(
    () => (++asked === 1 ? Promise.reject(new Error("gone")) : Promise.resolve(asked)),
    1000,
    (answer) => expect(answer).toBe(2),
    fail,
  );
  await vi.advanceTimersByTimeAsync(1500);
  expect(fail).toHaveBeenCalledOnce();
  stop();
});
