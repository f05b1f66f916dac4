// Puts the licences of the packages that end up in the build beside it, as they ask for.

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Plugin } from "vite";

export function licenses(): Plugin {
  return {
    name: "licenses",
    generateBundle(_, bundle) {
      const packages = new Set<string>();
      for (const part of Object.values(bundle)) {
        if (part.type !== "chunk") continue;
        for (const id of part.moduleIds) {
          const found = /^.*node_modules\/(?:@[^/]+\/)?[^/]+(?=\/)/.exec(id.replace(/^\0/, ""));
          if (found) packages.add(found[0]);
        }
      }
      const source = [...packages].sort().map(notice).join("\n\n");
      this.emitFile({ type: "asset", name: "licenses.txt", source });
    },
  };
}

function notice(directory: string): string {
  const about = JSON.parse(readFileSync(join(directory, "package.json"), "utf8")) as {
    name: string;
    version: string;
    license: string;
  };
  const file = readdirSync(directory).find((name) => /^licen[cs]e/i.test(name));
  if (file === undefined) throw new Error(`${about.name} is in the build and brings no licence`);
  const text = readFileSync(join(directory, file), "utf8").trim();
  return `${about.name} ${about.version} (${about.license})\n\n${text}`;
}
