// Single keys as commands: not while somebody writes, chooses, or is asked something.

/** The key, if it is meant as a command; null otherwise. */
export function pressed(event: KeyboardEvent): string | null {
  if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return null;
  const target = event.target;
  if (target instanceof Element && target.closest("input:not([type=checkbox]), textarea, select")) {
    return null;
  }
  return document.querySelector("dialog[open]") ? null : event.key;
}
