// How a backend is, from two answers: the queue's own figures, and what it was asked for a while ago.

import type { Backend } from "../api/types";

/** The backend as the figures have it, with the details. An error among these is old news once the
 * figures say something else about whether it is up. */
export function merged(known: Backend, detail: Backend | undefined): Backend {
  const kept: Backend = { ...detail, ...known };
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
