import { describe, expect, it } from "vitest";
import {
  askFor,
  EVERYTHING,
  filterBody,
  isEverything,
  readFilter,
  toggled,
  writeFilter,
  wrongIn,
  type Filter,
} from "../src/rules/filters";

const NOW = Date.parse("2026-01-31T12:00:00Z");
const FULL: Filter = {
  status: ["pending", "failed"],
  type: ["chat"],
  priority: ["10", "15"],
  model: ["qwen2.5:7b", "a, b&c=d"],
  q: "grüße & more",
  since: "24h",
  until: "2026-01-31T11:00:00Z",
};

describe("the address", () => {
  it("gives back the filter that was put into it", () => {
    const query = new URLSearchParams(writeFilter(FULL, "oldest").toString());
    expect(readFilter(query)).toEqual({ filter: FULL, sort: "oldest" });
  });

  it("says nothing of what is not asked for", () => {
    expect(writeFilter(EVERYTHING).toString()).toBe("");
    expect(isEverything(EVERYTHING)).toBe(true);
    expect(isEverything({ ...EVERYTHING, q: "  " })).toBe(true);
    expect(isEverything(FULL)).toBe(false);
  });

  it("is read as far as it makes sense", () => {
    const query = new URLSearchParams("status=failed,nonsense&type=x&sort=up&since=yesterday&z=1");
    expect(readFilter(query)).toEqual({
      filter: { ...EVERYTHING, status: ["failed"] },
      sort: "newest",
    });
  });

  it("has an order of the queue only for those that can stand in it", () => {
    const sortOf = (query: string) => readFilter(new URLSearchParams(query)).sort;
    expect(sortOf("sort=queue")).toBe("queue");
    expect(sortOf("sort=queue&status=pending")).toBe("queue");
    expect(sortOf("sort=queue&status=pending,failed")).toBe("newest");
  });

  it("names priorities by word or number, and shows numbers", () => {
    const { filter } = readFilter(new URLSearchParams("priority=high,42,critical,nonsense,101"));
    expect(filter.priority).toEqual(["10", "42", "15"]);
  });

  it("means only those that wait when they are in the order of the queue", () => {
    const { filter } = readFilter(new URLSearchParams("sort=queue&q=x"));
    expect(filterBody(filter, NOW)).toEqual({ status: ["pending"], q: "x" });
  });
});

describe("what the server is asked", () => {
  it("has times instead of spans", () => {
    expect(askFor(FULL, NOW).get("since")).toBe("2026-01-30T12:00:00.000Z");
    expect(askFor({ ...EVERYTHING, since: "15m" }, NOW).get("since")).toBe(
      "2026-01-31T11:45:00.000Z",
    );
    expect(askFor(FULL, NOW).get("until")).toBe("2026-01-31T11:00:00Z");
  });

  it("is the same in the body of a bulk action", () => {
    expect(filterBody(FULL, NOW)).toEqual({
      status: ["pending", "failed"],
      type: ["chat"],
      priority: [10, 15],
      model: ["qwen2.5:7b", "a, b&c=d"],
      q: "grüße & more",
      since: "2026-01-30T12:00:00.000Z",
      until: "2026-01-31T11:00:00Z",
    });
    expect(filterBody(EVERYTHING, NOW)).toEqual({});
  });
});

it("toggles a value in a list", () => {
  expect(toggled(["a"], "b")).toEqual(["a", "b"]);
  expect(toggled(["a", "b"], "a")).toEqual(["b"]);
});

describe("what an address says wrong", () => {
  const wrong = (query: string) => wrongIn(new URLSearchParams(query));

  it("is nothing, if all of it is understood", () => {
    expect(wrong("")).toEqual([]);
    expect(wrongIn(writeFilter(FULL, "oldest"))).toEqual([]);
    expect(
      wrong("status=pending&status=failed,&priority=high,42&since=24h&model=&sort=queue"),
    ).toEqual([]);
  });

  it("is named, with what there is instead", () => {
    expect(wrong("status=faild")).toEqual([
      "“faild” is no status: it is pending, running, completed, failed or cancelled.",
    ]);
    expect(
      wrong("status=failed,runing&type=x&priority=101,urgent&since=yesterday&sort=up"),
    ).toHaveLength(6);
    expect(wrong("constructor=1")).toHaveLength(1);
    expect(wrong("stauts=failed")[0]).toBe(
      "“stauts” is no filter. There are status, type, priority, model, q, since, until and sort.",
    );
  });
});
