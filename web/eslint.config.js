import globals from "globals";
import svelte from "eslint-plugin-svelte";
import ts from "typescript-eslint";
import svelteConfig from "./svelte.config.js";

export default ts.config(
  { ignores: ["node_modules", "../oq/http/static", "src/api/schema.ts"] },
  ...ts.configs.strict,
  ...svelte.configs.recommended,
  {
    languageOptions: { globals: { ...globals.browser, ...globals.node } },
    rules: {
      // What models and users write is text, never HTML.
      "svelte/no-at-html-tags": "error",
      // The Content-Security-Policy refuses style attributes; `style:` directives use the CSSOM.
      "no-restricted-syntax": [
        "error",
        { selector: "SvelteAttribute[key.name='style']", message: "Write style:name={value}." },
      ],
      // State is replaced here, never mutated: plain collections in $state.raw are cheaper.
      "svelte/prefer-svelte-reactivity": "off",
      "svelte/require-each-key": "error",
      // The address's hash is the route here; there is no SvelteKit to resolve it.
      "svelte/no-navigation-without-resolve": "off",
      "no-restricted-properties": [
        "error",
        { property: "innerHTML", message: "Text is text: use textContent." },
        { property: "outerHTML", message: "Text is text: use textContent." },
        { property: "insertAdjacentHTML", message: "Text is text: use textContent." },
      ],
      "no-eval": "error",
      "no-implied-eval": "error",
      "no-console": "error",
    },
  },
  {
    files: ["**/*.svelte", "**/*.svelte.ts"],
    languageOptions: {
      parserOptions: { parser: ts.parser, extraFileExtensions: [".svelte"], svelteConfig },
    },
  },
  { files: ["scripts/**"], rules: { "no-console": "off" } },
);
