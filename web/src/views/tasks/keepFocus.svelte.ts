/** Keeps the focus in an element whose parts come and go: when the focused part has left, the element
 * gets the focus, and when it was only moved, which takes the focus from it, it gets it back.
 *
 * To be called as a component is made. `changes` reads what the parts are made of. */
export function keepFocus(element: () => HTMLElement | undefined, changes: () => unknown): void {
  let focused: HTMLElement | null = null;
  $effect.pre(() => {
    changes();
    const now = document.activeElement;
    focused = now instanceof HTMLElement && element()?.contains(now) ? now : null;
  });
  $effect(() => {
    changes();
    if (focused === null || document.activeElement !== document.body) return;
    (focused.isConnected ? focused : element())?.focus({ preventScroll: true });
  });
}
