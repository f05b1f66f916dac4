const NEAR = 40; // pixels from its end at which a page counts as read to its end

/** Keeps a page that grows at its end for whoever has scrolled there, and leaves it alone for
 * whoever reads further up. To be called as a component is made; `changes` reads what grows. */
export function stickToEnd(scroller: () => Element | null, changes: () => unknown): void {
  let stuck = false;
  $effect.pre(() => {
    changes();
    const page = scroller();
    const left = page === null ? 0 : page.scrollHeight - page.scrollTop - page.clientHeight;
    stuck = page !== null && page.scrollTop > 0 && left < NEAR;
  });
  $effect(() => {
    changes();
    const page = scroller();
    if (stuck && page !== null) page.scrollTop = page.scrollHeight;
  });
}
