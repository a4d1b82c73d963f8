#!/usr/bin/env node
// The entry: an older Node cannot even read the files it would import, so the version is checked here first.
import module from 'node:module';
import { fileURLToPath } from 'node:url';

const [major = 0] = process.versions.node.split('.').map(Number);
if (major < 24) {
  console.error(
    `Gapura runs on Node.js 24 or later and this is ${process.versions.node}; npm scripts bring their own after "npm ci".`,
  );
  process.exit(1);
}
// What was compiled at the last start is read again, where it could be written. In this folder and not in one for everybody:
// whoever writes there decides what runs here.
module.enableCompileCache(fileURLToPath(new URL('../node_modules/.cache/gapura-compiled', import.meta.url)));
const { run } = await import('./main.ts');
process.exitCode = await run(process.argv.slice(2));
