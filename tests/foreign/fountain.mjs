// fountain-js reads the inputs that come as JSON on standard input, by name, and its tokens go to standard output: [kind, text] each.
import {readFileSync} from 'node:fs';
import {Fountain} from 'fountain-js';

const kinds = {scene_heading: 'sceneHeading', page_break: 'pageBreak'};
const silent = new Set(['dialogue_begin', 'dialogue_end', 'dual_dialogue_begin', 'dual_dialogue_end', 'spaces']);

function read(source) {
  const out = [];
  let tokens;
  try {
    tokens = new Fountain().parse(source, true).tokens;
  } catch (e) {
    return [['failed', e.message.split('\n')[0]]];
  }
  for (const token of tokens) {
    if (silent.has(token.type)) continue;
    let text = token.text ?? '';
    if (token.is_title) {
      out.push(['title', `${token.type}: ${text}`]);
      continue;
    }
    if (token.type === 'scene_heading' && token.scene_number) text += ` #${token.scene_number}#`;
    out.push([kinds[token.type] ?? token.type, text]);
  }
  return out;
}

const inputs = JSON.parse(readFileSync(0, 'utf8'));
process.stdout.write(JSON.stringify(Object.fromEntries(Object.entries(inputs).map(([name, source]) => [name, read(source)]))));
