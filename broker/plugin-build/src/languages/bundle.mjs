// Makes one module of many: node bundle.mjs ENTRY BUNDLE. It lies below the packages when it runs.

import { build } from "esbuild";

const [entry, outfile] = process.argv.slice(2);

await build({
  entryPoints: [entry],
  outfile,
  bundle: true,
  format: "esm",
  // What interpreters have is the language, and the broker's interfaces.
  platform: "neutral",
  mainFields: ["module", "main"],
  target: "es2023",
  external: ["tidegate:plugin/*", "wasi:*"],
  logLevel: "warning",
}).catch(() => {
  // It has said why.
  process.exitCode = 1;
});
