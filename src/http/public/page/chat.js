// The page: conversations on the shelf, one of them open, a desk to write at.

const newId = () => [...crypto.getRandomValues(new Uint8Array(12))].map((byte) => byte.toString(16).padStart(2, '0')).join('');

// ---- the parts

const daemon = new Daemon(localStorage, (state) => report(state));
// conversations that something may still happen to, so that there is one object of each
const living = new Map();
let here = null;
const followers = new Map();
const nudges = new Set();
let state = 'up';
let signedOut = !daemon.token;

// Ends every pause between two tries.
function nudge() {
  const waiting = [...nudges];
  nudges.clear();
  waiting.forEach((wake) => wake());
}
const hurry = () => new Promise((wake) => nudges.add(wake));

function report(next) {
  if (next === 'signed-out') signedOut = true;
  else state = next;
  drawBanner();
  drawDoor();
  if (next === 'signed-out') toBottom();
}

// ---- sending and following

async function deliver(conversation, turn) {
  turn.state = 'sending';
  changed(conversation, turn);
  const message = { id: turn.id, text: turn.text, conversation: conversation.id };
  const refusal = await daemon.send(message, () => {
    turn.state = 'unsent';
    changed(conversation, turn);
  }, hurry);
  if (refusal === null) {
    turn.state = 'waiting';
    awaitAnswer(conversation, turn);
  } else {
    turn.state = 'refused';
    turn.why = refusal;
  }
  changed(conversation, turn);
}

function awaitAnswer(conversation, turn) {
  if (!followers.has(conversation.id)) {
    followers.set(conversation.id, new Follower(daemon, conversation.id, (...told) => hear(conversation, ...told)));
  }
  followers.get(conversation.id).follow(turn.id);
}

function hear(conversation, id, kind, text, ending) {
  const turn = conversation.turns.find((other) => other.id === id);
  if (!turn || turn.state !== 'waiting') return;
  if (kind === 'restart') turn.answer = '';
  if (kind === 'token') turn.answer = (turn.answer || '') + text;
  if (kind === 'reply') Object.assign(turn, { answer: text, state: 'answered' });
  if (kind === 'error') Object.assign(turn, { answer: ending ? '' : text, state: 'failed', ending });
  const ended = kind === 'reply' || kind === 'error';
  changed(conversation, turn, !ended);
  if (ended) drawSend();
}

const due = new Set();
// Writes and draws. Tokens come fast: they are drawn once a frame, and written when the answer is whole.
function changed(conversation, turn, soon = false) {
  conversation.touched = Date.now();
  if (!living.has(conversation.id)) return;
  if (!soon) {
    shelf.write(conversation);
    drawShelf();
  }
  if (conversation !== here) return;
  if (due.size === 0) requestAnimationFrame(drawDue);
  due.add(turn);
  drawSend();
}

function drawDue() {
  const follow = atBottom();
  for (const turn of due) refreshTurn(turn);
  due.clear();
  if (follow) toBottom();
  else $('down').hidden = false;
}

function resend(turn) {
  // refused for good under this id: a new message
  const views = shown.get(turn.id);
  shown.delete(turn.id);
  turn.id = newId();
  shown.set(turn.id, views);
  deliver(here, turn);
}

function write(text) {
  const turn = { id: newId(), text, answer: '', state: 'sending' };
  here.turns.push(turn);
  $('welcome').hidden = true;
  drawTurn(turn);
  toBottom();
  deliver(here, turn);
  drawTitle();
}

const busy = () => here.turns.some((turn) => turn.state === 'waiting');

// The daemon ends the answer and withdraws what waits; the conversation shows it by those messages' own ends.
async function stop() {
  $('send').disabled = true;
  const outcome = await daemon.trySend({ id: newId(), text: '/stop', conversation: here.id });
  if (outcome.state) report(outcome.state);
  drawSend();
}

// ---- drawing the rest

const atBottom = () => $('scroll').scrollHeight - $('scroll').scrollTop - $('scroll').clientHeight < 80;
function toBottom() {
  $('scroll').scrollTop = $('scroll').scrollHeight;
  $('down').hidden = true;
}

function drawSend() {
  const empty = $('text').value.trim() === '';
  const halts = empty && busy();
  $('send').classList.toggle('stop', halts);
  $('send').disabled = empty && !halts;
  const words = say(halts ? 'stop' : 'send');
  $('send').setAttribute('aria-label', words);
  $('send').title = words;
}

function drawTitle() {
  $('title').textContent = here.turns.length > 0 ? titleOf(here) : 'packetboat';
  document.title = here.turns.length > 0 ? `${titleOf(here)} – packetboat` : 'packetboat';
}

function drawShelf() {
  $('past').replaceChildren(...shelf.all().map((conversation) => {
    const row = make('li', conversation.id === here.id ? 'here' : '');
    const choose = make('button', 'open', titleOf(conversation));
    choose.type = 'button';
    if (conversation.id === here.id) choose.setAttribute('aria-current', 'true');
    choose.addEventListener('click', () => { openConversation(conversation.id); showShelf(false); });
    const drop = make('button', 'drop', '×');
    drop.type = 'button';
    drop.setAttribute('aria-label', say('drop', { title: titleOf(conversation) }));
    drop.title = drop.getAttribute('aria-label');
    drop.addEventListener('click', () => dropConversation(conversation.id));
    row.append(choose, drop);
    return row;
  }));
}

function drawBanner() {
  const words = !signedOut && { unreachable: 'unreachable', busy: 'busy', draining: 'draining' }[state];
  $('banner').hidden = !words;
  $('banner').textContent = words ? say(words) : '';
}

function drawDoor(why) {
  $('door').hidden = !signedOut;
  $('desk').hidden = signedOut;
  $('welcome').hidden = signedOut || here.turns.length > 0;
  if (why !== undefined) setWords($('door-why'), why);
  else if (signedOut && here.turns.length > 0) setWords($('door-why'), say('expired'));
}

// our own words may hold a command, as `code`
function setWords(element, words) {
  element.replaceChildren(...parseInline(words).map((node) => elements(node)));
}

function drawWords() {
  document.documentElement.lang = tongue === 'zh' ? 'zh-CN' : 'en';
  for (const element of document.querySelectorAll('[data-say]')) setWords(element, say(element.dataset.say));
  for (const element of document.querySelectorAll('[data-label]')) {
    element.setAttribute('aria-label', say(element.dataset.label));
    if (element.tagName === 'BUTTON') element.title = say(element.dataset.label);
  }
  $('text').placeholder = say('placeholder');
  $('tongue').textContent = say('tongue');
  $('tongue').setAttribute('aria-label', say('tongueLabel'));
  $('ideas').replaceChildren(...say('ideas').map((idea) => {
    const row = make('li');
    const button = make('button', '', idea);
    button.type = 'button';
    button.addEventListener('click', () => write(idea));
    row.append(button);
    return row;
  }));
  // labels of turns and buttons inside them
  for (const turn of here.turns) {
    const views = shown.get(turn.id);
    if (views) views.blocks = [];
    refreshTurn(turn);
  }
  drawShelf();
  drawTitle();
  drawSend();
  drawBanner();
}

function openConversation(id) {
  const known = living.has(id);
  here = living.get(id) || (id && shelf.read(id)) || { id: newId(), touched: Date.now(), turns: [] };
  living.set(here.id, here);
  shown.clear();
  due.clear();
  $('log').replaceChildren();
  for (const turn of here.turns) {
    drawTurn(turn);
    // what was under way when the page was closed goes on
    if (!known && turn.state === 'waiting') awaitAnswer(here, turn);
    if (!known && (turn.state === 'sending' || turn.state === 'unsent')) deliver(here, turn);
  }
  drawDoor();
  drawTitle();
  drawShelf();
  drawSend();
  toBottom();
}

function dropConversation(id) {
  shelf.drop(id);
  living.delete(id);
  const follower = followers.get(id);
  [...(follower?.awaited ?? [])].forEach((message) => follower.forget(message));
  if (id === here.id) openConversation(null);
  drawShelf();
}

function showShelf(visible) {
  $('shelf').classList.toggle('open', visible);
  $('scrim').hidden = !visible;
  $('menu').setAttribute('aria-expanded', String(visible));
  if (visible) $('new').focus();
}

function begin() {
  openConversation(null);
  showShelf(false);
  if (matchMedia('(pointer: fine)').matches) $('text').focus();
}

// ---- signing in

async function signIn(text) {
  const code = /#login=([\w-]+)/.exec(text)?.[1];
  try {
    const worked = code || !text.includes('.') ? await daemon.signInWithCode(code || text) : await daemon.signInWithToken(text);
    if (!worked) return worked;
  } catch {
    report('unreachable');
    return null;
  }
  signedOut = false;
  state = 'up';
  drawBanner();
  drawDoor('');
  nudge();
  $('text').focus();
  return true;
}

// The code leaves the address bar and the history before anything else happens.
async function signInFromAddress() {
  if (!location.hash.startsWith('#login=')) return;
  const link = location.hash;
  history.replaceState(null, '', location.pathname);
  const worked = await signIn(link);
  // an old link in a browser that is signed in does no harm
  if (worked === false && signedOut) drawDoor(say('signInBad'));
  if (worked === null) addEventListener('online', () => signIn(link), { once: true });
}

// ---- the desk

function fit() {
  $('text').style.height = 'auto';
  $('text').style.height = `${$('text').scrollHeight}px`;
}

function submit() {
  const text = $('text').value;
  if (text.trim() === '') {
    if (busy()) stop();
    return;
  }
  $('text').value = '';
  fit();
  write(text.trim());
}

function listen() {
  $('desk').addEventListener('submit', (event) => { event.preventDefault(); submit(); });
  $('text').addEventListener('input', () => { fit(); drawSend(); });
  $('text').addEventListener('keydown', (event) => {
    // 229: an input method is composing (Safari ends the composition before this event)
    const composing = event.isComposing || event.keyCode === 229;
    const finger = matchMedia('(pointer: coarse)').matches && !matchMedia('(any-pointer: fine)').matches;
    if (event.key !== 'Enter' || event.shiftKey || composing || finger) return;
    event.preventDefault();
    // Enter alone never stops an answer
    if ($('text').value.trim() !== '') submit();
  });
  $('scroll').addEventListener('scroll', () => { if (atBottom()) $('down').hidden = true; }, { passive: true });
  $('down').addEventListener('click', toBottom);
  $('menu').addEventListener('click', () => showShelf(!$('shelf').classList.contains('open')));
  $('scrim').addEventListener('click', () => showShelf(false));
  $('new').addEventListener('click', begin);
  $('new-top').addEventListener('click', begin);
  $('tongue').addEventListener('click', () => {
    tongue = tongue === 'zh' ? 'en' : 'zh';
    localStorage.setItem('packetboat.tongue', tongue);
    drawWords();
  });
  $('door-form').addEventListener('submit', async (event) => {
    event.preventDefault();
    const text = $('door-text').value.trim();
    if (text === '') return;
    const worked = await signIn(text);
    if (worked === false) drawDoor(say('signInBad'));
    if (worked) $('door-text').value = '';
  });
  addEventListener('keydown', (event) => { if (event.key === 'Escape') showShelf(false); });
  addEventListener('online', nudge);
  addEventListener('hashchange', signInFromAddress);
  // another tab signed in, signed out, or wrote
  addEventListener('storage', (event) => {
    if (event.key === 'packetboat.token') {
      signedOut = !daemon.token;
      drawDoor('');
      nudge();
    }
    drawShelf();
  });
}

function start() {
  const chosen = localStorage.getItem('packetboat.tongue');
  tongue = chosen === 'zh' || chosen === 'en' ? chosen : navigator.language.toLowerCase().startsWith('zh') ? 'zh' : 'en';
  listen();
  openConversation(shelf.all()[0]?.id);
  drawWords();
  signInFromAddress();
  if (matchMedia('(pointer: fine)').matches) $('text').focus();
}

start();
