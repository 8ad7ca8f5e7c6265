/** Writes the configuration reference into README.md. Run by `npm run docs`, after the build. */
import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { withReference } from "../dist/config/reference.js";

const readme = fileURLToPath(new URL("../README.md", import.meta.url));
const text = readFileSync(readme, "utf8");
const next = withReference(text);
if (next === undefined) {
  console.error(
    "expected <!-- config:begin --> and <!-- config:end --> in README.md, found neither; put them where the table belongs",
  );
  process.exitCode = 2;
} else if (next === text) {
  console.log("README.md: the configuration reference is up to date");
} else {
  writeFileSync(readme, next);
  console.log("README.md: wrote the configuration reference");
}
