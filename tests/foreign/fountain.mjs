// A parser of others, fountain-js or aw-parser, reads the inputs that come as JSON on standard input, by name, and its tokens go to standard output: [kind, text] each.
import {readFileSync} from 'node:fs';
import aw from 'aw-parser';
import {Fountain} from 'fountain-js';

const kinds = {scene_heading: 'sceneHeading', page_break: 'pageBreak'};
const silent = new Set(['dialogue_begin', 'dialogue_end', 'dual_dialogue_begin', 'dual_dialogue_end', 'spaces']);

function byFountainJS(source) {
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

// aw-parser tells lines: those of one element are put together here. Its "shot" is a line in capitals that is no cue, which the format calls action.
function byAw(source) {
  const shown = Object.fromEntries(['notes', 'actions', 'headers', 'sections', 'synopsis', 'dialogues'].map((name) => [`print_${name}`, true]));
  let result;
  try {
    result = aw.parser.parse(source, {...shown, use_dual_dialogue: true});
  } catch (e) {
    return [['failed', e.message.split('\n')[0]]];
  }
  const out = result.title_page.map(({type, text}) => ['title', `${type.replaceAll(' ', '_')}: ${text}`]);
  let before;
  for (const token of result.tokens) {
    const kind = {...kinds, shot: 'action'}[token.type] ?? token.type;
    const text = token.type === 'scene_heading' && typeof token.number === 'string' ? `${token.text} #${token.number}#` : token.text;
    if (kind === before && ['action', 'dialogue', 'centered'].includes(kind)) out.at(-1)[1] += `\n${text}`;
    else if (kind !== 'separator') out.push([kind, text]);
    before = kind;
  }
  return out;
}

const read = {'fountain-js': byFountainJS, 'aw-parser': byAw}[process.argv[2]];
const inputs = JSON.parse(readFileSync(0, 'utf8'));
process.stdout.write(JSON.stringify(Object.fromEntries(Object.entries(inputs).map(([name, source]) => [name, read(source)]))));
