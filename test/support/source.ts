/** The project's sources as a tree of texts, and the little reading of TypeScript that the architecture test needs. */

import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Path from the project's root (with `/`) to the text of that file. */
export type Tree = Record<string, string>;

export interface Import {
  /** As written. */
  from: string;
  line: number;
  /** `import type`: nothing of it is there at run time. */
  is_type: boolean;
  /** `import(…)`. */
  is_dynamic: boolean;
}

const root = fileURLToPath(new URL('../../', import.meta.url));

/** Reads every file below `folders` whose name ends in one of `endings`. */
export function readTree(folders: string[], endings: string[]): Tree {
  const tree: Tree = {};
  for (const folder of folders)
    for (const entry of readdirSync(join(root, folder), { recursive: true, withFileTypes: true })) {
      const path = join(entry.parentPath, entry.name);
      if (entry.isFile() && endings.some((ending) => entry.name.endsWith(ending)))
        tree[path.slice(root.length).replaceAll('\\', '/')] = readFileSync(path, 'utf8');
    }
  return tree;
}

/** The files of `tree` below `folder`, or those that it does not hold when `inside` is false. */
export function below(tree: Tree, folder: string, inside = true): Tree {
  return Object.fromEntries(Object.entries(tree).filter(([path]) => path.startsWith(folder) === inside));
}

/** Blanks out comments, so that words in them count for nothing; lines and columns stay. Strings are left as they are. */
export function withoutComments(text: string): string {
  // Strings and regular expressions are matched only to be skipped: "//" inside an address is no comment. A template's
  // ${…} is code again, so each piece of a template ends where one begins and starts again at the brace that closes it.
  const word =
    /\/\/[^\n]*|\/\*[\s\S]*?\*\/|'(?:\\[\s\S]|[^'\\\n])*'|"(?:\\[\s\S]|[^"\\\n])*"|(?<=[=(,:[!&|?{};\n]\s*)\/(?![*/])(?:\\.|\[(?:\\.|[^\]\\\n])*\]|[^/\\\n[])+\/[a-z]*|[`{}]/g;
  const open: ('template' | 'block')[] = [];
  let result = '';
  let at = 0;
  const skipTemplate = () => {
    const rest = /(?:\\[\s\S]|\$(?!\{)|[^`\\$])*(`|\$\{)?/y;
    rest.lastIndex = word.lastIndex;
    const [all = '', end] = rest.exec(text) ?? [];
    word.lastIndex += all.length;
    if (end === '${') open.push('template');
  };
  for (let found = word.exec(text); found; found = word.exec(text)) {
    const [token] = found;
    if (token.startsWith('//') || token.startsWith('/*')) {
      result += text.slice(at, found.index) + token.replace(/[^\n]/g, ' ');
      at = word.lastIndex;
    } else if (token === '`') skipTemplate();
    else if (token === '{') open.push('block');
    else if (token === '}' && open.pop() === 'template') skipTemplate();
  }
  return result + text.slice(at);
}

/** Import and export-from statements of a file, and `import(…)`. */
export function listImports(text: string): Import[] {
  const code = withoutComments(text);
  const fixed = [
    ...code.matchAll(/^\s*(?:import|export)\s+(type\s+(?=[\w{*]))?(?:[^'"`;()=]*?\bfrom\s+)?['"]([^'"]+)['"]/gm),
  ];
  const dynamic = [...code.matchAll(/\bimport\(\s*(?:['"`]([^'"`]*)['"`])?/g)];
  return [
    ...fixed.map((found) => ({
      from: found[2] ?? '',
      line: lineOf(code, found.index + found[0].search(/\S/)),
      is_type: Boolean(found[1]),
      is_dynamic: false,
    })),
    ...dynamic.map((found) => ({
      from: found[1] ?? '',
      line: lineOf(code, found.index),
      is_type: false,
      is_dynamic: true,
    })),
  ];
}

/** Line (from 1) of the character at `index`. */
export function lineOf(text: string, index: number): number {
  return text.slice(0, index).split('\n').length;
}
