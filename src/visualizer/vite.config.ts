/** How the page is built (`vite build src/visualizer`): hashed files in dist/page, nothing inline, so that it runs under `default-src 'self'`. */
import { defineConfig } from "vite";

export default defineConfig({
  base: "./",
  publicDir: false,
  logLevel: "warn",
  oxc: { jsx: { runtime: "automatic", importSource: "preact" } },
  build: {
    outDir: "../../dist/page",
    emptyOutDir: true,
    target: "es2023",
    // Inline data: addresses would need an exception in the content security policy.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
    license: { fileName: "licenses.md" },
  },
});
