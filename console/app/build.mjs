// Builds the console into ../dist: the same sources give the same bytes. Run it by `make console`.

import { cp, mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { build } from "esbuild";

const out = "../dist";

// The modules of ../page are served as they are, beside what is built: the sign-in of all pages is one.
const page = {
  name: "page",
  setup: ({ onResolve }) => onResolve({ filter: /^#page\// }, ({ path }) => ({ path: path.replace("#page/", "./"), external: true })),
};

await rm(out, { recursive: true, force: true });
await mkdir(out);
await build({
  entryPoints: ["src/app.tsx", "src/app.css"], outdir: out, bundle: true, minify: true, format: "esm", target: ["es2023"], charset: "ascii",
  jsx: "automatic", jsxImportSource: "preact", legalComments: "none", logLevel: "warning", plugins: [page],
});
await cp("src/console.html", `${out}/console.html`);
const licences = ["node_modules/preact/LICENSE", "node_modules/yaml/LICENSE", "../../clients/typescript/node_modules/openapi-fetch/LICENSE"];
const texts = await Promise.all(licences.map(async (path) => `${path.split("node_modules/")[1].split("/")[0]}\n\n${await readFile(path, "utf8")}`));
await writeFile(`${out}/license.txt`, texts.join("\n\n"));
