// How a backend is, from two answers: the queue's own figures, and what it was asked for a while ago.

import type { Backend, Slots } from "../api/types";
import { counted } from "./numbers";

/** The backend as the figures have it, with the models of the details. An error among these is old
 * news once the figures say something else about whether it is up. */
export function merged(known: Backend, detail: Backend | undefined): Backend {
  const kept: Backend = { ...known };
  if (detail?.models) kept.models = detail.models;
  if (detail?.loaded) kept.loaded = detail.loaded;
  const error = known.error ?? (detail?.up === known.up ? detail.error : null);
  if (error) kept.error = error;
  else delete kept.error;
  return kept;
}

/** In a word; never "up" beside the reason why it does not answer. */
export function condition(backend: Backend): { said: string; tone: string } {
  if (!backend.up) return { said: "✕ down", tone: "tone-failed" };
  if (backend.error) return { said: "▲ in trouble", tone: "tone-pending" };
  return { said: "● up", tone: "tone-completed" };
}

/** How many tasks run there, of how many at once, and how many models it has. */
export function load(backend: Backend): string {
  const most = backend.max_concurrency;
  const of = most === undefined ? "" : ` of ${most}`;
  const models = backend.models ? ` · ${counted(backend.models.length, "model")}` : "";
  return `${backend.running}${of} running${models}`;
}

const SOURCES: Record<Slots["source"], string> = {
  set: "the settings say so",
  told: "the backend says so",
  measured: "found by how long tasks waited inside the backend",
  guessed: "found by how late answers began",
};

/** The slots of a backend or of one of its models, and how their number is known. The reason is
 * empty where the number never changes. */
export function slotsSaid(one: Slots): { text: string; reason: string; title: string } {
  const learnt = one.source === "measured" || one.source === "guessed";
  return {
    text: `${one.running} of ${counted(one.slots, "slot")} · ${one.source}`,
    reason: learnt ? one.reason : "",
    title: SOURCES[one.source],
  };
}

/** What keeps a backend that is up from starting more: a change of models, or a pause. */
export function busyWith(backend: Backend): string[] {
  if (!backend.up) return [];
  const held = backend.held === undefined ? [] : [`gets nothing for a moment: ${backend.held}`];
  return backend.swap === undefined ? held : [`changes models: ${backend.swap}`, ...held];
}

const MOST_NAMES = 8;

/** The models that a backend has and that are not in its memory: the first few by name, and how many
 * there are beyond these. */
export function others(backend: Backend): { said: string; names: string[]; more: number } {
  const loaded = new Set(backend.loaded?.map((model) => model.name));
  const all = new Set(backend.models?.map((model) => model.name));
  const names = [...all].filter((name) => !loaded.has(name));
  const said = !backend.up ? "It had:" : loaded.size > 0 ? "Also has:" : "Has:";
  return { said, names: names.slice(0, MOST_NAMES), more: Math.max(0, names.length - MOST_NAMES) };
}
