// The web chat's markdown, by node's own test runner: `node --test tests/clients/`.
'use strict';

const test = require('node:test');
const assert = require('node:assert');
const { parseMarkdown, safeAddress } = require('../../src/http/public/page/markdown.js');

// The tree as a short text: tags and words.
const brief = (nodes) => nodes.map((node) => {
  if (node.tag === undefined) return node.text;
  const inner = node.children ? brief(node.children) : node.text || '';
  return `<${node.tag}${node.href ? ` ${node.href}` : ''}>${inner}</${node.tag}>`;
}).join('');
const page = (text) => brief(parseMarkdown(text));

test('paragraphs are parted by blank lines and lines break where they break', () => {
  assert.equal(page('one\ntwo\n\nthree'), '<p>one<br></br>two</p><p>three</p>');
  assert.equal(page(''), '');
});

test('headings, rules and quotes', () => {
  assert.equal(page('# A\n## B ##\n\n---\n\n> said\n> so'), '<h1>A</h1><h2>B</h2><hr></hr><blockquote><p>said<br></br>so</p></blockquote>');
  assert.equal(page('#no heading'), '<p>#no heading</p>');
});

test('emphasis, and letters that only look like it', () => {
  assert.equal(page('**b** *i* ***bi*** ~~d~~'), '<p><strong>b</strong> <em>i</em> <strong><em>bi</em></strong> <del>d</del></p>');
  assert.equal(page('*a **b** c*'), '<p><em>a <strong>b</strong> c</em></p>');
  assert.equal(page('snake_case_name and 2 * 3 * 4'), '<p>snake_case_name and 2 * 3 * 4</p>');
  assert.equal(page('**重点**：好'), '<p><strong>重点</strong>：好</p>');
  assert.equal(page('\\*not\\*'), '<p>*not*</p>');
});

test('code is never read as anything else', () => {
  assert.equal(page('`**x** <b>`'), '<p><code>**x** <b></code></p>');
  assert.equal(page('``a ` b``'), '<p><code>a ` b</code></p>');
  const [block] = parseMarkdown('```rust\nlet a = "<b>";\n\n# no heading\n```\nafter');
  assert.deepEqual(block, { tag: 'code-block', lang: 'rust', text: 'let a = "<b>";\n\n# no heading' });
});

test('half a document is a document', () => {
  assert.deepEqual(parseMarkdown('```py\nprint('), [{ tag: 'code-block', lang: 'py', text: 'print(' }]);
  assert.equal(page('**bo'), '<p>**bo</p>');
  assert.equal(page('[a](http'), '<p>[a](http</p>');
  assert.equal(page('- '), '<ul><li></li></ul>');
  const whole = '# T\n\n1. *a*\n   - `b`\n\n```js\nx\n```\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n[l](https://e.org) **b**';
  for (let end = 0; end <= whole.length; end += 1) parseMarkdown(whole.slice(0, end));
});

test('lists, nested and numbered', () => {
  assert.equal(page('- a\n- b\n  - c\n- d'), '<ul><li>a</li><li>b<ul><li>c</li></ul></li><li>d</li></ul>');
  assert.equal(page('3. a\n4. b'), '<ol><li>a</li><li>b</li></ol>');
  assert.equal(parseMarkdown('3. a')[0].start, 3);
  assert.equal(page('1. a\n\n   more\n\n2. b'), '<ol><li>a<p>more</p></li><li>b</li></ol>');
  assert.equal(page('text\n- a'), '<p>text</p><ul><li>a</li></ul>');
  assert.equal(page('- a\n\ntext'), '<ul><li>a</li></ul><p>text</p>');
});

test('tables', () => {
  assert.equal(page('| a | b |\n|---|:-:|\n| 1 | `2` |\n| 3 |'),
    '<table><tr><th>a</th><th>b</th></tr><tr><td>1</td><td><code>2</code></td></tr><tr><td>3</td><td></td></tr></table>');
  assert.equal(page('a | b'), '<p>a | b</p>');
});

test('links lead to the web or nowhere', () => {
  assert.equal(page('[a](https://e.org/x)'), '<p><a https://e.org/x>a</a></p>');
  assert.equal(page('see https://e.org/a_b_c.'), '<p>see <a https://e.org/a_b_c>https://e.org/a_b_c</a>.</p>');
  assert.equal(page('<https://e.org>'), '<p><a https://e.org/>https://e.org</a></p>');
  assert.equal(page('![alt](https://e.org/x.png)'), '<p><a https://e.org/x.png>alt</a></p>');
  const bad = ['javascript:alert(1)', 'JAVASCRIPT:alert(1)', 'java\tscript:alert(1)', 'data:text/html,x', 'vbscript:x', 'file:///etc/passwd',
    '//e.org', '/x', 'x', '', 'http:'];
  for (const address of bad) {
    assert.equal(safeAddress(address), null, address);
    assert.ok(!page(`[a](${address})`).includes('<a '), address);
  }
});

test('markup is text', () => {
  assert.equal(page('<img src=x onerror=alert(1)> <script>x</script>'), '<p><img src=x onerror=alert(1)> <script>x</script></p>');
  assert.equal(parseMarkdown('<b>x</b>')[0].children[0].tag, undefined);
});

test('no text takes long', () => {
  const n = 20000;
  const hard = ['*a **'.repeat(n), '['.repeat(n), '`'.repeat(n), '**a '.repeat(n), '> '.repeat(n), '_a'.repeat(n), '[a]('.repeat(n),
    '~~a'.repeat(n), '- '.repeat(n), '*a'.repeat(n), '|'.repeat(n), 'https://'.repeat(n), '<https:'.repeat(n), '\\'.repeat(n), '***a'.repeat(n)];
  for (const text of hard) {
    const begun = process.cpuUsage().user;
    parseMarkdown(text);
    const spent = (process.cpuUsage().user - begun) / 1e6;
    // not a measurement: quadratic is a second or two here, exponential never ends
    assert.ok(spent < 20, `${text.slice(0, 8)}… took ${spent} s`);
    if (spent > 1) console.log(`# ${JSON.stringify(text.slice(0, 8))} ${spent.toFixed(1)} s`);
  }
});
