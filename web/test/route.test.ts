import { describe, expect, it } from "vitest";
import {
  cloneLink,
  overviewLink,
  readRoute,
  submitLink,
  taskLink,
  tasksLink,
} from "../src/rules/route";

describe("readRoute", () => {
  it("reads each link back", () => {
    expect(readRoute(overviewLink)).toEqual({ view: "overview" });
    expect(readRoute("")).toEqual({ view: "overview" });
    expect(readRoute(submitLink)).toEqual({ view: "submit", clone: null });
    expect(readRoute(cloneLink("a/b?c"))).toEqual({ view: "submit", clone: "a/b?c" });
    expect(readRoute(taskLink("a/b?c"))).toEqual({ view: "task", id: "a/b?c" });
  });

  it("keeps the query of the list", () => {
    const route = readRoute(tasksLink(new URLSearchParams({ q: "a?b#c", status: "failed" })));
    expect(route.view).toBe("tasks");
    if (route.view !== "tasks") return;
    expect(route.query.get("q")).toBe("a?b#c");
    expect(route.query.get("status")).toBe("failed");
  });

  it.each(["#/nonsense", "#/task", "#/task/a/b", "#/tasks/x", "#/submit/x"])(
    "does not know %s",
    (hash) => {
      expect(readRoute(hash).view).toBe("unknown");
    },
  );

  it("survives an address that is no good", () => {
    expect(readRoute("#/task/%E0%A4%A")).toEqual({ view: "task", id: "%E0%A4%A" });
  });
});
