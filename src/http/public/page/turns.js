// A turn on the page: one message, and under it its answer. Drawn from what is kept; nothing is kept here.

const $ = (id) => document.getElementById(id);

function make(tag, className, text) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

const shown = new Map();

function drawTurn(turn) {
  const views = { you: make('article', 'turn you'), bot: make('article', 'turn bot'), blocks: [] };
  views.youBody = make('div', 'body', turn.text);
  views.under = make('p', 'under');
  views.you.append(views.youBody, views.under);
  views.botBody = make('div', 'body');
  views.bot.append(views.botBody);
  shown.set(turn.id, views);
  $('log').append(views.you, views.bot);
  refreshTurn(turn);
}

function refreshTurn(turn) {
  const views = shown.get(turn.id);
  if (!views) return;
  views.you.setAttribute('aria-label', say('you'));
  views.bot.setAttribute('aria-label', say('bot'));
  views.you.classList.toggle('failed', turn.state === 'unsent' || turn.state === 'refused');
  views.under.hidden = !['sending', 'unsent', 'refused'].includes(turn.state);
  views.under.replaceChildren();
  if (turn.state === 'sending') views.under.append(say('sending'));
  if (turn.state === 'unsent') views.under.append(say('unsent'), ' ', action('now', nudge));
  if (turn.state === 'refused') views.under.append(say('refused', { why: turn.why }), ' ', action('again', () => resend(turn)));
  const writing = turn.state === 'waiting';
  views.bot.hidden = !['waiting', 'answered', 'failed'].includes(turn.state);
  views.bot.setAttribute('aria-busy', String(writing));
  views.botBody.classList.toggle('sorry', turn.state === 'failed' || (!writing && !turn.answer));
  drawAnswer(turn, views, writing);
}

function action(words, act) {
  const button = make('button', '', say(words));
  button.type = 'button';
  button.addEventListener('click', act);
  return button;
}

function drawAnswer(turn, views, writing) {
  const words = turn.ending === 'dead' ? 'dead' : 'withdrawn';
  const text = turn.answer || (writing ? '' : say(words));
  if (writing && text === '') {
    const dots = make('span', 'dots');
    dots.setAttribute('role', 'img');
    dots.setAttribute('aria-label', say('thinking'));
    dots.append(make('i'), make('i'), make('i'));
    views.botBody.replaceChildren(dots);
    views.blocks = [];
    return;
  }
  // only what changed is made anew: a selection above stays, and nothing flickers
  const blocks = parseMarkdown(text).map((block) => ({ block, key: JSON.stringify(block) }));
  if (views.blocks.length === 0) views.botBody.replaceChildren();
  let same = 0;
  while (same < blocks.length && same < views.blocks.length && blocks[same].key === views.blocks[same]) same += 1;
  while (views.botBody.childNodes.length > same) views.botBody.lastChild.remove();
  for (const { block } of blocks.slice(same)) views.botBody.append(elements(block, codeBlock));
  views.blocks = blocks.map(({ key }) => key);
}

function codeBlock({ lang, text }) {
  const frame = make('div', 'code');
  const head = make('div', 'code-head');
  const copy = make('button', 'copy', say('copy'));
  copy.type = 'button';
  copy.addEventListener('click', async () => {
    await copyText(text);
    copy.textContent = say('copied');
    setTimeout(() => { copy.textContent = say('copy'); }, 1600);
  });
  head.append(make('span', '', lang || say('code')), copy);
  const pre = make('pre');
  pre.tabIndex = 0;
  pre.append(make('code', '', text));
  frame.append(head, pre);
  return frame;
}

async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // plain HTTP from another machine: browsers have only the old way there
    const area = make('textarea');
    area.value = text;
    document.body.append(area);
    area.select();
    document.execCommand('copy');
    area.remove();
  }
}
