/** Writes the references of configuration, subjects and commands into README.md. Run by `npm run docs`, after the build. */
import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { withTables } from "../dist/bus/reference.js";
import { withReference } from "../dist/config/reference.js";

const readme = fileURLToPath(new URL("../README.md", import.meta.url));
const text = readFileSync(readme, "utf8");
const configured = withReference(text);
const tables = configured === undefined ? undefined : withTables(configured);
if (configured === undefined) {
  console.error(
    "expected <!-- config:begin --> and <!-- config:end --> in README.md, found neither; put them where the table belongs",
  );
  process.exitCode = 2;
} else if (tables.kind === "missing") {
  console.error(`expected ${tables.markers.join(", ")} in README.md, found them missing; put them where the tables belong`);
  process.exitCode = 2;
} else if (tables.text === text) {
  console.log("README.md: the references are up to date");
} else {
  writeFileSync(readme, tables.text);
  console.log("README.md: wrote the references");
}
