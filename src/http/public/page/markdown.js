// CommonMark, as far as chat answers use it, into a plain tree, and the tree into elements.
//
// The tree is data: {tag, text?, children?, href?, lang?, start?}. Elements are made by name from a short list and filled through
// textContent, so nothing that a model writes is ever markup, script or style. Half a document (an answer that is still
// being written) is a document. Pure but for `elements`; tested by node in tests/clients.

const LINK = /^(?:https?:|mailto:)/i;
const DEEPEST = 12;

function parseMarkdown(text) {
  return parseBlocks(text.replace(/\r\n?/g, '\n').replace(/\t/g, '    ').split('\n'), 0);
}

const indentOf = (line) => line.length - line.trimStart().length;
const blank = (line) => line.trim() === '';
const FENCE = /^ {0,3}(`{3,}|~{3,})\s*([^`]*)$/;
const HEADING = /^ {0,3}(#{1,6})(?:\s+(.*?))?(?:\s+#+)?\s*$/;
const RULE = /^ {0,3}(?:(?:\*\s*){3,}|(?:-\s*){3,}|(?:_\s*){3,})$/;
const ITEM = /^(\s*)(?:([-*+])|(\d{1,9})[.)])(?:\s+|$)(.*)$/;
const DIVIDER = /^\s*\|?\s*:?-+:?\s*(?:\|\s*:?-+:?\s*)*\|?\s*$/;

function parseBlocks(lines, depth) {
  const blocks = [];
  let at = 0;
  while (at < lines.length) {
    const line = lines[at];
    if (blank(line)) { at += 1; continue; }
    const taken = depth < DEEPEST
      ? fence(lines, at) || heading(line) || rule(line) || quote(lines, at, depth) || list(lines, at, depth) || table(lines, at)
      : null;
    const [block, count] = taken || paragraph(lines, at, depth);
    blocks.push(block);
    at += count;
  }
  return blocks;
}

function fence(lines, at) {
  const open = FENCE.exec(lines[at]);
  if (!open) return null;
  const indent = indentOf(lines[at]);
  const body = [];
  let end = at + 1;
  for (; end < lines.length; end += 1) {
    const close = FENCE.exec(lines[end]);
    if (close && close[1][0] === open[1][0] && close[1].length >= open[1].length && close[2] === '') break;
    body.push(lines[end].slice(Math.min(indent, indentOf(lines[end]))));
  }
  // without its end it is still being written
  const count = Math.min(end + 1, lines.length) - at;
  return [{ tag: 'code-block', lang: open[2].trim().split(/\s+/)[0] || '', text: body.join('\n') }, count];
}

function heading(line) {
  const found = HEADING.exec(line);
  return found && [{ tag: `h${found[1].length}`, children: parseInline(found[2] || '') }, 1];
}

function rule(line) {
  return RULE.test(line) ? [{ tag: 'hr' }, 1] : null;
}

function quote(lines, at, depth) {
  if (!/^ {0,3}>/.test(lines[at])) return null;
  let end = at;
  while (end < lines.length && /^ {0,3}>/.test(lines[end])) end += 1;
  const inner = lines.slice(at, end).map((line) => line.replace(/^ {0,3}> ?/, ''));
  return [{ tag: 'blockquote', children: parseBlocks(inner, depth + 1) }, end - at];
}

function list(lines, at, depth) {
  const first = ITEM.exec(lines[at]);
  if (!first || RULE.test(lines[at])) return null;
  const ordered = first[3] !== undefined;
  const base = first[1].length;
  const items = [];
  let end = at;
  while (end < lines.length) {
    const item = ITEM.exec(lines[end]);
    const ours = item && item[1].length <= base + 1 && (item[3] !== undefined) === ordered && !RULE.test(lines[end]);
    if (ours) {
      items.push([item[4]]);
    } else if (blank(lines[end])) {
      const next = lines.slice(end).find((line) => !blank(line));
      const follows = next !== undefined && (indentOf(next) > base + 1 || (ITEM.test(next) && indentOf(next) <= base + 1));
      if (!follows) break;
      items[items.length - 1].push('');
    } else if (indentOf(lines[end]) > base + 1) {
      items[items.length - 1].push(lines[end].slice(Math.min(indentOf(lines[end]), base + (ordered ? 3 : 2))));
    } else if (startsBlock(lines, end) || blank(lines[end - 1])) {
      break;
    } else {
      items[items.length - 1].push(lines[end]);
    }
    end += 1;
  }
  const children = items.map((body) => ({ tag: 'li', children: tight(parseBlocks(body, depth + 1)) }));
  const block = { tag: ordered ? 'ol' : 'ul', children };
  if (ordered && Number(first[3]) !== 1) block.start = Number(first[3]);
  return [block, end - at];
}

// an item of one paragraph needs no paragraph
function tight(blocks) {
  return blocks.length > 0 && blocks[0].tag === 'p' ? [...blocks[0].children, ...blocks.slice(1)] : blocks;
}

function table(lines, at) {
  if (!lines[at].includes('|') || at + 1 >= lines.length || !DIVIDER.test(lines[at + 1]) || !lines[at + 1].includes('-')) return null;
  const head = cells(lines[at]);
  if (cells(lines[at + 1]).length !== head.length) return null;
  let end = at + 2;
  while (end < lines.length && lines[end].includes('|')) end += 1;
  const row = (tag) => (line) => {
    const filled = cells(line);
    return { tag: 'tr', children: head.map((_, place) => ({ tag, children: parseInline(filled[place] || '') })) };
  };
  const children = [row('th')(lines[at]), ...lines.slice(at + 2, end).map(row('td'))];
  return [{ tag: 'table', children }, end - at];
}

function cells(line) {
  const inner = line.trim().replace(/^\|/, '').replace(/\|$/, '');
  return inner.split('|').map((cell) => cell.trim());
}

function startsBlock(lines, at) {
  const line = lines[at];
  return FENCE.test(line) || HEADING.test(line) || RULE.test(line) || /^ {0,3}>/.test(line) || ITEM.test(line);
}

function paragraph(lines, at, depth) {
  let end = at + 1;
  while (end < lines.length && !blank(lines[end]) && !(depth < DEEPEST && startsBlock(lines, end))) end += 1;
  const text = lines.slice(at, end).map((line) => line.trimStart()).join('\n');
  return [{ tag: 'p', children: parseInline(text.trimEnd()) }, end - at];
}

// Each try looks at the text from one place and says what stands there and how long it is, or nothing.
const INLINE = [
  [/^\\([!-/:-@[-`{-~])/, (found) => ({ text: found[1] })],
  [/^(`+)(?!`)([\s\S]*?[^`])\1(?!`)/, (found) => ({ tag: 'code', text: found[2].replace(/\n/g, ' ').replace(/^ (.+) $/, '$1') })],
  [/^(?: {2,}|\\)\n/, () => ({ tag: 'br' })],
  [/^\n/, () => ({ tag: 'br' })],
  [/^!?\[((?:[^[\]\\]|\\.|\[[^[\]]*\])*)\]\(\s*<?([^\s()<>]*(?:\([^\s()<>]*\)[^\s()<>]*)*)>?(?:\s+["'(][^)]*["')])?\s*\)/, link],
  [/^<((?:https?|mailto):[^\s<>]+)>/i, (found) => anchor(found[1])],
  [/^https?:\/\/[^\s<>"'`，。；：！？、（）「」《》]+/i, (found) => bare(found[0])],
  [/^\*\*\*(?=\S)([\s\S]*?\S)\*\*\*/, (found, depth) => ({ tag: 'strong', children: [{ tag: 'em', children: inline(found[1], depth + 1) }] })],
  [/^\*\*(?=\S)([\s\S]*?\S\*?)\*\*(?!\*)/, (found, depth) => ({ tag: 'strong', children: inline(found[1], depth + 1) })],
  [/^__(?=\S)([\s\S]*?\S)__(?![\p{L}\p{N}_])/u, (found, depth) => ({ tag: 'strong', children: inline(found[1], depth + 1) })],
  [/^~~(?=\S)([\s\S]*?\S)~~/, (found, depth) => ({ tag: 'del', children: inline(found[1], depth + 1) })],
  // a run of one kind or the other, never a choice between them: a pattern that can't be made slow
  [/^\*(?=[^\s*])((?:[^*]|\*\*[^*]+\*\*)+?)\*(?!\*)/, (found, depth) => (
    /\s$/.test(found[1]) ? null : { tag: 'em', children: inline(found[1], depth + 1) })],
  [/^_(?=[^\s_])([^_]*?[^\s_])_(?![\p{L}\p{N}_])/u, (found, depth) => ({ tag: 'em', children: inline(found[1], depth + 1) })],
];
const SPECIAL = /[\\`*_~[!<\n]| {2,}\n|https?:\/\//i;

function parseInline(text) {
  return inline(text, 0);
}

function inline(text, depth) {
  const out = [];
  const push = (node) => {
    const last = out[out.length - 1];
    if (node.tag === undefined && last && last.tag === undefined) last.text += node.text;
    else out.push(node);
  };
  let rest = text;
  let before = '';
  while (rest !== '') {
    const plain = rest.search(SPECIAL);
    if (plain !== 0) {
      const words = plain < 0 ? rest : rest.slice(0, plain);
      push({ text: words });
      before = words;
      rest = rest.slice(words.length);
      continue;
    }
    const [node, length] = special(rest, before, depth);
    push(node);
    before = rest.slice(0, length);
    rest = rest.slice(length);
  }
  return out;
}

function special(rest, before, depth) {
  // an underscore inside a word is a letter
  const inWord = rest[0] === '_' && /[\p{L}\p{N}_]$/u.test(before);
  if (depth < DEEPEST && !inWord) {
    for (const [pattern, make] of INLINE) {
      const found = pattern.exec(rest);
      if (!found) continue;
      const node = make(found, depth);
      if (node) return [node, node.length ?? found[0].length];
    }
  }
  const run = /^([*_`~])\1*/.exec(rest);
  const plain = run ? run[0] : rest[0];
  return [{ text: plain }, plain.length];
}

function link(found, depth) {
  const words = inline(found[1], depth + 1);
  const href = safeAddress(found[2]);
  // what is no web address is shown as the text that it is
  if (!href) return { text: found[0] };
  return { tag: 'a', href, children: words.length > 0 ? words : [{ text: found[2] }] };
}

function anchor(text) {
  const href = safeAddress(text);
  return href ? { tag: 'a', href, children: [{ text }] } : null;
}

// the stop after an address is not part of it
function bare(text) {
  const trimmed = text.replace(/[.,;:!?)\]*_]+$/, '');
  const made = anchor(trimmed);
  return made && { ...made, length: trimmed.length };
}

function safeAddress(text) {
  if (!LINK.test(text)) return null;
  try {
    const url = new URL(text);
    return ['http:', 'https:', 'mailto:'].includes(url.protocol) ? url.href : null;
  } catch {
    return null;
  }
}

const TAGS = new Set(['p', 'h1', 'h2', 'h3', 'h4', 'h5', 'h6', 'hr', 'blockquote', 'ul', 'ol', 'li', 'table', 'tr', 'th', 'td',
  'strong', 'em', 'del', 'code', 'br', 'a']);

// The tree as elements. `codeBlock` makes the frame of a block of code, which has a button.
function elements(node, codeBlock) {
  if (node.tag === undefined) return document.createTextNode(node.text);
  if (node.tag === 'code-block') return codeBlock(node);
  const made = document.createElement(TAGS.has(node.tag) ? node.tag : 'span');
  if (node.text !== undefined) made.textContent = node.text;
  if (node.tag === 'ol' && node.start !== undefined) made.start = node.start;
  if (node.tag === 'a') {
    made.href = node.href;
    made.target = '_blank';
    made.rel = 'noopener noreferrer nofollow';
  }
  for (const child of node.children || []) made.append(elements(child, codeBlock));
  if (node.tag !== 'table') return made;
  const frame = document.createElement('div');
  frame.className = 'table';
  frame.append(made);
  return frame;
}

if (typeof module !== 'undefined') module.exports = { parseMarkdown, safeAddress };
