// The part of the address after the hash: which view, and what it shows.

export type Route =
  | { view: "overview" }
  | { view: "tasks"; query: URLSearchParams }
  | { view: "task"; id: string }
  | { view: "submit"; clone: string | null }
  | { view: "unknown"; path: string };

export function readRoute(hash: string): Route {
  const [path = "", query = ""] = split(hash.replace(/^#/, ""));
  const parts = path.split("/").filter((part) => part !== "");
  const [view, id, ...more] = parts;
  if (more.length > 0) return { view: "unknown", path };
  if (view === undefined) return { view: "overview" };
  if (view === "task" && id !== undefined) return { view: "task", id: decoded(id) };
  if (id !== undefined) return { view: "unknown", path };
  if (view === "tasks") return { view: "tasks", query: new URLSearchParams(query) };
  if (view === "submit") return { view, clone: new URLSearchParams(query).get("clone") };
  return { view: "unknown", path };
}

export const overviewLink = "#/";
export const submitLink = "#/submit";

export function tasksLink(query?: URLSearchParams): string {
  const text = query?.toString() ?? "";
  return text === "" ? "#/tasks" : `#/tasks?${text}`;
}

export function taskLink(id: string): string {
  return `#/task/${encodeURIComponent(id)}`;
}

export function cloneLink(id: string): string {
  return `#/submit?clone=${encodeURIComponent(id)}`;
}

function split(hash: string): [string, string] {
  const mark = hash.indexOf("?");
  return mark < 0 ? [hash, ""] : [hash.slice(0, mark), hash.slice(mark + 1)];
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
