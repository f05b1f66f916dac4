import { svelte } from "@sveltejs/vite-plugin-svelte";
import { defineConfig } from "vitest/config";
import { licenses } from "./scripts/licenses";

// A running oq that `npm run dev` shows. The Host header stays as the browser sent it, so that the
// server's check of Origin against Host holds here too.
const backend = process.env.OQ_URL ?? "http://127.0.0.1:7125";
const proxied = { target: backend, changeOrigin: false };

const POLICY = [
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:",
  "media-src 'self' data:",
  "connect-src 'self'; font-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
].join("; ");

export default defineConfig({
  plugins: [svelte(), licenses()],
  build: {
    outDir: "../oq/http/static",
    emptyOutDir: true,
    target: "es2022",
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false }, // it would be an inline script, which the policy refuses
  },
  server: { proxy: { "/api": proxied, "/v1": proxied, "/ws": { ...proxied, ws: true } } },
  // `npm run preview` shows the build under the policy that oq serves it with.
  preview: { headers: { "Content-Security-Policy": POLICY } },
  test: { include: ["test/**/*.test.ts"], environment: "node" },
});
