/**
 * Ask now, and then again and again while somebody sees the page; `interval` is in milliseconds.
 * What this gives stops it: what comes later is neither taken nor a failure.
 */
export function poll<T>(
  ask: () => Promise<T>,
  interval: number,
  take: (answer: T) => void,
  fail: (error: unknown) => void = () => {},
): () => void {
  let stopped = false;
  async function read() {
    if (document.hidden) return;
    try {
      const answer = await ask();
      if (!stopped) take(answer);
    } catch (error) {
      if (!stopped) fail(error);
    }
  }
  void read();
  const timer = setInterval(() => void read(), interval);
  return () => {
    stopped = true;
    clearInterval(timer);
  };
}
