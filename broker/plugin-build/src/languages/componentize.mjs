// Makes a component: node componentize.mjs ENGINE WORLD SOURCE WIT COMPONENT. It lies beside the packages when it runs.

import { readFile, writeFile } from "node:fs/promises";

const [engine, world, source, witPath, component] = process.argv.slice(2);

const engines = {
  async quickjs() {
    const { componentize } = await import("componentize-qjs");
    const jsSource = await readFile(source, "utf8");
    // Without `sync` it would want a host with the component model's async functions.
    return componentize({ jsSource, jsPath: source, witPath, world, sync: true });
  },
  async starlingmonkey() {
    const { componentize } = await import("@bytecodealliance/componentize-js");
    // It would export a handler of requests that come in.
    const disableFeatures = ["fetch-event"];
    return componentize({ sourcePath: source, witPath, worldName: world, disableFeatures });
  },
};

try {
  await writeFile(component, (await engines[engine]()).component);
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
}
